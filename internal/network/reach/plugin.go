package reach

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
)

// mayChoose reports whether a policy of a network plugin may be about a pod. What of its
// selectors is not understood chooses all.
func (c *Cluster) mayChoose(o *model.Object, p *Pod) bool {
	switch {
	case o.Group == "cilium.io":
		return c.ciliumMayChoose(o.Map("spec"), p) || anyMap(o.List("specs"), func(m map[string]any) bool { return c.ciliumMayChoose(m, p) })
	case o.Group == "crd.antrea.io":
		to := o.List("spec", "appliedTo")
		return len(to) == 0 || anyMap(to, func(m map[string]any) bool { return c.antreaMayChoose(m, o.Namespace, p) })
	}
	return true
}

func anyMap(list []any, is func(map[string]any) bool) bool {
	for _, item := range list {
		if m, _ := item.(map[string]any); is(m) {
			return true
		}
	}
	return false
}

// ciliumMayChoose reads endpointSelector; its keys may name where a label comes from. A
// nodeSelector chooses nodes.
func (c *Cluster) ciliumMayChoose(spec map[string]any, p *Pod) bool {
	if spec == nil || spec["nodeSelector"] != nil {
		return false
	}
	return matchesWritten(spec["endpointSelector"], p.Labels)
}

func (c *Cluster) antreaMayChoose(to map[string]any, own string, p *Pod) bool {
	for key := range to {
		if key != "podSelector" && key != "namespaceSelector" {
			return true // groups, services and accounts
		}
	}
	if to["namespaceSelector"] != nil {
		ns := c.Namespaces[p.Namespace]
		if ns != nil && ns.Seen && !matchesWritten(to["namespaceSelector"], ns.Labels) {
			return false
		}
	} else if own != "" && own != p.Namespace {
		return false
	}
	return to["podSelector"] == nil || matchesWritten(to["podSelector"], p.Labels)
}

// matchesWritten reports whether a decoded selector may match labels. Requirements for
// labels that are no labels of pods, such as Cilium's own, may be met.
func matchesWritten(selector any, set map[string]string) bool {
	content, _ := selector.(map[string]any)
	var s metav1.LabelSelector
	if content == nil || model.Decode(content, &s) != nil {
		return true
	}
	kept := metav1.LabelSelector{MatchLabels: map[string]string{}}
	for k, v := range s.MatchLabels {
		if key, ok := podLabel(k); ok {
			kept.MatchLabels[key] = v
		}
	}
	for _, e := range s.MatchExpressions {
		if key, ok := podLabel(e.Key); ok {
			e.Key = key
			kept.MatchExpressions = append(kept.MatchExpressions, e)
		}
	}
	matcher, err := metav1.LabelSelectorAsSelector(&kept)
	return err != nil || matcher.Matches(labels.Set(set))
}

// podLabel is the key of a label without its source; false where it is no label of a pod.
func podLabel(key string) (string, bool) {
	if source, rest, ok := strings.Cut(key, ":"); ok {
		if source != "k8s" && source != "any" {
			return "", false
		}
		key = rest
	}
	return key, !strings.HasPrefix(key, "io.kubernetes.") && !strings.HasPrefix(key, "io.cilium.")
}
