package entry

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// admission says whom policies let in by a port.
type admission struct {
	// open says that they let in any pod of any namespace.
	open bool
	text []string
}

// unseen judges pods that are reached by somebody who is not in the input: whom policies
// let in, and nothing more, unless they let in everybody.
func (j *judge) unseen(t Target, who string) Backend {
	end, _ := j.engine.End(reach.Side{Pod: t.Pods[0]})
	q := question{to: end, protocol: t.Protocol, port: t.Port}
	a, ok := j.letIn[q]
	if !ok {
		a = j.admits(t)
		j.letIn[q] = a
	}
	b := Backend{Pods: t.Pods, Protocol: t.Protocol, Port: t.Port, LetIn: a.text, Verdict: Allowed}
	if !a.open {
		b.Verdict, b.Unknown = Unknown, []string{who + ", and policies let in only " + strings.Join(a.text, ", ")}
	}
	return b
}

// admits says whom policies let in. A policy of a tier that is about the pod leaves it open.
func (j *judge) admits(t Target) admission {
	c, pod := j.engine.Cluster, t.Pods[0]
	if pod.HostNetwork {
		return admission{true, []string{"everybody: it is in the network of its node, which no policy isolates"}}
	}
	var out admission
	tier := func(policies []*reach.TierPolicy) {
		for _, p := range policies {
			ns := c.Namespaces[pod.Namespace]
			if len(p.Rules[reach.Ingress]) > 0 && ns != nil && p.Namespaces.Matches(labels.Set(ns.Labels)) && p.Pods.Matches(labels.Set(pod.Labels)) {
				out.text = append(out.text, "whom "+p.String()+" does")
			}
		}
	}
	tier(c.Admin)
	isolated := false
	for _, p := range c.Policies {
		if !p.Isolates[reach.Ingress] || p.Namespace != pod.Namespace || !p.Subject.Matches(labels.Set(pod.Labels)) {
			continue
		}
		isolated = true
		for _, r := range p.Rules[reach.Ingress] {
			if !aboutPort(r, t) {
				continue
			}
			for _, text := range peersText(p.Namespace, r) {
				out.open = out.open || text == anyPod
				if !slices.Contains(out.text, text) {
					out.text = append(out.text, text)
				}
			}
		}
	}
	if !isolated {
		if tier(c.Baseline); len(out.text) == 0 {
			return admission{true, []string{anyPod}}
		}
		return out
	}
	if len(c.Admin) > 0 && len(out.text) > 0 && strings.HasPrefix(out.text[0], "whom ") {
		out.open = false
	}
	if out.open {
		out.text = []string{anyPod}
	}
	if len(out.text) == 0 {
		out.text = []string{"the node that it is on"}
	}
	return out
}

const anyPod = "any pod of any namespace"

func aboutPort(r *reach.Rule, t Target) bool {
	return r.AllPorts || t.Port == 0 || slices.ContainsFunc(r.Ports, func(p reach.PortRule) bool {
		if p.Name != "" {
			return (p.AnyProtocol || p.Protocol == t.Protocol) && t.Pods[0].Named[reach.NamedPort{Protocol: t.Protocol, Name: p.Name}] == t.Port
		}
		return p.Protocol == t.Protocol && p.From <= t.Port && t.Port <= p.To
	})
}

// peersText names whom a rule of a NetworkPolicy is about.
func peersText(namespace string, r *reach.Rule) (out []string) {
	if r.AllPeers {
		return []string{anyPod}
	}
	for _, p := range r.Peers {
		switch {
		case p.Block.IsValid():
			out = append(out, "addresses "+p.Block.String())
		case p.Pods == nil:
		case p.Namespaces == nil:
			out = append(out, podsText(p.Pods)+"namespace "+namespace)
		case p.Namespaces.Empty() && p.Pods.Empty():
			out = append(out, anyPod)
		case p.Namespaces.Empty():
			out = append(out, podsText(p.Pods)+"any namespace")
		default:
			out = append(out, podsText(p.Pods)+namespacesText(p.Namespaces))
		}
	}
	return out
}

func podsText(s labels.Selector) string {
	if s.Empty() {
		return "any pod of "
	}
	return "pods with " + s.String() + " of "
}

// namespacesText names one namespace by its name, and others by their labels.
func namespacesText(s labels.Selector) string {
	if name, ok := strings.CutPrefix(s.String(), corev1.LabelMetadataName+"="); ok && !strings.ContainsAny(name, ",= ") {
		return "namespace " + name
	}
	return "namespaces with " + s.String()
}
