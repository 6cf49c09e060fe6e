package check

import (
	"cmp"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// identityOfRef tells which object is meant: one of manifests and one of a cluster are
// the same where this is.
func identityOfRef(r finding.Ref) model.ID {
	return model.ID{GroupKind: model.GroupKind{Group: r.Group, Kind: r.Kind}, Namespace: r.Namespace, Name: r.Name}
}

// Manifests are the objects that manifests have.
type Manifests struct {
	objects map[model.ID]*model.Object
	// ambiguous are identities that several worlds have.
	ambiguous map[model.ID]bool
}

// NewManifests collects the objects of worlds that were read from files.
func NewManifests(worlds []*model.World) *Manifests {
	m := &Manifests{map[model.ID]*model.Object{}, map[model.ID]bool{}}
	for _, w := range worlds {
		own := map[model.ID]bool{}
		for _, o := range w.Objects {
			id := o.ID()
			if m.objects[id] != nil && !own[id] {
				m.ambiguous[id] = true
			}
			m.objects[id], own[id] = o, true
		}
	}
	return m
}

// Namespaces lists the namespaces of the objects.
func (m *Manifests) Namespaces() []string {
	var out []string
	for id := range m.objects {
		if ns := m.objects[id].Ref().InNamespace(); ns != "" && !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return out
}

// Of returns which object of the manifests an object of a cluster is, or is made for:
// a pod by the controllers of a Deployment.
func (m *Manifests) Of(w *model.World, o *model.Object) (model.ID, bool) {
	// A chain of owners is short; one that names itself has no end.
	for range 5 {
		if o == nil {
			break
		}
		if id := o.ID(); m.objects[id] != nil {
			return id, true
		}
		o, _ = w.ControllerOf(o)
	}
	return model.ID{}, false
}

// Side is what was read of manifests or of a cluster, and what was found there, with
// a record of what passed.
type Side struct {
	Worlds  []*model.World
	Outcome *Outcome
}

// Compare holds the findings of a cluster against those of manifests. Read are the
// kinds that were read of the cluster, in one namespace only unless that is empty.
func (m *Manifests) Compare(files, live Side, controls []*Control, read []model.GroupKind, namespace string) *finding.Drift {
	c := &comparison{Manifests: m, drift: &finding.Drift{NotInManifests: map[string]int{}}, world: map[string]bool{}, kinds: map[model.GroupKind]bool{},
		live: live.Worlds[0], namespace: namespace, inCluster: map[model.ID]bool{}, open: map[faultKey][]*Judged{}, said: map[faultKey]bool{}, keys: map[model.ID][]faultKey{}}
	for _, control := range controls {
		c.world[control.Name] = control.World != nil
	}
	for _, gk := range read {
		c.kinds[gk] = true
	}
	c.objects()
	c.judgedInFiles, c.judgedInCluster = judgedBy(files.Outcome), judgedBy(live.Outcome)
	c.unknownInCluster = unmetControls(live.Outcome)
	for _, f := range files.Outcome.Findings {
		if id := identityOfRef(f.Object); isOpen(f) && c.inCluster[id] {
			k := c.key(id, f)
			if !c.said[k] {
				c.keys[id] = append(c.keys[id], k)
			}
			c.open[k], c.said[k] = append(c.open[k], f), true
		}
	}
	c.cluster(live.Outcome)
	c.rest()
	return c.drift
}

// faultKey tells a finding of manifests and of a cluster to be the same.
type faultKey struct {
	model.ID
	control, container, message string
}

// comparison is one at work.
type comparison struct {
	*Manifests
	drift *finding.Drift
	// world has the controls that judge more than one object: their messages name
	// others, of which a cluster has more.
	world     map[string]bool
	kinds     map[model.GroupKind]bool
	live      *model.World
	namespace string
	inCluster map[model.ID]bool
	// open are the findings of the files that are not matched yet; said are all.
	open map[faultKey][]*Judged
	said map[faultKey]bool
	keys map[model.ID][]faultKey
	// judged are the objects for which a control had a verdict.
	judgedInFiles, judgedInCluster map[faultKey]bool
	unknownInCluster               map[string]bool
}

func isOpen(f *Judged) bool { return f.Verdict == finding.Fail && f.Waived == nil }

func (c *comparison) key(id model.ID, f *Judged) faultKey {
	k := faultKey{id, f.Control, f.Container, f.Message}
	if c.world[f.Control] {
		k.message = ""
	}
	return k
}

// objects tells which objects of the manifests the cluster has, and what else it has.
func (c *comparison) objects() {
	there := map[model.ID]bool{}
	namespaces := c.Namespaces()
	for _, o := range c.live.Objects {
		id := o.ID()
		there[id] = true
		_, made := c.live.ControllerOf(o)
		if c.Manifests.objects[id] == nil && made == "" && o.Namespace != "" && slices.Contains(namespaces, o.Namespace) && !everyNamespaceHas(o) {
			c.drift.NotInManifests[o.GroupKind.String()]++
		}
	}
	unread := map[model.GroupKind]bool{}
	for id, o := range c.Manifests.objects {
		reason := c.live.Unobserved(id.GroupKind, id.Namespace)
		switch {
		case c.ambiguous[id]:
			c.drift.Ambiguous = append(c.drift.Ambiguous, o.Ref())
		case there[id]:
			c.inCluster[id] = true
			c.drift.Compared++
		case reason != "":
			if !unread[id.GroupKind] {
				unread[id.GroupKind] = true
				c.drift.Unread = append(c.drift.Unread, finding.Unmet{What: id.GroupKind.String(), Reason: reason, Controls: []string{}})
			}
		case c.kinds[id.GroupKind] && (c.namespace == "" || id.Namespace == "" || id.Namespace == c.namespace):
			c.drift.Absent = append(c.drift.Absent, o.Ref())
		}
	}
	byName := func(a, b finding.Ref) int {
		return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(a.Group, b.Group))
	}
	slices.SortFunc(c.drift.Absent, byName)
	slices.SortFunc(c.drift.Ambiguous, byName)
	slices.SortFunc(c.drift.Unread, func(a, b finding.Unmet) int { return cmp.Compare(a.What, b.What) })
}

// everyNamespaceHas reports whether the platform makes an object in every namespace.
func everyNamespaceHas(o *model.Object) bool {
	switch o.GroupKind {
	case model.GroupKind{Kind: "ConfigMap"}:
		return o.Name == "kube-root-ca.crt"
	case model.GroupKind{Kind: "ServiceAccount"}:
		return o.Name == "default"
	}
	return false
}

// judgedBy lists for which objects controls passed or failed.
func judgedBy(out *Outcome) map[faultKey]bool {
	judged := map[faultKey]bool{}
	for _, p := range out.Passes {
		judged[faultKey{identityOfRef(p.Object), p.Control, "", ""}] = true
	}
	for _, f := range out.Findings {
		if f.Verdict != finding.Fail {
			continue
		}
		id := identityOfRef(f.Object)
		judged[faultKey{id, f.Control, "", ""}] = true
		for _, covered := range f.Covers {
			judged[faultKey{id, covered, "", ""}] = true
		}
	}
	return judged
}

// unmetControls are those that could not judge everything.
func unmetControls(out *Outcome) map[string]bool {
	unknown := map[string]bool{}
	for _, u := range out.Unmet {
		for _, control := range u.Controls {
			unknown[control] = true
		}
	}
	for _, f := range out.Findings {
		if f.Verdict == finding.Unknown {
			unknown[f.Control] = true
		}
	}
	return unknown
}

// cluster matches the findings of the cluster.
func (c *comparison) cluster(out *Outcome) {
	var unmatched []*Judged
	ids := map[*Judged]model.ID{}
	made := map[faultKey]bool{}
	for _, f := range out.Findings {
		if !isOpen(f) {
			continue
		}
		id, self := identityOfRef(f.Object), true
		if !c.inCluster[id] {
			owner, ok := c.Of(c.live, f.Of)
			if f.Of == nil || !ok || !c.inCluster[owner] {
				continue
			}
			id, self = owner, false
		}
		k := c.key(id, f)
		switch {
		case self && len(c.open[k]) > 0:
			c.open[k] = c.open[k][1:]
			c.drift.Both++
		case !self && (c.said[k] || made[k]): // the owner says it, or another replica
		default:
			made[k] = !self
			unmatched, ids[f] = append(unmatched, f), id
		}
	}
	for _, f := range unmatched {
		id := ids[f]
		switch {
		case c.covers(id, f):
			c.drift.Both++
		case !c.judgedInFiles[faultKey{id, f.Control, "", ""}] && c.world[f.Control]:
			c.drift.Untold = append(c.drift.Untold, f.Finding)
		default:
			c.drift.OnlyInCluster = append(c.drift.OnlyInCluster, f.Finding)
		}
	}
	finding.Sort(c.drift.Untold)
	finding.Sort(c.drift.OnlyInCluster)
}

// covers reports whether a finding of the manifests is the same fault, said by a
// stricter control or by a weaker one, and takes it.
func (c *comparison) covers(id model.ID, f *Judged) bool {
	for _, k := range c.keys[id] {
		left := c.open[k]
		if k.container != f.Container || len(left) == 0 {
			continue
		}
		if slices.Contains(f.Covers, k.control) || slices.Contains(left[0].Covers, f.Control) {
			c.open[k] = left[1:]
			return true
		}
	}
	return false
}

// rest sorts what only the manifests have.
func (c *comparison) rest() {
	for k, left := range c.open {
		for _, f := range left {
			if !c.judgedInCluster[faultKey{k.ID, k.control, "", ""}] && c.unknownInCluster[k.control] {
				c.drift.Unjudged = append(c.drift.Unjudged, f.Finding)
				continue
			}
			c.drift.OnlyInManifests = append(c.drift.OnlyInManifests, f.Finding)
		}
	}
	finding.Sort(c.drift.Unjudged)
	finding.Sort(c.drift.OnlyInManifests)
}
