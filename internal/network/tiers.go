package network

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// clusterPolicy is a policy over namespaces of the API group
// policy.networking.k8s.io: an AdminNetworkPolicy or BaselineAdminNetworkPolicy
// (v1alpha1), or a ClusterNetworkPolicy (v1alpha2).
type clusterPolicy struct {
	object   *model.Object
	baseline bool
	priority float64
}

var clusterPolicyKinds = []model.GroupKind{
	{Group: "policy.networking.k8s.io", Kind: "AdminNetworkPolicy"},
	{Group: "policy.networking.k8s.io", Kind: "BaselineAdminNetworkPolicy"},
	{Group: "policy.networking.k8s.io", Kind: "ClusterNetworkPolicy"},
}

// clusterPolicies lists them in the order in which they are asked.
var clusterPolicies = model.NewFact(func(w *model.World) []clusterPolicy {
	var out []clusterPolicy
	for _, gk := range clusterPolicyKinds {
		for _, o := range w.Kind(gk) {
			p := clusterPolicy{object: o, baseline: gk.Kind == "BaselineAdminNetworkPolicy" || o.Text("spec", "tier") == "Baseline"}
			switch n := o.Get("spec", "priority").(type) {
			case int64:
				p.priority = float64(n)
			case float64:
				p.priority = n
			}
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b clusterPolicy) int { return cmp.Compare(a.priority, b.priority) })
	return out
})

// answer is what a policy, or a tier of them, says to all traffic of a namespace.
type answer int

const (
	silent answer = iota
	denies
	allows
	// passes ends a tier.
	passes
	// unclear depends on labels of the namespace that were not seen.
	unclear
)

// ask returns what a tier says to all traffic of all pods of a namespace, and the
// policy that says it. Rules about some of it are left aside.
func ask(w *model.World, namespace string, d direction, baseline bool) (answer, *model.Object) {
	for _, p := range clusterPolicies.Of(w) {
		if p.baseline != baseline {
			continue
		}
		a := p.answer(d)
		if a == silent {
			continue
		}
		switch p.selects(w, namespace) {
		case allows:
			return a, p.object
		case unclear:
			return unclear, p.object
		}
	}
	return silent, nil
}

// selects says whether every pod of a namespace is a subject of the policy.
func (p clusterPolicy) selects(w *model.World, namespace string) answer {
	subject := p.object.Map("spec", "subject")
	selector, ok := subject["namespaces"]
	if !ok {
		pods, _ := subject["pods"].(map[string]any)
		if !isEmptySelector(pods["podSelector"]) {
			return silent
		}
		selector = pods["namespaceSelector"]
	}
	content, _ := selector.(map[string]any)
	if content == nil {
		return silent
	}
	var typed metav1.LabelSelector
	if model.Decode(content, &typed) != nil {
		return silent
	}
	s, err := metav1.LabelSelectorAsSelector(&typed)
	if err != nil {
		return silent
	}
	known, seen := w.NamespaceLabels(namespace)
	if s.Matches(labels.Set(known)) {
		return allows
	}
	if !seen {
		return unclear
	}
	return silent
}

// answer is the action of the first rule that is about all traffic.
func (p clusterPolicy) answer(d direction) answer {
	peers := "from"
	if d == egress {
		peers = "to"
	}
	for _, item := range p.object.List("spec", strings.ToLower(string(d))) {
		rule, _ := item.(map[string]any)
		if rule["ports"] != nil || rule["protocols"] != nil {
			continue
		}
		list, _ := rule[peers].([]any)
		if !slices.ContainsFunc(list, func(peer any) bool { return coversAll(peer, d) }) {
			continue
		}
		switch rule["action"] {
		case "Deny":
			return denies
		case "Allow", "Accept":
			return allows
		case "Pass":
			return passes
		}
	}
	return silent
}

// coversAll reports whether a peer is all that the direction can be about: every
// pod for ingress, every address for egress.
func coversAll(peer any, d direction) bool {
	if d == egress {
		return slices.ContainsFunc(model.Strings(model.Get(peer, "networks")), func(n string) bool { return strings.HasSuffix(n, "/0") })
	}
	return isEmptySelector(model.Get(peer, "namespaces")) ||
		isEmptySelector(model.Get(peer, "pods", "namespaceSelector")) && isEmptySelector(model.Get(peer, "pods", "podSelector"))
}

// isEmptySelector reports whether a decoded selector is there and selects
// everything.
func isEmptySelector(v any) bool {
	m, ok := v.(map[string]any)
	matchLabels, _ := m["matchLabels"].(map[string]any)
	expressions, _ := m["matchExpressions"].([]any)
	return ok && len(matchLabels) == 0 && len(expressions) == 0
}

// pluginPolicy returns a policy of a network plugin that may be about a namespace,
// nil where there is none.
func pluginPolicy(w *model.World, namespace string) *model.Object {
	for _, gk := range reach.PluginPolicies {
		for _, o := range w.Kind(gk) {
			if o.Namespace == "" || o.Namespace == namespace {
				return o
			}
		}
	}
	return nil
}
