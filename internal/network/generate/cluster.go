package generate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// withPods is a cluster with pods that are assumed as well.
func withPods(c *reach.Cluster, assumed []Assumed) *reach.Cluster {
	out := *c
	out.Pods, out.Namespaces = slices.Clone(c.Pods), maps.Clone(c.Namespaces)
	for _, a := range assumed {
		if out.Namespaces[a.Namespace] == nil {
			out.Namespaces[a.Namespace] = &reach.Namespace{Name: a.Namespace, Labels: map[string]string{namespaceName: a.Namespace}}
		}
		out.Pods = append(out.Pods, &reach.Pod{Namespace: a.Namespace, Kind: assumedKind, Name: a.Name, Labels: a.Labels, Named: a.Named})
	}
	slices.SortStableFunc(out.Pods, func(a, b *reach.Pod) int { // the order that reach keeps
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	return &out
}

// withPolicies is a cluster with more policies.
func withPolicies(c *reach.Cluster, more []*reach.Policy) *reach.Cluster {
	out := *c
	out.Policies = slices.Concat(c.Policies, more)
	return &out
}

// withoutMarked is a cluster without what an earlier run wrote, and the names of that.
func withoutMarked(c *reach.Cluster) (*reach.Cluster, []string) {
	out := *c
	var names []string
	out.Policies = slices.DeleteFunc(slices.Clone(c.Policies), func(p *reach.Policy) bool {
		if p.Object == nil || p.Object.Labels()[Marker] != MarkerValue {
			return false
		}
		names = append(names, p.Namespace+"/"+p.Name)
		return true
	})
	return &out, names
}

// oneWay is a cluster whose policies are about one direction only.
func oneWay(c *reach.Cluster, d reach.Direction) *reach.Cluster {
	out, other := *c, reach.Ingress
	if d == reach.Ingress {
		other = reach.Egress
	}
	out.Policies = nil
	for _, p := range c.Policies {
		q := *p
		q.Isolates[other], q.Rules[other] = false, nil
		out.Policies = append(out.Policies, &q)
	}
	tiers := func(of []*reach.TierPolicy) (out []*reach.TierPolicy) {
		for _, p := range of {
			q := *p
			q.Rules[other] = nil
			out = append(out, &q)
		}
		return out
	}
	out.Admin, out.Baseline = tiers(c.Admin), tiers(c.Baseline)
	return &out
}

// read reads policies as the engine does. What it refuses is an error: nothing is written
// that an API server would not take.
func read(policies []*networkingv1.NetworkPolicy, profile reach.Profile) ([]*reach.Policy, error) {
	var objects []*model.Object
	for _, p := range policies {
		o, err := objectOf(p)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	c := reach.NewCluster(model.NewWorld(objects, model.WorldOptions{}), profile)
	if len(c.Problems) > 0 {
		return nil, fmt.Errorf("the policy %s that was made is not valid: %s", c.Problems[0].Object, c.Problems[0].Reason)
	}
	return c.Policies, nil
}

func objectOf(p *networkingv1.NetworkPolicy) (*model.Object, error) {
	content, err := contentOf(p)
	if err != nil {
		return nil, err
	}
	o, ok := model.NewObject(content, nil, model.Source{})
	if !ok {
		return nil, fmt.Errorf("the policy %s that was made is no object", nameOf(p))
	}
	return o, nil
}

// contentOf is a policy as JSON has it, without what is empty and says nothing.
func contentOf(p *networkingv1.NetworkPolicy) (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p)
	if err != nil {
		return nil, fmt.Errorf("write policy %s: %w", nameOf(p), err)
	}
	content["apiVersion"], content["kind"] = "networking.k8s.io/v1", "NetworkPolicy"
	delete(content, "status")
	if meta, ok := content["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
	return content, nil
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{Marker: MarkerValue}}
}
