package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/access"
)

// inCluster tells the policies what only a cluster knows: which resources it serves, and
// who may do what.
func (f *ownPolicies) inCluster(ctx context.Context, config *rest.Config) error {
	if f.set == nil {
		return nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	_, lists, err := client.ServerGroupsAndResourcesWithContext(ctx)
	var some *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &some) {
		return fmt.Errorf("ask %s which resources it serves, for the policies: %w", config.Host, err)
	}
	var resources []model.Resource
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") {
				resources = append(resources, model.Resource{GroupKind: model.GroupKind{Group: gv.Group, Kind: r.Kind}, Name: r.Name, Namespaced: r.Namespaced})
			}
		}
	}
	f.set.Serve(resources)
	reviews := access.ByReview(config)
	f.options.Authorizer = func(*model.World) authorizer.UnconditionalAuthorizer { return reviews }
	return nil
}

// reads are the kinds that policies read beside what they judge.
func (f *ownPolicies) reads() []model.GroupKind {
	if f.set == nil {
		return nil
	}
	return f.set.Reads()
}

// unrecorded says of kinds that a policy is about, and that a record of a cluster does not
// have, that they were not recorded: there may be objects of them.
func (f *ownPolicies) unrecorded(s *model.Snapshot, all []*check.Control, pods []model.PodTemplate) []finding.Problem {
	var out []finding.Problem
	recorded := clusterKinds(all, pods)
	for _, w := range s.Worlds {
		if w.Record() == nil || !w.Live {
			continue
		}
		var missing []string
		for _, c := range f.own() {
			if _, ok := w.Record().Controls[c.Name]; ok {
				continue // it was at hand when the snapshot was taken
			}
			for _, gk := range c.Object.Kinds {
				if !slices.Contains(recorded, gk) && len(w.Kind(gk)) == 0 && gk.Group != "extensions" && !slices.Contains(missing, gk.String()) {
					missing = append(missing, gk.String())
				}
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			out = append(out, finding.Problem{Location: finding.Location{File: strings.Join(s.Inputs, " ")},
				Message: "the snapshot records no objects of these kinds, which the policies are about, whether there are any or not: " + strings.Join(missing, ", ")})
		}
	}
	return out
}
