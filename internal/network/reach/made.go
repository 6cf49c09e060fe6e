package reach

import "bulkhead.dev/bulkhead/internal/model"

// platformLabels are put on pods when they are made, with values that nobody knows
// beforehand, so that a template does not have them.
var platformLabels = map[string]bool{
	"apps.kubernetes.io/pod-index":             true,
	"batch.kubernetes.io/controller-uid":       true,
	"batch.kubernetes.io/job-completion-index": true,
	"batch.kubernetes.io/job-name":             true,
	"controller-revision-hash":                 true,
	"controller-uid":                           true,
	"job-name":                                 true,
	"pod-template-generation":                  true,
	"pod-template-hash":                        true,
	"statefulset.kubernetes.io/pod-name":       true,
}

// PlatformLabel reports whether pods are given a label when they are made, that their
// template does not have.
func PlatformLabel(key string) bool { return platformLabels[key] }

// UnknownMakers are namespaces of files with custom resources: what pods their controllers
// will make cannot be told. It is empty for a cluster.
var UnknownMakers = model.NewFact(func(w *model.World) map[string]bool {
	out := map[string]bool{}
	if w.Live {
		return out
	}
	for _, o := range w.Objects {
		if _, builtin := model.BuiltinResource(o.GroupKind); !builtin {
			out[o.Namespace] = true
		}
	}
	return out
})
