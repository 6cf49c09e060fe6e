package reach

import (
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// Feed keeps a cluster up to date with its objects, as they are watched. What did not
// change is the same in all clusters that it makes, as Engine.Update wants it. It is for
// one goroutine; the clusters are not changed afterwards.
type Feed struct {
	options model.WorldOptions
	// objects are those of each namespace, in the order in which they came; those of none
	// are of the whole cluster.
	objects map[string][]*model.Object
	// policies are NetworkPolicies, and those of tiers and of network plugins, and read what
	// they are by themselves.
	policies []*model.Object
	read     map[*model.Object]*Cluster
	cluster  *Cluster
}

// NewFeed begins with the objects of a live cluster.
func NewFeed(w *model.World, profile Profile) *Feed {
	f := &Feed{options: model.WorldOptions{Live: true}, objects: map[string][]*model.Object{}, read: map[*model.Object]*Cluster{}}
	f.cluster = NewCluster(w, profile)
	for _, o := range w.Objects {
		f.objects[o.Namespace] = append(f.objects[o.Namespace], o)
		if isPolicy(o.GroupKind) {
			f.policies = append(f.policies, o)
		}
	}
	for _, p := range f.cluster.Policies {
		f.read[p.Object] = &Cluster{Policies: []*Policy{p}}
	}
	for _, p := range f.cluster.Admin {
		f.read[p.Object] = &Cluster{Admin: []*TierPolicy{p}}
	}
	for _, p := range f.cluster.Baseline {
		f.read[p.Object] = &Cluster{Baseline: []*TierPolicy{p}}
	}
	return f
}

// Cluster is what there is now.
func (f *Feed) Cluster() *Cluster { return f.cluster }

// Apply returns the cluster once some objects came, or became what they are here, and
// others went.
func (f *Feed) Apply(came []*model.Object, gone []model.ID) *Cluster {
	model.NewWorld(came, f.options) // which gives them their namespaces and pods
	next := *f.cluster
	next.Namespaces = maps.Clone(next.Namespaces)
	u := &feeding{Feed: f, next: &next, namespaces: map[string]bool{}}
	for _, o := range came {
		f.put(o)
		u.touch(o.ID())
	}
	for _, id := range gone {
		f.drop(id)
		u.touch(id)
	}
	u.readNodes()
	for _, ns := range slices.Sorted(maps.Keys(u.namespaces)) {
		u.readNamespace(ns)
	}
	if u.decided {
		u.readPolicies()
	}
	f.cluster = &next
	return f.cluster
}

// isPolicy reports whether a kind is one of policies.
func isPolicy(gk model.GroupKind) bool {
	return gk != nodeKind && gk != (model.GroupKind{Kind: "Namespace"}) && decides(gk)
}

// put adds an object, or puts it in the place of the one of its name.
func (f *Feed) put(o *model.Object) {
	place := func(list []*model.Object) []*model.Object {
		if i := indexOf(list, o.ID()); i >= 0 {
			list = slices.Clone(list)
			list[i] = o
			return list
		}
		return append(list, o)
	}
	f.objects[o.Namespace] = place(f.objects[o.Namespace])
	if isPolicy(o.GroupKind) {
		f.policies = place(f.policies)
	}
}

func (f *Feed) drop(id model.ID) {
	if i := indexOf(f.objects[id.Namespace], id); i >= 0 {
		f.objects[id.Namespace] = slices.Delete(slices.Clone(f.objects[id.Namespace]), i, i+1)
	}
	if i := indexOf(f.policies, id); i >= 0 && isPolicy(id.GroupKind) {
		f.policies = slices.Delete(slices.Clone(f.policies), i, i+1)
	}
}

func indexOf(list []*model.Object, id model.ID) int {
	return slices.IndexFunc(list, func(o *model.Object) bool { return o.Name == id.Name && o.ID() == id })
}

// feeding is one change of a feed.
type feeding struct {
	*Feed
	next *Cluster
	// namespaces are those of which some object changed, nodes says that a node did, and
	// decided that a policy did.
	namespaces     map[string]bool
	nodes, decided bool
}

func (u *feeding) touch(id model.ID) {
	switch {
	case id.GroupKind == nodeKind:
		u.nodes = true
	case id.GroupKind == (model.GroupKind{Kind: "Namespace"}):
		u.namespaces[id.Name] = true
	case id.Namespace != "":
		u.namespaces[id.Namespace] = true
	}
	u.decided = u.decided || isPolicy(id.GroupKind)
}

// readNodes reads the nodes again. Pods in the network of one that changed are at other
// addresses, perhaps.
func (u *feeding) readNodes() {
	if !u.nodes {
		return
	}
	before := u.next.Nodes
	u.next.Nodes = map[string]*Node{}
	for _, o := range u.objects[""] {
		if o.GroupKind == nodeKind {
			n := newNode(o)
			if was := before[n.Name]; was != nil && maps.Equal(was.Labels, n.Labels) && slices.Equal(was.Addresses, n.Addresses) {
				n = was
			}
			u.next.Nodes[n.Name] = n
		}
	}
	for _, p := range u.next.Pods {
		if p.HostNetwork && before[p.Node] != u.next.Nodes[p.Node] {
			u.namespaces[p.Namespace] = true
		}
	}
}

// readNamespace reads the objects of a namespace again.
func (u *feeding) readNamespace(name string) {
	objects := slices.Clone(u.objects[name])
	if i := indexOf(u.objects[""], model.ID{GroupKind: model.GroupKind{Kind: "Namespace"}, Name: name}); i >= 0 {
		objects = append(objects, u.objects[""][i])
	}
	part := &Cluster{Namespaces: map[string]*Namespace{}, Nodes: u.next.Nodes}
	w := model.NewWorld(objects, u.options)
	part.readPods(w)
	first, _ := slices.BinarySearchFunc(u.next.Pods, &Pod{Namespace: name}, comparePods)
	after := first
	for after < len(u.next.Pods) && u.next.Pods[after].Namespace == name {
		after++
	}
	before := map[*model.Object]*Pod{}
	for _, p := range u.next.Pods[first:after] {
		before[p.Object] = p
	}
	for i, p := range part.Pods {
		if was := before[p.Object]; was != nil && comparePods(was, p) == 0 && slices.Equal(was.Addresses, p.Addresses) {
			part.Pods[i] = was
		}
	}
	u.next.Pods = slices.Concat(u.next.Pods[:first], part.Pods, u.next.Pods[after:])
	was := u.next.Namespaces[name]
	delete(u.next.Namespaces, name)
	if len(objects) == 0 {
		return
	}
	u.next.namespace(w, name)
	if now := u.next.Namespaces[name]; was != nil && was.Seen == now.Seen && maps.Equal(was.Labels, now.Labels) {
		u.next.Namespaces[name] = was
	}
}

// readPolicies reads the policies that changed, and lists all.
func (u *feeding) readPolicies() {
	all := &Cluster{Namespaces: map[string]*Namespace{}, Nodes: map[string]*Node{}, Profile: u.next.Profile}
	known := map[*model.Object]*Cluster{}
	for _, gk := range append([]model.GroupKind{networkPolicyKind, clusterPolicyKind, adminPolicyKind, baselinePolicyKind}, PluginPolicies...) {
		for _, o := range u.policies {
			if o.GroupKind != gk {
				continue
			}
			part := u.read[o]
			if part == nil {
				part = NewCluster(model.NewWorld([]*model.Object{o}, model.WorldOptions{Live: true}), u.next.Profile)
			}
			known[o] = part
			all.Policies = append(all.Policies, part.Policies...)
			all.Admin, all.Baseline = append(all.Admin, part.Admin...), append(all.Baseline, part.Baseline...)
			all.Problems, all.Unknown = append(all.Problems, part.Problems...), append(all.Unknown, part.Unknown...)
		}
	}
	slices.SortStableFunc(all.Admin, compareTiers)
	slices.SortStableFunc(all.Baseline, compareTiers)
	u.read = known
	u.next.Policies, u.next.Admin, u.next.Baseline, u.next.Problems, u.next.Unknown = all.Policies, all.Admin, all.Baseline, all.Problems, all.Unknown
}
