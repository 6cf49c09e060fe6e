package gatekeeper

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/frameworks/constraint/pkg/core/constraints"
	"github.com/open-policy-agent/frameworks/constraint/pkg/handler"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// targetName is the target of every template for Kubernetes.
const targetName = "admission.k8s.gatekeeper.sh"

// review is an object under review. As JSON it is what a template reads as input.review.
type review struct {
	admissionv1.AdmissionRequest
	object         *unstructured.Unstructured
	old            *unstructured.Unstructured
	namespace      *corev1.Namespace
	namespaceKnown bool
	source         string
}

// target tells the framework of objects of Kubernetes.
type target struct{}

var _ handler.TargetHandler = target{}

func (target) GetName() string { return targetName }

// ProcessData says where an object lies in data.inventory.
func (target) ProcessData(data any) (bool, []string, any, error) {
	o, ok := data.(*unstructured.Unstructured)
	if !ok {
		return false, nil, nil, nil
	}
	path := []string{"cluster"}
	if ns := o.GetNamespace(); ns != "" {
		path = []string{"namespace", ns}
	}
	return true, append(path, o.GetAPIVersion(), o.GetKind(), o.GetName()), o.Object, nil
}

func (target) HandleReview(object any) (bool, any, error) {
	r, ok := object.(*review)
	return ok, r, nil
}

func (target) ValidateConstraint(c *unstructured.Unstructured) error {
	_, err := matchOf(c)
	return err
}

func (target) ToMatcher(c *unstructured.Unstructured) (constraints.Matcher, error) {
	m, err := matchOf(c)
	if err != nil {
		return nil, err
	}
	return matcher{m}, nil
}

type matcher struct{ match *Match }

func (m matcher) Match(object any) (bool, error) {
	r, ok := object.(*review)
	if !ok {
		return false, fmt.Errorf("a %T is under review", object)
	}
	matches, unknown := m.match.matches(r)
	if !matches && r.old != nil {
		before := *r
		before.object = r.old
		matches, unknown = m.match.matches(&before)
	}
	if unknown != "" {
		return false, fmt.Errorf("%s", unknown)
	}
	return matches, nil
}

// MatchSchema is the schema of spec.match.
func (target) MatchSchema() apiextensions.JSONSchemaProps {
	object := func(properties map[string]apiextensions.JSONSchemaProps) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "object", Properties: properties}
	}
	list := func(items apiextensions.JSONSchemaProps) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &items}}
	}
	text := apiextensions.JSONSchemaProps{Type: "string"}
	pattern := apiextensions.JSONSchemaProps{Type: "string", Pattern: `^\*?[-:a-z0-9]*\*?$`}
	enum := func(values ...string) apiextensions.JSONSchemaProps {
		p := text
		for _, v := range values {
			p.Enum = append(p.Enum, apiextensions.JSON(v))
		}
		return p
	}
	selector := object(map[string]apiextensions.JSONSchemaProps{
		"matchLabels": {Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{Allows: true, Schema: &text}},
		"matchExpressions": list(object(map[string]apiextensions.JSONSchemaProps{
			"key": text, "operator": enum("In", "NotIn", "Exists", "DoesNotExist"), "values": list(text)})),
	})
	return object(map[string]apiextensions.JSONSchemaProps{
		"source":             enum(sourceAll, sourceOriginal, sourceGenerated),
		"kinds":              list(object(map[string]apiextensions.JSONSchemaProps{"apiGroups": list(text), "kinds": list(text)})),
		"scope":              enum("*", "Cluster", "Namespaced"),
		"namespaces":         list(pattern),
		"excludedNamespaces": list(pattern),
		"labelSelector":      selector,
		"namespaceSelector":  selector,
		"name":               pattern,
	})
}

// asMap is a value as decoded JSON.
func asMap(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(text, &out)
}
