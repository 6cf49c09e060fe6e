package network

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// clusters are worlds as a network plugin reads them, and engines say who reaches whom in
// them. Both are made once a world, for all controls.
var (
	clusters = model.NewFact(func(w *model.World) *reach.Cluster { return reach.NewCluster(w, reach.Upstream) })
	engines  = model.NewFact(func(w *model.World) *reach.Engine { return reach.New(clusters.Of(w)) })
)

// policies are the NetworkPolicies of each namespace.
var policies = model.NewFact(func(w *model.World) map[string][]*reach.Policy {
	out := map[string][]*reach.Policy{}
	for _, p := range clusters.Of(w).Policies {
		out[p.Namespace] = append(out[p.Namespace], p)
	}
	return out
})

// misread says of policies that count for nothing why. One in whose place another of its
// name comes is not among them: that one is judged.
var misread = model.NewFact(func(w *model.World) map[finding.Ref]string {
	c := clusters.Of(w)
	out := map[finding.Ref]string{}
	for _, p := range c.Problems {
		out[p.Object] = p.Reason
	}
	for _, p := range c.Policies {
		delete(out, p.Object.Ref())
	}
	for _, tier := range [][]*reach.TierPolicy{c.Admin, c.Baseline} {
		for _, p := range tier {
			delete(out, p.Object.Ref())
		}
	}
	return out
})

// podsIn are the pods of each namespace, but for those in the network of their node, which
// no policy is about.
var podsIn = model.NewFact(func(w *model.World) map[string][]*reach.Pod {
	out := map[string][]*reach.Pod{}
	for _, p := range clusters.Of(w).Pods {
		if !p.HostNetwork {
			out[p.Namespace] = append(out[p.Namespace], p)
		}
	}
	return out
})

// pluginPolicy returns a policy that is not understood and may be about a namespace, nil
// where there is none.
func pluginPolicy(w *model.World, namespace string) *model.Object {
	for _, o := range clusters.Of(w).Unknown {
		if o.Namespace == "" || o.Namespace == namespace {
			return o
		}
	}
	return nil
}

// workloadKinds are what is or makes pods.
var workloadKinds = []model.GroupKind{{Kind: "Pod"}, {Kind: "ReplicationController"}, {Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "ReplicaSet"},
	{Group: "apps", Kind: "StatefulSet"}, daemonSetKind, {Group: "batch", Kind: "Job"}, {Group: "batch", Kind: "CronJob"}}

// reachNeeds are what says which addresses pods reach.
var reachNeeds = slices.Concat([]model.GroupKind{{Kind: "Node"}}, workloadKinds, defaultDenyNeeds)
