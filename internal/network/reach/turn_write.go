package reach

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// passing are labels that the platform puts on pods, and that others of the same workload
// do not have, or with other values.
var passing = []string{"apps.kubernetes.io/pod-index", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/job-name",
	"controller-revision-hash", "controller-uid", "job-name", "pod-template-generation", "pod-template-hash", "statefulset.kubernetes.io/pod-name"}

// lastingLabels are those that a policy may choose a pod by: those that its workload
// selects its pods by or, where that is not known, all that last.
func lastingLabels(p *Pod) map[string]any {
	selected := map[string]string{}
	if p.Object != nil {
		selected = model.StringMap(p.Object.Get("spec", "selector", "matchLabels"))
	}
	out := map[string]any{}
	for k, v := range p.Labels {
		if _, is := selected[k]; (is || len(selected) == 0) && !slices.Contains(passing, k) {
			out[k] = v
		}
	}
	return out
}

type content = map[string]any

// selectorOf is a selector of labels; of none it chooses all.
func selectorOf(labels map[string]any) content {
	if len(labels) == 0 {
		return content{}
	}
	return content{"matchLabels": labels}
}

func namespaceSelector(name string) content {
	return selectorOf(content{corev1.LabelMetadataName: name})
}

// peerContents are items of from or to of a NetworkPolicy that are about a side, narrow ones
// first; nil is everybody.
func peerContents(own string, s Side) (out [][]any) {
	if p := s.Pod; p != nil && !p.HostNetwork {
		item := content{"podSelector": selectorOf(lastingLabels(p))}
		if p.Namespace != own {
			item["namespaceSelector"] = namespaceSelector(p.Namespace)
		}
		return [][]any{{item}}
	}
	var blocks []any
	for _, a := range addressesOfSide(s) {
		blocks = append(blocks, content{"ipBlock": content{"cidr": netip.PrefixFrom(a, a.BitLen()).String()}})
	}
	if len(blocks) > 0 {
		out = append(out, blocks)
	}
	return append(out, nil)
}

func addressesOfSide(s Side) []netip.Addr {
	if s.Pod != nil {
		return s.Pod.Addresses
	}
	return []netip.Addr{s.Address.Unmap().WithZone("")}
}

// portContents are items of ports of a NetworkPolicy; none is all ports.
func portContents(ports Ports) (out []any) {
	if ports.All() {
		return nil
	}
	ports.Each(func(protocol Protocol, from, to uint16) {
		item := content{"protocol": protocol.String()}
		if from != 1 || to != lastPort {
			item["port"] = int64(from)
		}
		if from != to && (from != 1 || to != lastPort) {
			item["endPort"] = int64(to)
		}
		out = append(out, item)
	})
	return out
}

// ruleContent is an item of ingress or egress of a NetworkPolicy.
func ruleContent(d Direction, peers []any, ports Ports) content {
	out := content{}
	if peers != nil {
		out[d.peersField()] = peers
	}
	if list := portContents(ports); list != nil {
		out["ports"] = list
	}
	return out
}

// policyContent is a NetworkPolicy about one pod and one direction.
func policyContent(name string, p *Pod, d Direction, rules []any) content {
	return content{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": content{"name": name, "namespace": p.Namespace},
		"spec":     content{"podSelector": selectorOf(lastingLabels(p)), "policyTypes": []any{[...]string{"Ingress", "Egress"}[d]}, d.String(): rules},
	}
}

// tierRuleContent is a rule of a policy of a tier, of the version of a kind; nil where it
// cannot say it.
func tierRuleContent(kind string, d Direction, action Action, peer Side, ports Ports) content {
	var item content
	switch p := peer.Pod; {
	case p != nil && !p.HostNetwork:
		item = content{"pods": content{"namespaceSelector": namespaceSelector(p.Namespace), "podSelector": selectorOf(lastingLabels(p))}}
	case d == Egress && len(addressesOfSide(peer)) > 0:
		var networks []any
		for _, a := range addressesOfSide(peer) {
			networks = append(networks, netip.PrefixFrom(a, a.BitLen()).String())
		}
		item = content{"networks": networks}
	default:
		return nil // rules for ingress are about pods only
	}
	text, field := action.String(), "protocols"
	if kind != clusterPolicyKind.Kind {
		field = "ports"
		if action == Accept {
			text = "Allow"
		}
	}
	out := content{"action": text, d.peersField(): []any{item}}
	if list := tierPortContents(kind, ports); list != nil {
		out[field] = list
	}
	return out
}

func tierPortContents(kind string, ports Ports) (out []any) {
	if ports.All() {
		return nil
	}
	ports.Each(func(protocol Protocol, from, to uint16) {
		switch {
		case kind != clusterPolicyKind.Kind && from == to:
			out = append(out, content{"portNumber": content{"protocol": protocol.String(), "port": int64(from)}})
		case kind != clusterPolicyKind.Kind:
			out = append(out, content{"portRange": content{"protocol": protocol.String(), "start": int64(from), "end": int64(to)}})
		default:
			port := content{"number": int64(from)}
			if from != to {
				port = content{"range": content{"start": int64(from), "end": int64(to)}}
			}
			out = append(out, content{strings.ToLower(protocol.String()): content{"destinationPort": port}})
		}
	})
	return out
}

// tierContent is a policy of a tier about one pod.
func tierContent(kind, name string, baseline bool, priority int32, p *Pod, d Direction, rule content) content {
	version := "policy.networking.k8s.io/v1alpha2"
	spec := content{"subject": content{"pods": content{"namespaceSelector": namespaceSelector(p.Namespace), "podSelector": selectorOf(lastingLabels(p))}},
		"priority": int64(priority), d.String(): []any{rule}}
	switch {
	case kind != clusterPolicyKind.Kind:
		version = "policy.networking.k8s.io/v1alpha1"
	case baseline:
		spec["tier"] = "Baseline"
	default:
		spec["tier"] = "Admin"
	}
	return content{"apiVersion": version, "kind": kind, "metadata": content{"name": name}, "spec": spec}
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// freeName is a name for a new policy that no other of a namespace has.
func (c *Cluster) freeName(namespace string, words ...string) string {
	var parts []string
	for _, w := range words {
		if w = strings.Trim(notInName.ReplaceAllString(strings.ToLower(w), "-"), "-"); w != "" {
			parts = append(parts, w)
		}
	}
	base := strings.Join(parts, "-")
	base = strings.Trim(base[:min(len(base), 55)], "-")
	taken := func(name string) bool {
		return slices.ContainsFunc(c.Policies, func(p *Policy) bool { return p.Namespace == namespace && p.Name == name }) ||
			slices.ContainsFunc(slices.Concat(c.Admin, c.Baseline), func(p *TierPolicy) bool { return namespace == "" && p.Name == name })
	}
	name := base
	for i := 2; taken(name); i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name
}

// nameOfSide is a word for a side in names.
func nameOfSide(s Side) string {
	if s.Pod == nil {
		return s.Address.String()
	}
	return s.Pod.Name
}

// created is an edit that makes an object.
func created(of content, d Direction, text string) (Edit, bool) {
	o, ok := model.NewObject(of, nil, model.Source{})
	return Edit{Operation: Create, Object: o, Text: text, direction: d}, ok
}
