package gatekeeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/constraints"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
)

// SuiteKind is the kind of a file of tests, as the gator tool reads it.
// https://open-policy-agent.github.io/gatekeeper/website/docs/gator#suites
var SuiteKind = model.GroupKind{Group: "test.gatekeeper.sh", Kind: "Suite"}

// Suite is tests of templates with constraints. Paths are relative to its file.
type Suite struct {
	Tests []SuiteTest `json:"tests"`
	Skip  bool        `json:"skip"`
}

// SuiteTest is a constraint and the objects that it is tried on.
type SuiteTest struct {
	Name       string      `json:"name"`
	Template   string      `json:"template"`
	Constraint string      `json:"constraint"`
	Expansion  string      `json:"expansion"`
	Cases      []SuiteCase `json:"cases,omitempty"`
	// Invalid says that the constraint does not fit the template's schema.
	Invalid bool `json:"invalid"`
	Skip    bool `json:"skip"`
}

// SuiteCase is one object and what is to come of it.
type SuiteCase struct {
	Name       string      `json:"name"`
	Object     string      `json:"object"`
	Inventory  []string    `json:"inventory"`
	Assertions []Assertion `json:"assertions"`
	Skip       bool        `json:"skip"`
}

// Assertion is how many violations have a message: yes (the default), no, or a number.
type Assertion struct {
	Violations *Violations `json:"violations,omitempty"`
	// Message is a regular expression; without one every violation counts.
	Message *string `json:"message,omitempty"`
}

// Violations is a number, yes, or no.
type Violations struct{ intstr.IntOrString }

// UnmarshalJSON takes true for yes, and false for no: so YAML reads them without quotes.
func (v *Violations) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true":
		v.IntOrString = intstr.FromString("yes")
		return nil
	case "false":
		v.IntOrString = intstr.FromString("no")
		return nil
	}
	return v.IntOrString.UnmarshalJSON(text)
}

// ParseSuite reads a suite. A field that a suite does not have is an error.
func ParseSuite(o *model.Object) (*Suite, error) {
	content := map[string]any{}
	for k, v := range o.Content {
		if k != "apiVersion" && k != "kind" && k != "metadata" {
			content[k] = v
		}
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	s := &Suite{}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("the suite: %w", err)
	}
	return s, nil
}

// Files reads the objects of a file that a suite names.
type Files func(path string) ([]*model.Object, error)

// one reads a file with one object.
func (f Files) one(what, path string) (*model.Object, error) {
	if path == "" {
		return nil, fmt.Errorf("it names no %s", what)
	}
	objects, err := f(path)
	if err != nil {
		return nil, err
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("%s must have one %s, and has %d objects", path, what, len(objects))
	}
	return objects[0], nil
}

// TestRun is a test of a suite that is ready to run its cases.
type TestRun struct {
	test     *SuiteTest
	files    Files
	template *Template
	object   *unstructured.Unstructured
	minor    int
}

// Prepare makes a test ready. Where the test wants its constraint to be invalid, that is
// all of it, and the run has no cases.
func (t *SuiteTest) Prepare(ctx context.Context, files Files, minor int) (*TestRun, error) {
	if t.Expansion != "" {
		return nil, errors.New("it has an expansion, which is not supported")
	}
	o, err := files.one("template", t.Template)
	if err != nil {
		return nil, err
	}
	if o.GroupKind != TemplateKind {
		return nil, fmt.Errorf("%s is a %s, no ConstraintTemplate", t.Template, o.Kind)
	}
	r := &TestRun{test: t, files: files, minor: minor}
	if r.template, err = ParseTemplate(o); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Template, err)
	}
	c, err := files.one("constraint", t.Constraint)
	if err != nil {
		return nil, err
	}
	r.object = unstructuredOf(c)
	_, err = r.client(ctx)
	switch {
	case t.Invalid && errors.Is(err, constraints.ErrSchema):
		return r, nil
	case t.Invalid:
		return nil, fmt.Errorf("the constraint fits the schema of its template, and was to be invalid (%w)", err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", t.Constraint, err)
	}
	return r, nil
}

func (r *TestRun) client(ctx context.Context) (*client.Client, error) {
	c, err := newClient(ctx, r.template, r.minor)
	if err != nil {
		return nil, err
	}
	return c, addConstraint(ctx, c, r.object)
}

// Run tries the constraint on the object of a case. The error says which assertion does
// not hold.
func (r *TestRun) Run(ctx context.Context, c *SuiteCase) error {
	if len(c.Assertions) == 0 {
		return errors.New("it has no assertions")
	}
	engine, err := r.client(ctx)
	if err != nil {
		return err
	}
	o, err := r.files.one("object", c.Object)
	if err != nil {
		return err
	}
	rv, err := caseReview(o)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Object, err)
	}
	for _, path := range c.Inventory {
		if err := r.know(ctx, engine, path, rv); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	match, err := matchOf(r.object)
	if err != nil {
		return err
	}
	run := &Constraint{Template: r.template, match: match}
	results, unknown, err := run.query(ctx, engine, rv)
	if err != nil {
		return err
	}
	if unknown != "" {
		return errors.New(unknown)
	}
	var messages []string
	for _, result := range results {
		// What cannot be evaluated is refused, unless the author wants it let through.
		if result.Metadata[ignoredKey] != true {
			messages = append(messages, result.Msg)
		}
	}
	for i := range c.Assertions {
		if err := c.Assertions[i].holds(messages); err != nil {
			return err
		}
	}
	return nil
}

// know puts the objects of a file into the inventory, where the Namespace of the object
// under review may be as well.
func (r *TestRun) know(ctx context.Context, engine *client.Client, path string, rv *review) error {
	objects, err := r.files(path)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := engine.AddData(ctx, unstructuredOf(o)); err != nil {
			return err
		}
		if o.GroupKind == (model.GroupKind{Kind: "Namespace"}) && o.Name == rv.AdmissionRequest.Namespace {
			rv.namespace, rv.namespaceKnown = &corev1.Namespace{}, true
			if err := model.Decode(o.Content, rv.namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

// holds reports whether as many messages match as are wanted.
func (a *Assertion) holds(messages []string) error {
	matching := len(messages)
	of := ""
	if a.Message != nil {
		pattern, err := regexp.Compile(*a.Message)
		if err != nil {
			return fmt.Errorf("the message of an assertion is no regular expression: %w", err)
		}
		matching = 0
		for _, m := range messages {
			if pattern.MatchString(m) {
				matching++
			}
		}
		of = fmt.Sprintf(" with a message like %q", *a.Message)
	}
	want := intstr.FromString("yes")
	if a.Violations != nil {
		want = a.Violations.IntOrString
	}
	ok, wanted := false, ""
	switch {
	case want.Type == intstr.Int && want.IntVal >= 0:
		ok, wanted = matching == int(want.IntVal), fmt.Sprint(want.IntVal)
	case want.StrVal == "yes":
		ok, wanted = matching > 0, "at least one"
	case want.StrVal == "no":
		ok, wanted = matching == 0, "none"
	default:
		return fmt.Errorf("violations of an assertion is %s: it must be yes, no or a number", want.String())
	}
	if !ok {
		return fmt.Errorf("%d violations%s, and %s was wanted; the messages are %q", matching, of, wanted, messages)
	}
	return nil
}

// caseReview is the object of a case under review: as it is written, or as an
// AdmissionReview says.
func caseReview(o *model.Object) (*review, error) {
	u := unstructuredOf(o)
	r := &review{source: sourceOriginal}
	if o.Group != admissionv1.GroupName || o.Kind != "AdmissionReview" {
		r.object = u
		gvk := u.GroupVersionKind()
		r.AdmissionRequest = admissionv1.AdmissionRequest{Kind: metav1.GroupVersionKind(gvk), Name: u.GetName(), Namespace: u.GetNamespace(),
			Object: runtime.RawExtension{Object: u}}
		return r, nil
	}
	in := admissionv1.AdmissionReview{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, &in, true); err != nil {
		return nil, err
	}
	if in.Request == nil {
		return nil, errors.New("the AdmissionReview has no request")
	}
	r.AdmissionRequest = *in.Request
	for _, part := range []struct {
		raw  *runtime.RawExtension
		into **unstructured.Unstructured
	}{{&r.Object, &r.object}, {&r.OldObject, &r.old}} {
		if part.raw.Raw == nil {
			continue
		}
		*part.into = &unstructured.Unstructured{}
		if err := (*part.into).UnmarshalJSON(part.raw.Raw); err != nil {
			return nil, err
		}
		part.raw.Object, part.raw.Raw = *part.into, nil
	}
	switch {
	case r.object == nil && r.old == nil:
		return nil, errors.New("the request of the AdmissionReview has neither object nor oldObject")
	case r.object == nil || r.Operation == admissionv1.Delete:
		if r.old == nil {
			return nil, errors.New("a DELETE needs an oldObject")
		}
		r.object, r.Object = r.old, r.OldObject
	}
	return r, nil
}
