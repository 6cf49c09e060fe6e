package creation

import (
	"maps"
	"strings"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"bulkhead.dev/bulkhead/internal/model"
)

// Made lists what the built-in controllers will create of an object, in their order:
// of a Deployment a ReplicaSet and a pod, of a CronJob a Job and a pod. Each is
// as its template says; the name ends in *, which stands for what is made up.
func Made(o *model.Object) []*model.Object {
	pod := o.Pod()
	if pod == nil || len(pod.Path) == 0 || o.Kind == "PodTemplate" {
		return nil
	}
	var out []*model.Object
	owner := o
	switch o.GroupKind {
	case model.GroupKind{Group: "apps", Kind: "Deployment"}:
		owner = controlled(o, "apps/v1", "ReplicaSet", model.StringMap(pod.Meta["labels"]), o.Map("spec"), "replicas", "selector", "template")
	case model.GroupKind{Group: "batch", Kind: "CronJob"}:
		template := o.Map("spec", "jobTemplate")
		owner = controlled(o, "batch/v1", "Job", model.StringMap(model.Get(template, "metadata", "labels")), orEmpty(template["spec"]))
	}
	if owner != o {
		out = append(out, owner)
	}
	return append(out, podOf(owner, pod))
}

// controlled is what a controller makes of an object: with some fields of a spec, all where
// none is named.
func controlled(o *model.Object, apiVersion, kind string, labels map[string]string, spec map[string]any, fields ...string) *model.Object {
	own := maps.Clone(spec)
	if len(fields) > 0 {
		own = map[string]any{}
		for _, f := range fields {
			if v, ok := spec[f]; ok {
				own[f] = v
			}
		}
	}
	return made(o, apiVersion, kind, map[string]any{"labels": anyMap(labels)}, own)
}

func podOf(owner *model.Object, pod *model.Pod) *model.Object {
	return made(owner, "v1", "Pod", pod.Meta, pod.Spec)
}

// made is an object that owner controls. It stands in no file of its own.
func made(owner *model.Object, apiVersion, kind string, meta, spec map[string]any) *model.Object {
	metadata := maps.Clone(meta)
	if metadata == nil {
		metadata = map[string]any{}
	}
	delete(metadata, "name")
	metadata["generateName"] = strings.TrimSuffix(owner.Name, "-*") + "-"
	metadata["namespace"] = owner.Namespace
	metadata["ownerReferences"] = []any{map[string]any{"apiVersion": owner.Text("apiVersion"), "kind": owner.Kind, "name": owner.Name,
		"uid": UID, "controller": true, "blockOwnerDeletion": true}}
	content := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec}
	o, _ := model.NewObject(content, nil, model.Source{})
	return o
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// MadeKinds are the kinds of what Made lists of an object of a kind.
func MadeKinds(gk model.GroupKind) []model.GroupKind {
	pod := model.GroupKind{Kind: "Pod"}
	switch gk {
	case pod, model.GroupKind{Kind: "PodTemplate"}:
		return nil
	case model.GroupKind{Group: "apps", Kind: "Deployment"}:
		return []model.GroupKind{{Group: "apps", Kind: "ReplicaSet"}, pod}
	case model.GroupKind{Group: "batch", Kind: "CronJob"}:
		return []model.GroupKind{{Group: "batch", Kind: "Job"}, pod}
	}
	return []model.GroupKind{pod}
}

// controllers are the service accounts as which the built-in controllers make objects,
// by the kind that they make them of.
var controllers = map[string]string{"Deployment": "deployment-controller", "ReplicaSet": "replicaset-controller", "ReplicationController": "replication-controller",
	"StatefulSet": "statefulset-controller", "DaemonSet": "daemon-set-controller", "Job": "job-controller", "CronJob": "cronjob-controller"}

// Controller is who makes an object that Made lists; nil where that is not known.
func Controller(made *model.Object) user.Info {
	owner, _ := made.Controller()
	name := controllers[owner.Kind]
	if name == "" {
		return nil
	}
	return serviceaccount.UserInfo("kube-system", name, "")
}
