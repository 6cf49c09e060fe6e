package controlplane

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var namespaceKind = model.GroupKind{Kind: "Namespace"}

// systemNamespaces hold no workloads of the user's. A quota there can keep the
// cluster's own pods from starting.
var systemNamespaces = map[string]bool{"kube-system": true, "kube-public": true, "kube-node-lease": true}

// judgeNamespaces judges each namespace by whether an object of a kind bounds it;
// detail says what is missing where none does.
func judgeNamespaces(kind model.GroupKind, bounds func(*model.Object) bool, detail string) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		var out []check.Judgement
		for _, name := range in.World.Namespaces() {
			j := judgeNamespace(in.World, name, kind, bounds, detail)
			if j.Object = in.World.Namespace(name); j.Object == nil {
				j.Ref = finding.Ref{Version: "v1", Kind: "Namespace", Name: name}
			}
			out = append(out, j)
		}
		return out
	}
}

func judgeNamespace(w *model.World, name string, kind model.GroupKind, bounds func(*model.Object) bool, detail string) check.Judgement {
	if systemNamespaces[name] {
		return check.Inapplicable(nil)
	}
	for _, o := range w.KindIn(kind, name) {
		if bounds(o) {
			return check.Passed(nil, finding.Evidence{Source: o.Ref().String(), Detail: "bounds the namespace"})
		}
	}
	if reason := w.Unobserved(kind, name); reason != "" {
		return check.Unobserved(nil, "its %ss were not read: %s", kind.Kind, reason)
	}
	return check.Judgement{Verdict: finding.Fail, Violations: []check.Violation{{Path: model.Path(nil).Keys("metadata", "name"), Detail: detail}}}
}
