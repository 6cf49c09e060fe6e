package gatekeeper

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
)

// Match is spec.match of a constraint. Empty fields match everything.
// https://open-policy-agent.github.io/gatekeeper/website/docs/howto#the-match-field
type Match struct {
	Source             string                `json:"source,omitempty"`
	Kinds              []Kinds               `json:"kinds,omitempty"`
	Scope              string                `json:"scope,omitempty"`
	Namespaces         []string              `json:"namespaces,omitempty"`
	ExcludedNamespaces []string              `json:"excludedNamespaces,omitempty"`
	LabelSelector      *metav1.LabelSelector `json:"labelSelector,omitempty"`
	NamespaceSelector  *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	Name               string                `json:"name,omitempty"`

	labels, namespaces labels.Selector
}

// Kinds are kinds of groups; * is any.
type Kinds struct {
	APIGroups []string `json:"apiGroups,omitempty"`
	Kinds     []string `json:"kinds,omitempty"`
}

// Where an object comes from: as it was written, or made by an expansion.
const (
	sourceAll       = "All"
	sourceOriginal  = "Original"
	sourceGenerated = "Generated"
)

// matchOf reads spec.match of a constraint.
func matchOf(constraint *unstructured.Unstructured) (*Match, error) {
	raw, _, err := unstructured.NestedMap(constraint.Object, "spec", "match")
	if err != nil {
		return nil, fmt.Errorf("spec.match: %w", err)
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("spec.match: %w", err)
	}
	m := &Match{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("spec.match: %w", err)
	}
	if !slices.Contains([]string{"", sourceAll, sourceOriginal, sourceGenerated}, m.Source) {
		return nil, fmt.Errorf("spec.match.source is %q: it may be All, Original or Generated", m.Source)
	}
	if m.labels, err = selectorOf(m.LabelSelector); err != nil {
		return nil, fmt.Errorf("spec.match.labelSelector: %w", err)
	}
	if m.namespaces, err = selectorOf(m.NamespaceSelector); err != nil {
		return nil, fmt.Errorf("spec.match.namespaceSelector: %w", err)
	}
	return m, nil
}

func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

// Concerns reports whether the match is about objects of a kind.
func (m *Match) Concerns(gk model.GroupKind) bool {
	has := func(list []string, v string) bool {
		return len(list) == 0 || slices.Contains(list, "*") || slices.Contains(list, v)
	}
	return len(m.Kinds) == 0 || slices.ContainsFunc(m.Kinds, func(k Kinds) bool { return has(k.APIGroups, gk.Group) && has(k.Kinds, gk.Kind) })
}

// matches reports whether the match is about an object. Unknown says why that cannot be
// told: the labels of the namespace were not given.
func (m *Match) matches(r *review) (ok bool, unknown string) {
	o := r.object
	gvk := o.GroupVersionKind()
	isNamespace := gvk.Group == "" && gvk.Kind == "Namespace"
	namespace := o.GetNamespace()
	switch {
	case isNamespace:
		namespace = o.GetName()
	case r.namespace != nil:
		namespace = r.namespace.Name
	}
	namespaced := !isNamespace && namespace != ""
	switch {
	case !m.Concerns(model.GroupKind{Group: gvk.Group, Kind: gvk.Kind}),
		m.Scope == "Cluster" && namespaced, m.Scope == "Namespaced" && !namespaced,
		len(m.Namespaces) > 0 && namespace != "" && !slices.ContainsFunc(m.Namespaces, func(g string) bool { return glob(g, namespace) }),
		namespace != "" && slices.ContainsFunc(m.ExcludedNamespaces, func(g string) bool { return glob(g, namespace) }),
		!m.labels.Matches(labels.Set(o.GetLabels())),
		m.Name != "" && !glob(m.Name, o.GetName()) && !globGenerated(m.Name, o.GetGenerateName()),
		m.Source != "" && m.Source != sourceAll && m.Source != r.source:
		return false, ""
	case isNamespace:
		return m.namespaces.Matches(labels.Set(o.GetLabels())), ""
	case !namespaced || m.NamespaceSelector == nil:
		return true, ""
	case r.namespace != nil && r.namespaceKnown:
		return m.namespaces.Matches(labels.Set(r.namespace.Labels)), ""
	}
	return m.bySelector(namespace)
}

// bySelector decides by the name of a namespace alone.
func (m *Match) bySelector(namespace string) (bool, string) {
	requirements, _ := m.namespaces.Requirements()
	undecided := ""
	for _, r := range requirements {
		switch {
		case r.Key() != corev1.LabelMetadataName:
			undecided = r.Key()
		case !r.Matches(labels.Set{corev1.LabelMetadataName: namespace}):
			return false, ""
		}
	}
	if undecided == "" {
		return true, ""
	}
	return true, fmt.Sprintf("spec.match.namespaceSelector asks for the label %s, and the labels of namespace %s are not known: its Namespace was not given", undecided, namespace)
}

// glob compares with a pattern that may begin and end in an asterisk.
func glob(pattern, s string) bool {
	inner, before := strings.CutPrefix(pattern, "*")
	inner, after := strings.CutSuffix(inner, "*")
	switch {
	case before && after, pattern == "*":
		return strings.Contains(s, inner)
	case before:
		return strings.HasSuffix(s, inner)
	case after:
		return strings.HasPrefix(s, inner)
	}
	return s == pattern
}

// globGenerated compares a pattern with the beginning of a name that is made up: how that
// ends is not known.
func globGenerated(pattern, prefix string) bool {
	return strings.HasSuffix(pattern, "*") && glob(pattern, prefix)
}
