package check

import (
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// Kinds lists the kinds that controls read: what they need, and what they judge.
// PodKinds are custom kinds that carry a pod, beside those that model knows.
func Kinds(controls []*Control, podKinds []model.GroupKind) []model.GroupKind {
	var out []model.GroupKind
	seen := map[model.GroupKind]bool{}
	for _, c := range controls {
		for _, gk := range c.kinds(podKinds) {
			if !seen[gk] {
				seen[gk] = true
				out = append(out, gk)
			}
		}
	}
	return out
}

func (c *Control) kinds(podKinds []model.GroupKind) []model.GroupKind {
	if c.Object == nil {
		return c.Needs
	}
	if !c.Object.Pods {
		return c.Object.Kinds
	}
	var out []model.GroupKind
	for _, t := range slices.Concat(model.PodTemplates(), model.CustomPodTemplates()) {
		out = append(out, t.GroupKind)
	}
	return append(out, podKinds...)
}

// unobserved says of every control that judges single objects which of those were
// not read: there is no object to say it of. Controls that read a world look
// themselves (worldControl), but for those that name no kind: they judge whatever
// was read.
func (r *Runner) unobserved(w *model.World, t *tally) {
	missing := w.Coverage()
	if len(missing) == 0 {
		return
	}
	inWorld := map[string]bool{"": true}
	for _, ns := range w.Namespaces() {
		inWorld[ns] = r.wantedNamespace(ns)
	}
	for _, c := range r.Controls {
		everything := c.World != nil && len(c.Needs) == 0
		if c.World != nil && !everything {
			continue
		}
		kinds := c.kinds(r.PodKinds)
		for _, u := range missing {
			if !inWorld[u.Namespace] || !everything && !slices.Contains(kinds, u.GroupKind) {
				continue
			}
			reason := u.Reason
			if u.Namespace != "" {
				reason = fmt.Sprintf("in namespace %s: %s", u.Namespace, reason)
			}
			t.unmetKind(c, u.GroupKind, reason)
		}
	}
}
