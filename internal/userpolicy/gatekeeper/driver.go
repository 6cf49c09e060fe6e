package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	"github.com/open-policy-agent/frameworks/constraint/pkg/types"
	"github.com/open-policy-agent/opa/v1/storage"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"

	"bulkhead.dev/bulkhead/internal/userpolicy/vap"
)

// engineCEL is the engine of templates in CEL.
const engineCEL = "K8sNativeValidation"

// celSource is the source of a template in CEL.
// https://open-policy-agent.github.io/gatekeeper/website/docs/validating-admission-policy
type celSource struct {
	Validations     []admissionregistrationv1.Validation     `json:"validations,omitempty"`
	FailurePolicy   *string                                  `json:"failurePolicy,omitempty"`
	MatchConditions []admissionregistrationv1.MatchCondition `json:"matchCondition,omitempty"`
	Variables       []admissionregistrationv1.Variable       `json:"variables,omitempty"`
	// GenerateVAP is for Gatekeeper's own use.
	GenerateVAP *bool `json:"generateVAP,omitempty"`
}

// celDriver evaluates templates in CEL with the validator of the API server.
type celDriver struct {
	minor int

	mu      sync.RWMutex
	sources map[string]*celTemplate
}

type celTemplate struct {
	*vap.Source
	// ignore says that the author wants errors to let an object through.
	ignore bool
}

var _ drivers.Driver = &celDriver{}

func newCELDriver(minor int) *celDriver {
	return &celDriver{minor: minor, sources: map[string]*celTemplate{}}
}

func (d *celDriver) Name() string { return engineCEL }

// parseCEL reads the source in CEL of a template; nil where it has none.
func parseCEL(t *templates.ConstraintTemplate) (*celSource, error) {
	for _, target := range t.Spec.Targets {
		for _, code := range target.Code {
			if code.Engine != engineCEL || code.Source == nil {
				continue
			}
			text, err := json.Marshal(code.Source.Value)
			if err != nil {
				return nil, err
			}
			s := &celSource{}
			d := json.NewDecoder(strings.NewReader(string(text)))
			d.DisallowUnknownFields()
			if err := d.Decode(s); err != nil {
				return nil, fmt.Errorf("the source for %s: %w", engineCEL, err)
			}
			return s, nil
		}
	}
	return nil, nil
}

// policyOf is a template in CEL as the policy that it amounts to.
func (s *celSource) policyOf(name string) (*admissionregistrationv1.ValidatingAdmissionPolicy, error) {
	p := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Validations, p.Spec.MatchConditions = s.Validations, s.MatchConditions
	// What every template may use: its parameters, and the object whatever the operation.
	p.Spec.Variables = []admissionregistrationv1.Variable{
		{Name: "params", Expression: "has(params.spec) && has(params.spec.parameters) ? params.spec.parameters : null"},
		{Name: "anyObject", Expression: "has(request.operation) && request.operation == 'DELETE' && object == null ? oldObject : object"},
	}
	for _, v := range s.Variables {
		if v.Name == "params" || v.Name == "anyObject" || strings.HasPrefix(v.Name, "gatekeeper_internal_") {
			return nil, fmt.Errorf("a variable may not be called %q: Gatekeeper keeps that name for itself", v.Name)
		}
	}
	p.Spec.Variables = append(p.Spec.Variables, s.Variables...)
	if f := s.FailurePolicy; f != nil && *f != "Fail" && *f != "Ignore" {
		return nil, fmt.Errorf("failurePolicy is %q: it must be Fail or Ignore", *f)
	}
	return p, nil
}

func (d *celDriver) AddTemplate(_ context.Context, t *templates.ConstraintTemplate) error {
	source, err := parseCEL(t)
	if err != nil {
		return err
	}
	if source == nil {
		return fmt.Errorf("the template has no source for %s", engineCEL)
	}
	policy, err := source.policyOf(t.Name)
	if err != nil {
		return err
	}
	compiled, err := vap.CompileSource(policy, d.minor)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources[t.Name] = &celTemplate{compiled, source.FailurePolicy != nil && *source.FailurePolicy == "Ignore"}
	return nil
}

func (d *celDriver) RemoveTemplate(_ context.Context, t *templates.ConstraintTemplate) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sources, t.Name)
	return nil
}

// AddConstraint and the like have nothing to keep: a constraint comes with each query, and
// CEL reads no other objects.
func (d *celDriver) AddConstraint(context.Context, *unstructured.Unstructured) error    { return nil }
func (d *celDriver) RemoveConstraint(context.Context, *unstructured.Unstructured) error { return nil }
func (d *celDriver) AddData(context.Context, string, storage.Path, any) error           { return nil }
func (d *celDriver) RemoveData(context.Context, string, storage.Path) error             { return nil }
func (d *celDriver) Dump(context.Context) (string, error)                               { return "", nil }
func (d *celDriver) GetDescriptionForStat(name string) (string, error) {
	return "", fmt.Errorf("there is no statistic %q", name)
}

func (d *celDriver) template(name string) *celTemplate {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sources[name]
}

func (d *celDriver) Query(ctx context.Context, target string, constraints []*unstructured.Unstructured, object any, _ ...reviews.ReviewOpt) (*drivers.QueryResponse, error) {
	r, ok := object.(*review)
	if !ok {
		return nil, fmt.Errorf("a %T is under review", object)
	}
	out := &drivers.QueryResponse{}
	versioned := r.versioned()
	for _, c := range constraints {
		t := d.template(strings.ToLower(c.GetKind()))
		if t == nil {
			return nil, fmt.Errorf("there is no template for %s", c.GetKind())
		}
		switch {
		case t.Requester() && r.UserInfo.Username == "":
			out.Results = append(out.Results, unknownResult(target, c, "it reads who makes the request, and that is not known"))
			continue
		case t.Namespace() && r.namespace != nil && !r.namespaceKnown:
			out.Results = append(out.Results, unknownResult(target, c, "it reads namespaceObject, and the Namespace "+r.namespace.Name+" was not given"))
			continue
		}
		for _, decision := range t.Validate(ctx, versioned, c, r.namespace) {
			switch {
			case decision.Evaluation == validating.EvalError:
				e := unknownResult(target, c, "it cannot be evaluated: "+decision.Message)
				e.Metadata[ignoredKey] = t.ignore
				out.Results = append(out.Results, e)
			case decision.Action == validating.ActionDeny:
				out.Results = append(out.Results, &types.Result{Target: target, Msg: decision.Message, Constraint: c})
			}
		}
	}
	return out, nil
}

// unknownKey marks, in the metadata of a result, one that is no violation: it says why
// there may be one. ignoredKey says that Gatekeeper lets the object through then.
const unknownKey, ignoredKey = "bulkhead.dev/unknown", "bulkhead.dev/ignored"

func unknownResult(target string, c *unstructured.Unstructured, why string) *types.Result {
	return &types.Result{Target: target, Msg: why, Constraint: c, Metadata: map[string]any{unknownKey: true}}
}

// versioned describes the review to the API server's own packages.
func (r *review) versioned() *admission.VersionedAttributes {
	kind := schema.GroupVersionKind{Group: r.Kind.Group, Version: r.Kind.Version, Kind: r.Kind.Kind}
	resource := schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Resource}
	who := &user.DefaultInfo{Name: r.UserInfo.Username, UID: r.UserInfo.UID, Groups: r.UserInfo.Groups}
	var object, old runtime.Object
	if r.object != nil && r.Operation != "DELETE" {
		object = r.object
	}
	if r.old != nil {
		old = r.old
	}
	a := admission.NewAttributesRecord(object, old, kind, r.AdmissionRequest.Namespace, r.Name, resource, r.SubResource, admission.Operation(r.Operation), nil, false, who)
	return &admission.VersionedAttributes{Attributes: a, VersionedKind: kind, VersionedObject: lazy(object), VersionedOldObject: lazy(old)}
}

func lazy(o runtime.Object) admission.LazyObject {
	if o == nil {
		return admission.LazyObject{}
	}
	return admission.NewLazyObject(o)
}
