package vap

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	listersv1 "k8s.io/client-go/listers/core/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// matched is whether match resources concern a request, and as which resource and kind
// they read it.
type matched struct {
	matches  bool
	resource schema.GroupVersionResource
	kind     schema.GroupVersionKind
	// unknown says why that cannot be told.
	unknown string
}

// match asks the API server's own matcher. field names the resources in what is unknown.
func match(r *creation.Request, a admission.Attributes, m *v1.MatchResources, field string, definitions map[model.GroupKind]*model.Object) (matched, error) {
	c := &criteria{resources: *m}
	selector, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
	if err != nil {
		return matched{}, err
	}
	c.namespaces = selector
	if r.Namespace != nil && !r.NamespaceKnown {
		c.namespaces, c.undecided = decided(selector)
	}
	mapper := &versions{request: r, rules: slices.Concat(m.ResourceRules, m.ExcludeResourceRules), definitions: definitions}
	ok, resource, kind, err := matching.NewMatcher(lister{r.Namespace}, nil).Matches(a, mapper, c)
	if err != nil || !ok {
		return matched{}, err
	}
	out := matched{matches: true, resource: resource, kind: kind}
	if c.undecided != "" {
		out.unknown = fmt.Sprintf("%s.namespaceSelector asks for the label %s, and the labels of namespace %s are not known: its Namespace was not given", field, c.undecided, r.Namespace.Name)
	}
	return out, nil
}

// decided are the requirements of a selector that the name of a namespace decides, and
// the label that the first other one asks for.
func decided(s labels.Selector) (labels.Selector, string) {
	all, _ := s.Requirements()
	undecided := ""
	out := labels.NewSelector()
	for _, r := range all {
		switch {
		case r.Key() == corev1.LabelMetadataName:
			out = out.Add(r)
		case undecided == "":
			undecided = r.Key()
		}
	}
	return out, undecided
}

// criteria are match resources in the form that the matcher reads.
type criteria struct {
	resources  v1.MatchResources
	namespaces labels.Selector
	undecided  string
}

func (c *criteria) GetParsedNamespaceSelector() (labels.Selector, error) { return c.namespaces, nil }
func (c *criteria) GetParsedObjectSelector() (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(c.resources.ObjectSelector)
}
func (c *criteria) GetMatchResources() v1.MatchResources { return c.resources }

var _ matching.MatchCriteria = &criteria{}

// lister has the one namespace that a request goes into.
type lister struct{ namespace *corev1.Namespace }

func (l lister) Get(name string) (*corev1.Namespace, error) {
	if l.namespace == nil {
		return nil, fmt.Errorf("namespace %q is not that of the request", name)
	}
	return l.namespace, nil
}
func (l lister) List(labels.Selector) ([]*corev1.Namespace, error) { return nil, nil }

var _ listersv1.NamespaceLister = lister{}

// versions tells in which other versions, and groups, the API serves an object: under
// matchPolicy Equivalent a policy that names one of them is asked too.
type versions struct {
	admission.ObjectInterfaces
	request     *creation.Request
	rules       []v1.NamedRuleWithOperations
	definitions map[model.GroupKind]*model.Object
}

func (v *versions) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return v }

// served are the kinds of Kubernetes that an API server serves in several versions, or
// in several groups.
var served = map[model.GroupKind][]schema.GroupVersion{
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: {{Group: "autoscaling", Version: "v1"}, {Group: "autoscaling", Version: "v2"}},
	{Kind: "Event"}:                         {{Version: "v1"}, {Group: "events.k8s.io", Version: "v1"}},
	{Group: "events.k8s.io", Kind: "Event"}: {{Version: "v1"}, {Group: "events.k8s.io", Version: "v1"}},
}

func (v *versions) EquivalentResourcesFor(resource schema.GroupVersionResource, subresource string) []schema.GroupVersionResource {
	gk := v.request.Object.GroupKind
	var out []schema.GroupVersionResource
	for _, gv := range served[gk] {
		out = append(out, gv.WithResource(resource.Resource))
	}
	if _, builtin := model.BuiltinResource(gk); builtin || subresource != "" {
		return out
	}
	if d := creation.Definition(v.request.World, gk, v.definitions); d != nil {
		for _, version := range d.List("spec", "versions") {
			name, _ := model.Get(version, "name").(string)
			if model.Get(version, "served") == true {
				out = append(out, schema.GroupVersionResource{Group: gk.Group, Version: name, Resource: resource.Resource})
			}
		}
		return out
	}
	// Whether the API serves the version that a policy names is not known; what comes of
	// it is unknown, not a pass.
	for _, r := range v.rules {
		for _, version := range r.APIVersions {
			if version != "*" && slices.Contains(r.APIGroups, gk.Group) {
				out = append(out, schema.GroupVersionResource{Group: gk.Group, Version: version, Resource: resource.Resource})
			}
		}
	}
	return out
}

func (v *versions) KindFor(resource schema.GroupVersionResource, _ string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: resource.Group, Version: resource.Version, Kind: v.request.Object.Kind}
}

// converted is an object in the version in which a policy reads it. It reports false
// where only the API server can convert it.
func converted(r *creation.Request, to schema.GroupVersionKind, definitions map[model.GroupKind]*model.Object) (runtime.Object, bool) {
	if to == r.Content.GroupVersionKind() {
		return r.Content, true
	}
	d := creation.Definition(r.World, r.Object.GroupKind, definitions)
	if d == nil || d.Text("spec", "conversion", "strategy") == "Webhook" {
		return nil, false
	}
	// Without a webhook only the version's name is another.
	out := r.Content.DeepCopy()
	out.SetGroupVersionKind(to)
	return out, true
}
