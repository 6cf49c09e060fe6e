package gatekeeper

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/types"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// Constraint is a constraint with its template, ready to judge. It may be used by many
// goroutines at once.
type Constraint struct {
	Template *Template
	Object   *model.Object
	// Action is what Gatekeeper does about a violation: deny, warn, dryrun, or scoped.
	Action string

	match *Match
	minor int
	// engine evaluates it with the objects of a world, one for all worlds where it reads
	// no other objects.
	engine *model.Fact[engineOrError]
	shared engineOrError
	// late is set once an evaluation has taken too long: the next ones would too.
	late atomic.Bool
}

type engineOrError struct {
	client *client.Client
	err    error
}

// patience is how long one evaluation may take. The API server waits for Gatekeeper for 3
// seconds by default.
const patience = 3 * time.Second

// points are where an enforcement action may be scoped to.
var points = []string{"validation.gatekeeper.sh", "audit.gatekeeper.sh", "gator.gatekeeper.sh", "vap.k8s.io"}

// network are the functions of Rego that reach out of the evaluation.
var network = []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}

// Compile makes a constraint of a template ready, for an API server of Kubernetes
// 1.minor. The error says what Gatekeeper would refuse in one of them.
func Compile(ctx context.Context, t *Template, constraint *model.Object, minor int) (*Constraint, error) {
	c := &Constraint{Template: t, Object: constraint, minor: minor}
	u := unstructuredOf(constraint)
	var err error
	if c.match, err = matchOf(u); err != nil {
		return nil, err
	}
	if c.Action, _, _ = unstructured.NestedString(u.Object, "spec", "enforcementAction"); c.Action == "" {
		c.Action = "deny"
	}
	if c.shared.client, err = newClient(ctx, t, minor); err != nil {
		return nil, fmt.Errorf("template %s: %w", t.Object.Name, err)
	}
	if err := addConstraint(ctx, c.shared.client, u); err != nil {
		return nil, err
	}
	c.engine = model.NewFact(func(w *model.World) engineOrError { return c.inWorld(context.WithoutCancel(ctx), w) })
	return c, nil
}

// newClient makes a client of the framework with one template.
func newClient(ctx context.Context, t *Template, minor int) (*client.Client, error) {
	inRego, err := rego.New(rego.DisableBuiltins(network...))
	if err != nil {
		return nil, err
	}
	c, err := client.NewClient(client.Targets(target{}), client.Driver(inRego), client.Driver(newCELDriver(minor)), client.EnforcementPoints(points...))
	if err != nil {
		return nil, err
	}
	_, err = c.AddTemplate(ctx, t.parsed)
	return c, err
}

func addConstraint(ctx context.Context, c *client.Client, u *unstructured.Unstructured) error {
	if _, err := c.AddConstraint(ctx, u); err != nil {
		return fmt.Errorf("it would be refused by Gatekeeper: %w", err)
	}
	return nil
}

// inWorld is an engine that knows the objects of a world.
func (c *Constraint) inWorld(ctx context.Context, w *model.World) engineOrError {
	engine, err := newClient(ctx, c.Template, c.minor)
	if err == nil {
		err = addConstraint(ctx, engine, unstructuredOf(c.Object))
	}
	for _, o := range w.Objects {
		if err != nil {
			break
		}
		u, broken := creation.AsParameter(o)
		if broken != nil || u.GetName() == "" {
			continue // it is said of the object itself
		}
		_, err = engine.AddData(ctx, u)
	}
	return engineOrError{engine, err}
}

// Concerns reports whether the constraint is about objects of a kind.
func (c *Constraint) Concerns(gk model.GroupKind) bool { return c.match.Concerns(gk) }

// Result is what a constraint says of an object.
type Result struct {
	// Matched says that the constraint is about the object.
	Matched    bool
	Violations []string
	// Unknown says why there may be more violations than those.
	Unknown []string
}

// Evaluate judges a request. The error is that of the context.
func (c *Constraint) Evaluate(ctx context.Context, r *creation.Request) (Result, error) {
	rv := reviewOf(r)
	matches, unknown := c.match.matches(rv)
	if !matches || !c.Concerns(r.Object.GroupKind) {
		return Result{}, nil
	}
	out := Result{Matched: true}
	if unknown != "" {
		out.Unknown = []string{unknown}
		return out, nil
	}
	if c.Template.requester() && r.User == nil {
		out.Unknown = []string{"its template reads who makes the request, and that is not known"}
		return out, nil
	}
	engine := c.shared
	if c.Template.Referential() {
		engine = c.engine.Of(r.World)
		out.Unknown = append(out.Unknown, c.unread(r.World)...)
	}
	if engine.err != nil {
		out.Unknown = append(out.Unknown, engine.err.Error())
		return out, nil
	}
	results, why, err := c.query(ctx, engine.client, rv)
	if err != nil {
		return out, err
	}
	if why != "" {
		out.Unknown = append(out.Unknown, why)
	}
	for _, result := range results {
		if isUnknown(result) {
			out.Unknown = append(out.Unknown, result.Msg)
		} else {
			out.Violations = append(out.Violations, result.Msg)
		}
	}
	return out, nil
}

// unread says which objects that the template may look up are not known.
func (c *Constraint) unread(w *model.World) []string {
	if !w.Complete {
		return []string{"its template reads other objects (data.inventory), and there may be more than those given; scan with --complete if that is all"}
	}
	var out []string
	kinds := c.Template.SyncData()
	for _, u := range w.Coverage() {
		if len(kinds) == 0 || slices.Contains(kinds, u.GroupKind) {
			out = append(out, fmt.Sprintf("its template reads other objects, and %s could not be read: %s", u.GroupKind, u.Reason))
		}
	}
	if w.Record() != nil {
		out = append(out, "its template reads other objects, of which a snapshot leaves out values")
	}
	return out
}

// query runs the constraint on an object for as long as it may take.
func (c *Constraint) query(ctx context.Context, engine *client.Client, r *review) (results []*types.Result, unknown string, err error) {
	late := fmt.Sprintf("its template took longer than %s on an object, and is not asked again", patience)
	if c.late.Load() {
		return nil, late, nil
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var options []reviews.ReviewOpt
	if r.namespace != nil {
		namespace, err := asMap(r.namespace)
		if err != nil {
			return nil, err.Error(), nil
		}
		options = append(options, reviews.Namespace(namespace))
	}
	responses, failure := engine.Review(limited, r, options...)
	switch {
	case ctx.Err() != nil:
		return nil, "", ctx.Err()
	case limited.Err() != nil:
		c.late.Store(true)
		return nil, late, nil
	case failure != nil:
		return nil, "it cannot be evaluated: " + failure.Error(), nil
	}
	return responses.Results(), "", nil
}

// evaluationError is how the Rego driver words an evaluation that failed; it reports it as
// a violation.
var evaluationError = regexp.MustCompile(`^(\S+:\d+: )?eval_[a-z_]+_error: `)

func isUnknown(r *types.Result) bool {
	return r.Metadata[unknownKey] == true || evaluationError.MatchString(r.Msg)
}

// reviewOf is a request as Gatekeeper's webhook sees it.
func reviewOf(r *creation.Request) *review {
	o := r.Object
	gvk := metav1.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
	a := r.Attributes()
	out := &review{object: r.Content, namespace: r.Namespace, namespaceKnown: r.NamespaceKnown, source: sourceOriginal}
	gvr := metav1.GroupVersionResource(r.Resource)
	out.AdmissionRequest = admissionv1.AdmissionRequest{UID: creation.UID, Kind: gvk, RequestKind: &gvk, Resource: gvr, RequestResource: &gvr,
		Name: a.GetName(), Namespace: a.GetNamespace(), Operation: admissionv1.Create, Object: runtime.RawExtension{Object: r.Content}}
	if r.User != nil {
		out.UserInfo = authenticationv1.UserInfo{Username: r.User.GetName(), UID: r.User.GetUID(), Groups: r.User.GetGroups()}
	}
	return out
}

// Scope says, of an action that differs by where it is enforced, where.
func (c *Constraint) Scope() string {
	if c.Action != "scoped" {
		return ""
	}
	var parts []string
	for _, action := range c.Object.List("spec", "scopedEnforcementActions") {
		name, _ := model.Get(action, "action").(string)
		list, _ := model.Get(action, "enforcementPoints").([]any)
		for _, point := range list {
			p, _ := model.Get(point, "name").(string)
			parts = append(parts, name+" at "+p)
		}
	}
	return strings.Join(parts, ", ")
}
