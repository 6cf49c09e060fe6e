// Package creation makes of an object the request by which somebody creates it, as
// the admission policies of the API server see it: in its type, with the defaults
// of its API, and with the namespace that it goes into.
package creation

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"

	"bulkhead.dev/bulkhead/internal/model"
)

// Request is the creation of one object.
type Request struct {
	World  *model.World
	Object *model.Object
	// Content is the object as the API server has it when it asks its policies: of
	// kinds of Kubernetes with what the API adds. It must not be changed.
	Content *unstructured.Unstructured
	// Resource is how the API serves the object.
	Resource schema.GroupVersionResource
	// Namespace is the Namespace that the object goes into; nil for what belongs to
	// the whole cluster. Where NamespaceKnown is false it has its name and the label
	// of that alone: the Namespace itself was not given.
	Namespace      *corev1.Namespace
	NamespaceKnown bool
	// User makes the request; nil where that is not known.
	User user.Info
}

// Options are what a request is told beside its object.
type Options struct {
	// User makes the request; nil where that is not known.
	User user.Info
	// Now is when the object is created.
	Now time.Time
	// Definitions are further CustomResourceDefinitions, by the kind that they define.
	Definitions map[model.GroupKind]*model.Object
}

// Of makes the request that creates an object of a world. The error says why the API
// server would refuse the object before it asks any policy.
func Of(w *model.World, o *model.Object, options Options) (*Request, error) {
	resource, namespaced := ResourceOf(w, o, options.Definitions)
	r := &Request{World: w, Object: o, User: options.User, Resource: resource}
	content, err := typed(o)
	if err != nil {
		return nil, fmt.Errorf("the API server would refuse it: %w", err)
	}
	r.Content = &unstructured.Unstructured{Object: content}
	metadata := maps.Clone(orEmpty(model.Get(content, "metadata")))
	if metadata == nil {
		metadata = map[string]any{}
	}
	content["metadata"] = metadata
	metadata["creationTimestamp"] = options.Now.UTC().Format(time.RFC3339)
	metadata["uid"] = cmp.Or(model.StringMap(metadata)["uid"], UID)
	if namespaced {
		metadata["namespace"] = o.Namespace
		r.Namespace, r.NamespaceKnown, err = namespaceOf(w, o.Namespace)
		if err != nil {
			return nil, fmt.Errorf("namespace %s is none that the API server would have: %w", o.Namespace, err)
		}
	}
	return r, nil
}

// UID is that of an object that nothing has made yet.
const UID = "00000000-0000-0000-0000-000000000000"

func orEmpty(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// typed is the content of an object as its type in the API has it: with defaults,
// and without fields that it does not have. What is of no kind of Kubernetes stays as
// it is. The result may share its values with the object, its top does not.
func typed(o *model.Object) (map[string]any, error) {
	content := model.WithoutNulls(o.Content)
	gvk := schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
	if !scheme.Scheme.Recognizes(gvk) {
		return maps.Clone(content), nil
	}
	object, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, object); err != nil {
		return nil, fmt.Errorf("it is no %s: %w", o.Kind, err)
	}
	setDefaults(object)
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("it is no %s: %w", o.Kind, err)
	}
	// Which of the two a type leaves out differs; the API server always has them.
	out["apiVersion"], out["kind"] = gvk.GroupVersion().String(), gvk.Kind
	return out, nil
}

// AsParameter is an object as a policy sees it that reads it as a parameter, or
// looks it up.
func AsParameter(o *model.Object) (*unstructured.Unstructured, error) {
	content, err := typed(o)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", o.Ref(), err)
	}
	u := &unstructured.Unstructured{Object: content}
	if o.Namespace != "" && u.GetNamespace() == "" {
		metadata := maps.Clone(orEmpty(content["metadata"]))
		metadata["namespace"] = o.Namespace
		content["metadata"] = metadata
	}
	return u, nil
}

// ResourceOf is how the API serves an object, and whether in namespaces. Of custom
// resources the definition says so, in the world or among those that were given;
// without one the plural is that of the rule by which they are named.
func ResourceOf(w *model.World, o *model.Object, definitions map[model.GroupKind]*model.Object) (schema.GroupVersionResource, bool) {
	gvr := schema.GroupVersionResource{Group: o.Group, Version: o.Version}
	if r, ok := model.BuiltinResource(o.GroupKind); ok {
		gvr.Resource = r.Name
		return gvr, r.Namespaced
	}
	if d := Definition(w, o.GroupKind, definitions); d != nil {
		r := model.DefinedResource(d)
		gvr.Resource = r.Name
		return gvr, r.Namespaced
	}
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind})
	gvr.Resource = plural.Resource
	return gvr, o.Namespace != ""
}

// Definition is the CustomResourceDefinition of a kind; nil where none is known.
func Definition(w *model.World, gk model.GroupKind, given map[model.GroupKind]*model.Object) *model.Object {
	if d := given[gk]; d != nil {
		return d
	}
	return definitions.Of(w)[gk]
}

var definitions = model.NewFact(func(w *model.World) map[model.GroupKind]*model.Object {
	return Definitions(w.Kind(model.DefinitionKind))
})

// Definitions are CustomResourceDefinitions by the kind that they define.
func Definitions(objects []*model.Object) map[model.GroupKind]*model.Object {
	out := map[model.GroupKind]*model.Object{}
	for _, o := range objects {
		if o.GroupKind == model.DefinitionKind {
			out[model.DefinedResource(o).GroupKind] = o
		}
	}
	return out
}

// namespaceOf is a namespace as the API server has it, and whether its object was
// seen, so that its labels are known.
func namespaceOf(w *model.World, name string) (*corev1.Namespace, bool, error) {
	labels, known := w.NamespaceLabels(name)
	ns := &corev1.Namespace{}
	if o := w.Namespace(name); o != nil {
		if err := model.Decode(model.WithoutNulls(o.Content), ns); err != nil {
			return nil, false, err
		}
	}
	ns.TypeMeta = metav1.TypeMeta{}
	ns.Name, ns.Labels = name, labels
	return ns, known, nil
}

// Attributes describe the request to the API server's own packages.
func (r *Request) Attributes() admission.Attributes {
	o := r.Object
	requester := r.User
	if requester == nil {
		requester = &user.DefaultInfo{}
	}
	name, namespace := r.Content.GetName(), ""
	switch {
	case o.GroupKind == (model.GroupKind{Kind: "Namespace"}):
		namespace = name // so the API server has it
	case r.Namespace != nil:
		namespace = r.Namespace.Name
	}
	return admission.NewAttributesRecord(r.Content, nil, schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind},
		namespace, name, r.Resource, "", admission.Create, &metav1.CreateOptions{}, false, requester)
}
