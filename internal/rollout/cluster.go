package rollout

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Cluster is where policies are applied.
type Cluster struct{ client dynamic.Interface }

// NewCluster takes the client that everything is asked with.
func NewCluster(client dynamic.Interface) *Cluster { return &Cluster{client} }

var resources = map[string]string{
	validatingPolicy:  "validatingadmissionpolicies",
	validatingBinding: "validatingadmissionpolicybindings",
	mutatingPolicy:    "mutatingadmissionpolicies",
	mutatingBinding:   "mutatingadmissionpolicybindings",
	"Namespace":       "namespaces",
}

// mutatingVersions are those in which mutating policies are looked for.
var mutatingVersions = []string{"v1", "v1beta1"}

// Read reads what was applied before. All policies and bindings are listed, so that
// one of the same name that somebody else applied is seen.
func (c *Cluster) Read(ctx context.Context) (*State, error) {
	s := &State{objects: map[key]*unstructured.Unstructured{}}
	for _, kind := range []string{validatingPolicy, validatingBinding} {
		if err := c.list(ctx, s, "v1", kind); apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("the API server does not serve v1 of %s: it is older than Kubernetes 1.30", kind)
		} else if err != nil {
			return nil, err
		}
	}
	for _, version := range mutatingVersions {
		err := c.list(ctx, s, version, mutatingPolicy)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err == nil {
			s.mutating = version
			err = c.list(ctx, s, version, mutatingBinding)
		}
		if err != nil {
			return nil, err
		}
		break
	}
	var err error
	if s.Namespaces, err = c.namespaces(ctx); err != nil {
		return nil, err
	}
	s.interpret()
	return s, nil
}

const pageSize = 200

func (c *Cluster) list(ctx context.Context, s *State, version, kind string) error {
	client := c.client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resources[kind]})
	err := pages(ctx, client, func(o *unstructured.Unstructured) {
		o.SetAPIVersion(group + "/" + version)
		o.SetKind(kind)
		delete(o.Object, "status")
		s.objects[keyOf(o)] = o
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", resources[kind], err)
	}
	return nil
}

func pages(ctx context.Context, client dynamic.ResourceInterface, each func(*unstructured.Unstructured)) error {
	o := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := client.List(ctx, o)
		if err != nil {
			return err
		}
		for i := range list.Items {
			each(&list.Items[i])
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}

func (c *Cluster) namespaces(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	out := map[string]*unstructured.Unstructured{}
	err := pages(ctx, c.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}), func(o *unstructured.Unstructured) {
		o.SetAPIVersion("v1")
		o.SetKind("Namespace")
		out[o.GetName()] = o
	})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	return out, nil
}

// resource is the client of an object's kind.
func (c *Cluster) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	gvk := o.GroupVersionKind()
	return c.client.Resource(schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: resources[gvk.Kind]})
}
