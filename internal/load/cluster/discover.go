package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/model"
)

// resource is a kind as this API server serves it.
type resource struct {
	model.GroupKind
	version    string
	name       string
	namespaced bool
}

// served is what an API server serves, by its discovery.
type served struct {
	kinds  map[model.GroupKind]*resource
	groups map[string]bool
	// failed are groups whose discovery failed: an extension server that is down.
	failed map[string]string
}

// always are groups of the API that every cluster serves. Where one is missing,
// somebody switched it off, and what it held may still be at work.
var always = []string{"", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io"}

// discover asks the API server itself: kubectl's cache on disk may be hours old, and
// a kind that it lacks would be taken for one without objects.
func discover(ctx context.Context, config *rest.Config) (*served, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	groups, lists, failed, err := discoverAll(ctx, client)
	if err != nil {
		return nil, unreachable(ctx, config, err)
	}
	s := &served{kinds: map[model.GroupKind]*resource{}, groups: map[string]bool{}, failed: failed}
	preferred := map[string]string{}
	for _, g := range groups {
		s.groups[g.Name] = true
		preferred[g.Name] = g.PreferredVersion.Version
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			gk := model.GroupKind{Group: gv.Group, Kind: r.Kind}
			if !slices.Contains(r.Verbs, "list") || s.kinds[gk] != nil && gv.Version != preferred[gv.Group] {
				continue
			}
			s.kinds[gk] = &resource{gk, gv.Version, r.Name, r.Namespaced}
		}
	}
	return s, nil
}

func discoverAll(ctx context.Context, client *discovery.DiscoveryClient) (groups []*metav1.APIGroup, lists []*metav1.APIResourceList, failed map[string]string, err error) {
	failed = map[string]string{}
	groups, lists, err = client.ServerGroupsAndResourcesWithContext(ctx)
	var some *discovery.ErrGroupDiscoveryFailed
	if errors.As(err, &some) && len(lists) > 0 {
		for gv, cause := range some.Groups {
			failed[gv.Group] = describe(cause)
		}
		err = nil
	}
	return groups, lists, failed, err
}

// find returns how a kind is served; nil, where the API server has none of it, and a
// reason where that cannot be told.
func (s *served) find(gk model.GroupKind) (*resource, string) {
	if r := s.kinds[gk]; r != nil {
		return r, ""
	}
	if cause, ok := s.failed[gk.Group]; ok {
		return nil, fmt.Sprintf("the API server cannot say whether it serves the group %s: %s", gk.Group, cause)
	}
	if slices.Contains(always, gk.Group) && !s.groups[gk.Group] {
		return nil, fmt.Sprintf("the API server does not serve the group %s", gk.Group)
	}
	return nil, ""
}
