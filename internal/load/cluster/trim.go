package cluster

import (
	"bulkhead.dev/bulkhead/internal/model"
)

// trim drops what nobody reads, and what nobody should.
func trim(gk model.GroupKind, content map[string]any) {
	meta, _ := content["metadata"].(map[string]any)
	for _, field := range []string{"managedFields", "selfLink", "resourceVersion", "generation"} {
		delete(meta, field)
	}
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		if manifest, ok := annotations[model.LastApplied].(string); ok {
			annotations[model.LastApplied] = model.OnlyVersion(manifest)
		}
	}
	switch {
	case gk == secretKind:
		// That a key is there may matter; what it holds does not.
		for _, field := range []string{"data", "stringData"} {
			values, _ := content[field].(map[string]any)
			for k := range values {
				values[k] = ""
			}
		}
	case gk == podKind:
		keepStatus(content, "phase")
	case gk == (model.GroupKind{Group: "batch", Kind: "Job"}):
		keepStatus(content, "active", "conditions")
	case gk == (model.GroupKind{Group: "apps", Kind: "ReplicaSet"}):
		keepStatus(content, "replicas")
	case kindsWithoutStatus[gk.Group]:
		delete(content, "status")
	}
}

// kindsWithoutStatus are groups of Kubernetes whose status no control reads.
var kindsWithoutStatus = map[string]bool{"": true, "apps": true, "batch": true}

func keepStatus(content map[string]any, fields ...string) {
	status, _ := content["status"].(map[string]any)
	delete(content, "status")
	kept := map[string]any{}
	for _, f := range fields {
		if v, ok := status[f]; ok {
			kept[f] = v
		}
	}
	// Of a condition its kind and state are read, not its times and messages.
	conditions, _ := kept["conditions"].([]any)
	for i, c := range conditions {
		conditions[i] = map[string]any{"type": model.Get(c, "type"), "status": model.Get(c, "status")}
	}
	if len(kept) > 0 {
		content["status"] = kept
	}
}
