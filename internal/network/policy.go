package network

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
)

// direction is one of the two ways that traffic has for a pod.
type direction = networkingv1.PolicyType

const (
	ingress = networkingv1.PolicyTypeIngress
	egress  = networkingv1.PolicyTypeEgress
)

// policy is a NetworkPolicy, as far as isolation is concerned.
type policy struct {
	object   *model.Object
	selector labels.Selector
	// isolates says for which directions the selected pods have no more than what
	// some policy allows, and open for which this one allows everything.
	isolates, open map[direction]bool
	// problem says why the object is no NetworkPolicy.
	problem string
}

// policies lists the NetworkPolicies of each namespace.
var policies = model.NewFact(func(w *model.World) map[string][]*policy {
	out := map[string][]*policy{}
	for _, o := range w.Kind(networkPolicyKind) {
		out[o.Namespace] = append(out[o.Namespace], newPolicy(o))
	}
	return out
})

func newPolicy(o *model.Object) *policy {
	p := &policy{object: o, selector: labels.Nothing(), isolates: map[direction]bool{}, open: map[direction]bool{}}
	var content networkingv1.NetworkPolicy
	err := model.Decode(o.Content, &content)
	if err == nil {
		p.selector, err = metav1.LabelSelectorAsSelector(&content.Spec.PodSelector)
	}
	if err != nil {
		p.problem = fmt.Sprintf("the API server would refuse it: %v", err)
		return p
	}
	s := content.Spec
	// Where policyTypes is absent, a policy is about ingress, and about egress if it
	// has egress rules.
	p.isolates[ingress] = len(s.PolicyTypes) == 0 || slices.Contains(s.PolicyTypes, ingress)
	p.isolates[egress] = len(s.PolicyTypes) == 0 && len(s.Egress) > 0 || slices.Contains(s.PolicyTypes, egress)
	for _, r := range s.Ingress {
		p.open[ingress] = p.open[ingress] || p.isolates[ingress] && everything(r.From, r.Ports)
	}
	for _, r := range s.Egress {
		p.open[egress] = p.open[egress] || p.isolates[egress] && everything(r.To, r.Ports)
	}
	return p
}

// selectsAll reports whether the policy is about every pod of its namespace,
// those of tomorrow included.
func (p *policy) selectsAll() bool { return p.problem == "" && p.selector.Empty() }

// everything reports whether a rule allows all traffic, or that of every pod of
// the cluster.
func everything(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
	if len(ports) > 0 {
		return false
	}
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return strings.HasSuffix(p.IPBlock.CIDR, "/0") && len(p.IPBlock.Except) == 0
		}
		return emptySelector(p.NamespaceSelector) && (p.PodSelector == nil || emptySelector(p.PodSelector))
	})
}

// emptySelector reports whether a selector is there and selects everything.
func emptySelector(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}
