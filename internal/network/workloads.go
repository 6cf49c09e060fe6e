package network

import (
	"maps"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// workload is the pods that one object makes, or a pod that nothing makes.
type workload struct {
	object *model.Object
	// name is how messages name it: Deployment/web.
	name   string
	labels map[string]string
}

// workloads lists what makes pods, by namespace. What another of the listed
// objects made is not listed beside its maker.
var workloads = model.NewFact(func(w *model.World) map[string][]workload {
	makers := map[string]bool{}
	for _, o := range w.Objects {
		if o.Pod() != nil {
			makers[o.Namespace+"/"+o.Kind+"/"+o.Name] = true
		}
	}
	out := map[string][]workload{}
	seen := map[string]bool{}
	for _, o := range w.Objects {
		p := o.Pod()
		if p == nil || finished(o) {
			continue
		}
		kind, name := o.Kind, o.Name
		if owner, managed := o.Controller(); managed {
			kind, name = owner.Kind, owner.Name
			if makers[o.Namespace+"/"+kind+"/"+name] {
				continue
			}
		}
		// Pods that a custom resource makes are one workload together; an object
		// that is written twice is one as well.
		key := o.Namespace + "/" + kind + "/" + name
		if seen[key] {
			continue
		}
		seen[key] = true
		out[o.Namespace] = append(out[o.Namespace], workload{o, kind + "/" + name, podLabels(p)})
	}
	return out
})

// finished pods hold no traffic, and their addresses go to others.
func finished(o *model.Object) bool {
	return o.Kind == "Pod" && o.Ended()
}

// podLabels are the labels of an object's pods, with those that the platform adds
// and whose value is known.
func podLabels(p *model.Pod) map[string]string {
	out := maps.Clone(p.Labels())
	if out == nil {
		out = map[string]string{}
	}
	if o := p.Object; o.Kind == "Job" && !strings.HasSuffix(o.Name, "*") {
		out["batch.kubernetes.io/job-name"], out["job-name"] = o.Name, o.Name
	}
	return out
}
