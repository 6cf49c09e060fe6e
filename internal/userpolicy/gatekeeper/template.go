package gatekeeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/constraints"
	v1 "github.com/open-policy-agent/frameworks/constraint/pkg/apis/templates/v1"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bulkhead.dev/bulkhead/internal/model"
)

// TemplateKind is the kind of a template.
var TemplateKind = model.GroupKind{Group: "templates.gatekeeper.sh", Kind: "ConstraintTemplate"}

// IsConstraint reports whether an object is a constraint, of whichever template.
func IsConstraint(o *model.Object) bool { return o.Group == constraints.Group }

// maxSource bounds the source of a template in bytes; an object in a cluster has at most
// 1.5 MB.
const maxSource = 1 << 20

// Template is a constraint template.
type Template struct {
	Object *model.Object
	// Kind is that of its constraints.
	Kind string

	parsed *templates.ConstraintTemplate
	// source is all of its source code.
	source string
}

// ParseTemplate reads a template. The error says what Gatekeeper would refuse in it.
func ParseTemplate(o *model.Object) (*Template, error) {
	if o.Version != "v1" && o.Version != "v1beta1" {
		return nil, fmt.Errorf("its version is %s: only v1 and v1beta1 are known", o.Version)
	}
	text, err := json.Marshal(o.Content)
	if err != nil {
		return nil, err
	}
	// The two versions have the same fields; only what the older one took for a schema
	// is laxer.
	versioned := &v1.ConstraintTemplate{}
	if err := json.Unmarshal(text, versioned); err != nil {
		return nil, fmt.Errorf("it would be refused by Gatekeeper: %w", err)
	}
	if o.Version == "v1beta1" {
		if v := versioned.Spec.CRD.Spec.Validation; v != nil && v.LegacySchema == nil {
			legacy := true
			v.LegacySchema = &legacy
		}
	}
	parsed, err := versioned.ToVersionless()
	if err != nil {
		return nil, fmt.Errorf("it would be refused by Gatekeeper: %w", err)
	}
	t := &Template{Object: o, Kind: parsed.Spec.CRD.Spec.Names.Kind, parsed: parsed}
	if len(parsed.Spec.Targets) != 1 || parsed.Spec.Targets[0].Target != targetName {
		return nil, fmt.Errorf("spec.targets must have one target, %s", targetName)
	}
	var sources []string
	for _, target := range parsed.Spec.Targets {
		// The framework has made a code of its own of what the field rego held.
		sources = append(sources, target.Libs...)
		if len(target.Code) == 0 {
			sources = append(sources, target.Rego)
		}
		for _, code := range target.Code {
			if code.Source == nil {
				return nil, fmt.Errorf("the source for %s is missing", code.Engine)
			}
			text, err := json.Marshal(code.Source.Value)
			if err != nil {
				return nil, err
			}
			sources = append(sources, string(text))
		}
	}
	if t.source = strings.Join(sources, "\n"); len(t.source) > maxSource {
		return nil, fmt.Errorf("its source has %d bytes; more than %d no cluster takes", len(t.source), maxSource)
	}
	if strings.Contains(t.source, "external_data") {
		return nil, errors.New("it reads external data (external_data), which needs a provider and a network: this is not supported")
	}
	return t, nil
}

// Referential reports whether the template reads other objects than the one under review.
func (t *Template) Referential() bool { return strings.Contains(t.source, "inventory") }

// requester reports whether the template reads who makes the request.
func (t *Template) requester() bool { return userInfo.MatchString(t.source) }

var userInfo = regexp.MustCompile(`userInfo|review\.options`)

// SyncData are the kinds of objects that a template says it needs of a cluster.
// https://open-policy-agent.github.io/gatekeeper/website/docs/sync
func (t *Template) SyncData() []model.GroupKind {
	var all [][]struct {
		Groups []string `json:"groups"`
		Kinds  []string `json:"kinds"`
	}
	text := strings.Trim(strings.TrimSpace(t.Object.Annotations()["metadata.gatekeeper.sh/requires-sync-data"]), `"`)
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	var out []model.GroupKind
	for _, alternatives := range all {
		for _, a := range alternatives {
			for _, g := range a.Groups {
				for _, k := range a.Kinds {
					out = append(out, model.GroupKind{Group: g, Kind: k})
				}
			}
		}
	}
	return out
}

// unstructuredOf is an object as the framework takes it.
func unstructuredOf(o *model.Object) *unstructured.Unstructured {
	return (&unstructured.Unstructured{Object: o.Content}).DeepCopy()
}
