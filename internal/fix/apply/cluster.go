package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Cluster is an API server to which changes are said. It may be used by many
// goroutines.
type Cluster struct {
	discovery *discovery.DiscoveryClient
	dynamic   dynamic.Interface
	// Force takes fields over from their managers instead of reporting the conflict.
	Force bool

	mu       sync.Mutex
	versions map[schema.GroupVersion]*version
	paths    map[string]openapi.GroupVersionWithContext
}

// version is what an API server says of one version of a group.
type version struct {
	once      sync.Once
	resources map[string]metav1.APIResource
	err       error
	// converter is nil where the API server does not tell the schema.
	converter managedfields.TypeConverter
}

// Connect makes a Cluster; it asks nothing yet.
func Connect(config *rest.Config) (*Cluster, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	return &Cluster{discovery: d, dynamic: client, versions: map[schema.GroupVersion]*version{}}, nil
}

// Get reads an object as the API server has it.
func (c *Cluster) Get(ctx context.Context, ref finding.Ref) (map[string]any, error) {
	client, _, err := c.client(ctx, ref)
	if err != nil {
		return nil, err
	}
	u, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, describe("read", ref, err)
	}
	return u.Object, nil
}

// Patch makes the patch for a change of an object that was read with Get.
func (c *Cluster) Patch(ctx context.Context, ref finding.Ref, live, after map[string]any, edits []finding.Edit) (*Patch, error) {
	v, err := c.version(ctx, ref)
	if err != nil {
		return nil, err
	}
	return New(v.converter, live, after, edits)
}

// Send has the API server make a patch of the object in that version (any, where it
// is empty), or only say what it would come to.
func (c *Cluster) Send(ctx context.Context, ref finding.Ref, p *Patch, resourceVersion string, dryRun bool) (map[string]any, error) {
	client, _, err := c.client(ctx, ref)
	if err != nil {
		return nil, err
	}
	body, err := p.Body(resourceVersion)
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", ref, err)
	}
	o := metav1.PatchOptions{FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict}
	if p.Type == types.ApplyPatchType {
		o.Force = &c.Force
	}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	u, err := client.Patch(ctx, ref.Name, p.Type, body, o)
	if p.Type == types.JSONPatchType && testFailed(err) {
		return nil, fmt.Errorf("change %s: %w", ref, ErrChanged)
	}
	if err != nil {
		return nil, describe("change", ref, err)
	}
	return u.Object, nil
}

// Resource is how an API server calls the kind of an object: deployments.apps.
func (c *Cluster) Resource(ctx context.Context, ref finding.Ref) (string, error) {
	_, r, err := c.client(ctx, ref)
	return r.GroupResource().String(), err
}

func (c *Cluster) client(ctx context.Context, ref finding.Ref) (dynamic.ResourceInterface, schema.GroupVersionResource, error) {
	none := schema.GroupVersionResource{}
	v, err := c.version(ctx, ref)
	if err != nil {
		return nil, none, err
	}
	r, ok := v.resources[ref.Kind]
	if !ok {
		return nil, none, fmt.Errorf("the API server does not serve %s of %s", ref.Kind, groupVersion(ref))
	}
	gvr := groupVersion(ref).WithResource(r.Name)
	if !r.Namespaced {
		return c.dynamic.Resource(gvr), gvr, nil
	}
	return c.dynamic.Resource(gvr).Namespace(ref.Namespace), gvr, nil
}

func groupVersion(ref finding.Ref) schema.GroupVersion {
	return schema.GroupVersion{Group: ref.Group, Version: ref.Version}
}

// version asks, once, what the API server says of the version of an object.
func (c *Cluster) version(ctx context.Context, ref finding.Ref) (*version, error) {
	gv := groupVersion(ref)
	c.mu.Lock()
	v := c.versions[gv]
	if v == nil {
		v = &version{}
		c.versions[gv] = v
	}
	c.mu.Unlock()
	v.once.Do(func() { v.err = c.ask(ctx, gv, v) })
	return v, v.err
}

func (c *Cluster) ask(ctx context.Context, gv schema.GroupVersion, v *version) error {
	list, err := c.discovery.ServerResourcesForGroupVersionWithContext(ctx, gv.String())
	if err != nil {
		return fmt.Errorf("ask what the API server serves of %s: %w", gv, err)
	}
	v.resources = map[string]metav1.APIResource{}
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			v.resources[r.Kind] = r
		}
	}
	// Without a schema a change is a JSON Patch.
	v.converter, _ = c.schema(ctx, gv)
	return ctx.Err()
}

// schema reads the types of a version as the API server publishes them, custom
// resources among them.
func (c *Cluster) schema(ctx context.Context, gv schema.GroupVersion) (managedfields.TypeConverter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths == nil {
		paths, err := c.discovery.OpenAPIV3WithContext(ctx).PathsWithContext(ctx)
		if err != nil {
			return nil, err
		}
		c.paths = paths
	}
	path := "apis/" + gv.String()
	if gv.Group == "" {
		path = "api/" + gv.Version
	}
	document, ok := c.paths[path]
	if !ok {
		return nil, errors.New("the API server publishes no schema of " + gv.String())
	}
	data, err := document.SchemaWithContext(ctx, "application/json")
	if err != nil {
		return nil, err
	}
	var parsed struct {
		Components struct {
			Schemas map[string]*spec.Schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(data, &parsed); err != nil {
		return nil, err
	}
	return managedfields.NewTypeConverter(parsed.Components.Schemas, false)
}

// testFailed reports whether a JSON Patch was refused as a whole: the API server does
// not say that a test in it failed, but of an object that is invalid it says why.
func testFailed(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || len(details.Causes) == 0
}

// ErrChanged means that an object is not what it was when it was read.
var ErrChanged = errors.New("it was changed since it was read")

// describe says why a request was refused, and what to do.
func describe(what string, ref finding.Ref, err error) error {
	switch {
	case apierrors.IsConflict(err):
		if managers := conflicts(err); len(managers) > 0 {
			return fmt.Errorf("other managers own the fields: %s; --force-conflicts takes them over", strings.Join(managers, "; "))
		}
		return fmt.Errorf("%s %s: %w", what, ref, ErrChanged)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s %s: it is gone", what, ref)
	}
	return fmt.Errorf("%s %s: %w", what, ref, err)
}

// maxConflicts is how many conflicting fields are told.
const maxConflicts = 5

// conflicts are what the API server says of fields that others own.
func conflicts(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			out = append(out, strings.TrimSpace(cause.Message+" at "+cause.Field))
		}
	}
	slices.Sort(out)
	if n := len(out); n > maxConflicts {
		out = append(out[:maxConflicts], fmt.Sprintf("and %d more", n-maxConflicts))
	}
	return out
}
