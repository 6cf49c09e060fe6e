package network

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// enforcers are DaemonSets that enforce NetworkPolicies, by the beginning of their names, and
// idlers such as connect pods and enforce none (github.com/flannel-io/flannel, "Flannel does
// not support NetworkPolicies").
var (
	enforcers = []string{"calico-node", "canal", "cilium", "anetd", "antrea-agent", "kube-router", "weave-net", "ovnkube-node", "kube-ovn-cni", "ovs-ovn",
		"azure-npm", "kube-network-policies", "sdn", "romana-agent", "terway", "nsx-node-agent", "contrail-node"}
	idlers = []string{"kube-flannel"}
)

// enforces says of a DaemonSet whether it connects pods, and whether it enforces policies.
func enforces(o *model.Object) (plugin, enforces bool) {
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(name string) bool { return o.Name == name || strings.HasPrefix(o.Name, name+"-") })
	}
	switch {
	case named(enforcers):
		return true, true
	case named(idlers):
		return true, false
	case o.Name == "kindnet":
		return true, !slices.ContainsFunc(images(o), oldKindnet)
	case o.Name == "aws-node":
		return true, awsEnforces(o)
	}
	return false, false
}

// images are those of a workload's containers.
func images(o *model.Object) (out []string) {
	if p := o.Pod(); p != nil {
		for c := range p.Containers() {
			image, _ := c.Content["image"].(string)
			out = append(out, image)
		}
	}
	return out
}

// oldKindnet reports whether an image is of a kindnet that enforces none: it does since kind
// v0.24 of August 2024 (github.com/kubernetes-sigs/kind/issues/842).
func oldKindnet(image string) bool {
	_, tag, _ := strings.Cut(image, "kindnetd:v")
	date, _, _ := strings.Cut(tag, "-")
	return len(date) == len("20240701") && date < "20240701"
}

// awsEnforces reports whether the plugin of AWS has its agent for policies, and that is on
// (docs.aws.amazon.com, "Limit pod traffic with Kubernetes network policies").
func awsEnforces(o *model.Object) bool {
	for c := range o.Pod().Containers() {
		if c.Name == "aws-eks-nodeagent" && slices.Contains(model.Strings(c.Content["args"]), "--enable-network-policy=true") {
			return true
		}
	}
	return false
}

// judgeEnforced judges the DaemonSet that connects pods. Where none is known, that is said
// only where there are policies that may be enforced by nobody.
func judgeEnforced(in *check.Input) []check.Judgement {
	w := in.World
	count := len(clusters.Of(w).Policies)
	var idle []*model.Object
	var out []check.Judgement
	for _, o := range w.Kind(daemonSetKind) {
		if o.Pod() == nil {
			continue
		}
		plugin, is := enforces(o)
		if is {
			out = append(out, check.Passed(o))
		} else if plugin {
			idle = append(idle, o)
		}
	}
	switch {
	case len(out) > 0 || count == 0:
		for _, o := range idle {
			out = append(out, check.Inapplicable(o)) // another one enforces, beside it
		}
	case len(idle) > 0:
		for _, o := range idle {
			if !w.Closed(o.Namespace) || !w.Closed("kube-system") {
				out = append(out, check.Inapplicable(o)) // what enforces may be in other files
				continue
			}
			out = append(out, check.Failed(o, check.Violation{Path: model.Path(nil).Keys("metadata", "name"),
				Detail: fmt.Sprintf("it connects pods and enforces no policies, and nothing else is seen that does: %d NetworkPolicies do nothing", count)}))
		}
	case w.Live:
		out = append(out, check.Unobserved(clusters.Of(w).Policies[0].Object, "which network plugin the cluster has is not known, and whether it enforces NetworkPolicies"))
	default:
		out = append(out, check.Inapplicable(clusters.Of(w).Policies[0].Object))
	}
	return out
}

var daemonSetKind = model.GroupKind{Group: "apps", Kind: "DaemonSet"}

var networkPoliciesEnforced = check.Control{
	Rule: finding.Rule{
		Name: "network-policies-enforced", Title: "The network plugin enforces network policies", Severity: finding.High, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "The API server takes NetworkPolicies whether or not anything enforces them. With a plugin that does not, every pod reaches every other, " +
			"and all that policies say is not so.",
		Remedy: "Install what enforces them: Calico beside Flannel (Canal), kube-network-policies, or another plugin. " +
			"On AWS set enableNetworkPolicy of the VPC CNI add-on.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide how the cluster is to enforce them. What policies forbid by mistake stops once they are.",
	Needs:   []model.GroupKind{networkPolicyKind, daemonSetKind},
	World:   judgeEnforced,
	Examples: check.Examples{
		Bad: []string{strings.Replace(flannelExample, "name: kube-flannel-ds", "name: kube-flannel-ds # want", 1) + denyExample},
		Good: []string{flannelExample + denyExample + `---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: canal
  namespace: kube-system
spec:
  selector:
    matchLabels: {k8s-app: canal}
  template:
    metadata:
      labels: {k8s-app: canal}
    spec:
      containers:
        - name: calico-node
          image: docker.io/calico/node:v3.30.0
`},
	},
}

const flannelExample = `apiVersion: v1
kind: Namespace
metadata:
  name: kube-system
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-flannel-ds
  namespace: kube-system
spec:
  selector:
    matchLabels: {app: flannel}
  template:
    metadata:
      labels: {app: flannel}
    spec:
      containers:
        - name: kube-flannel
          image: ghcr.io/flannel-io/flannel:v0.26.7
`

const denyExample = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deny
  namespace: shop
spec:
  podSelector: {}
`
