package model

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// PodTemplate says where objects of a kind carry a pod template: the path of
// the map that has the pod's metadata and spec.
type PodTemplate struct {
	GroupKind
	Path Path
}

// PodTemplates lists the kinds of Kubernetes that carry a pod. Pod itself is
// first; its path is empty.
func PodTemplates() []PodTemplate {
	t := func(group, kind string, path ...string) PodTemplate {
		return PodTemplate{GroupKind{group, kind}, Path(nil).Keys(path...)}
	}
	return []PodTemplate{
		t("", "Pod"),
		t("", "PodTemplate", "template"),
		t("", "ReplicationController", "spec", "template"),
		t("apps", "Deployment", "spec", "template"),
		t("apps", "ReplicaSet", "spec", "template"),
		t("apps", "StatefulSet", "spec", "template"),
		t("apps", "DaemonSet", "spec", "template"),
		t("batch", "Job", "spec", "template"),
		t("batch", "CronJob", "spec", "jobTemplate", "spec", "template"),
		// Groups that old manifests still use; the shape is the same.
		t("extensions", "Deployment", "spec", "template"),
		t("extensions", "ReplicaSet", "spec", "template"),
		t("extensions", "DaemonSet", "spec", "template"),
	}
}

var carriesPod = func() map[GroupKind]bool {
	out := map[GroupKind]bool{}
	for _, t := range PodTemplates() {
		out[t.GroupKind] = true
	}
	return out
}()

// CarriesPod reports whether objects of a kind of Kubernetes itself are or make pods.
func CarriesPod(gk GroupKind) bool { return carriesPod[gk] }

// CustomPodTemplates lists the custom resources that are known to carry a pod
// without being configured.
func CustomPodTemplates() []PodTemplate {
	template := Path(nil).Keys("spec", "template")
	return []PodTemplate{
		{GroupKind{"argoproj.io", "Rollout"}, template},
		{GroupKind{"serving.knative.dev", "Service"}, template},
		{GroupKind{"serving.knative.dev", "Configuration"}, template},
		{GroupKind{"serving.knative.dev", "Revision"}, nil},
	}
}

// Pod is the pod that an object is, or that it makes.
type Pod struct {
	Object *Object
	// Path leads to the map that has the pod's metadata and spec.
	Path Path
	Spec map[string]any
	// Meta is the metadata of the pod; nil where a template has none.
	Meta map[string]any
}

// Pod returns the pod that the object is or makes, nil where it makes none.
func (o *Object) Pod() *Pod { return o.pod }

func newPod(o *Object, path Path) *Pod {
	top, _ := path.Lookup(o.Content)
	spec, ok := Get(top, "spec").(map[string]any)
	if !ok {
		return nil
	}
	meta, _ := Get(top, "metadata").(map[string]any)
	return &Pod{Object: o, Path: path, Spec: spec, Meta: meta}
}

// SpecPath is the path of the pod's spec in its object.
func (p *Pod) SpecPath() Path { return p.Path.Keys("spec") }

// Windows reports whether the pod says that it runs on Windows.
func (p *Pod) Windows() bool { return Get(p.Spec, "os", "name") == "windows" }

// Labels are the labels that the pod has or will have.
func (p *Pod) Labels() map[string]string { return StringMap(Get(p.Meta, "labels")) }

// ServiceAccount is the name of the account that the pod runs as.
func (p *Pod) ServiceAccount() string {
	for _, field := range []string{"serviceAccountName", "serviceAccount"} {
		if s, _ := p.Spec[field].(string); s != "" {
			return s
		}
	}
	return "default"
}

// Decode returns the pod's metadata and spec in the API's types. An error means
// that the API server would refuse the object; it names the field.
func (p *Pod) Decode() (*metav1.ObjectMeta, *corev1.PodSpec, error) {
	meta, spec := &metav1.ObjectMeta{}, &corev1.PodSpec{}
	if err := Decode(p.Spec, spec); err != nil {
		return nil, nil, fmt.Errorf("%s is no PodSpec: %w", p.SpecPath(), err)
	}
	if p.Meta != nil {
		if err := Decode(p.Meta, meta); err != nil {
			return nil, nil, fmt.Errorf("%s is no ObjectMeta: %w", p.Path.Keys("metadata"), err)
		}
	}
	return meta, spec, nil
}

// Decode converts decoded JSON into a type of the API.
func Decode(content map[string]any, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(content, into)
}

// ContainerList is the field of a PodSpec that a container stands in.
type ContainerList string

// The lists of containers that a PodSpec has.
const (
	InitContainers      ContainerList = "initContainers"
	Containers          ContainerList = "containers"
	EphemeralContainers ContainerList = "ephemeralContainers"
)

// Container is one container of a pod, of whichever kind.
type Container struct {
	List    ContainerList
	Index   int
	Name    string
	Content map[string]any
	// Path leads from the object's top to the container.
	Path Path
}

// Sidecar reports whether an init container keeps running beside the others.
func (c Container) Sidecar() bool {
	return c.List == InitContainers && c.Content["restartPolicy"] == "Always"
}

// Containers visits every container of the pod: init containers and sidecars
// first, then the containers, then ephemeral ones. No control loops itself.
func (p *Pod) Containers() iter.Seq[Container] {
	return func(yield func(Container) bool) {
		for _, list := range []ContainerList{InitContainers, Containers, EphemeralContainers} {
			items, _ := p.Spec[string(list)].([]any)
			for i, item := range items {
				content, ok := item.(map[string]any)
				if !ok {
					continue
				}
				name, _ := content["name"].(string)
				c := Container{List: list, Index: i, Name: name, Content: content,
					Path: p.SpecPath().Append(Key(string(list)), Index(i))}
				if !yield(c) {
					return
				}
			}
		}
	}
}
