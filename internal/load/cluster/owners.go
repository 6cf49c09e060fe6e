package cluster

import (
	"cmp"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// Represented tells which objects of a world another one speaks for: a pod that runs
// as the template of its controller says, and a ReplicaSet or a Job whose template is
// that of the Deployment or CronJob above it. They are facts about the cluster and
// are not judged by themselves: what is wrong with them is wrong with their owner,
// and is mended there.
//
// A pod whose owner was not read, or that differs from its template (a container that
// was injected or changed, a debug container), speaks for itself. Of replicas that
// differ alike, the first by name speaks for all.
func Represented(w *model.World) map[*model.Object]bool {
	index := owned{}
	for _, o := range w.Objects {
		if o.Pod() != nil {
			index[o.ID()] = o
		}
	}
	out := map[*model.Object]bool{}
	differing := map[string][]*model.Object{}
	for _, o := range w.Objects {
		if o.Pod() == nil {
			continue
		}
		owner, uid := index.controller(o)
		switch {
		case owner != nil && (ended(o) || sameTemplate(owner.Pod(), o.Pod(), owner)):
			out[o] = true
		case uid != "" && o.GroupKind == podKind && !isMirror(o):
			differing[uid] = append(differing[uid], o)
		}
	}
	for _, replicas := range differing {
		alikeReplicas(replicas, out)
	}
	return out
}

// isMirror reports whether a pod shows a static pod of a kubelet.
func isMirror(o *model.Object) bool {
	_, ok := o.Annotations()["kubernetes.io/config.mirror"]
	return ok
}

// maxVariants bounds with how many replicas of an owner each other one is compared.
const maxVariants = 16

// alikeReplicas leaves, of pods of one owner, one of each kind.
func alikeReplicas(replicas []*model.Object, out map[*model.Object]bool) {
	slices.SortFunc(replicas, func(a, b *model.Object) int { return cmp.Compare(a.Name, b.Name) })
	var variants []*model.Object
	for _, o := range replicas {
		if slices.ContainsFunc(variants, func(v *model.Object) bool { return sameTemplate(v.Pod(), o.Pod(), nil) }) {
			out[o] = true
		} else if len(variants) < maxVariants {
			variants = append(variants, o)
		}
	}
}

// owned are objects that make pods.
type owned map[model.ID]*model.Object

// controller returns the object that manages o, nil where it is not among them, and
// its uid, empty where nothing manages o.
func (w owned) controller(o *model.Object) (*model.Object, string) {
	by, managed := o.Controller()
	if !managed {
		return nil, ""
	}
	owner := w[by.ID]
	// An owner of the same name that was made later is another one.
	if owner != nil && owner.Text("metadata", "uid") != by.UID {
		owner = nil
	}
	return owner, by.UID
}

// ended reports whether an object runs no pod any more, so that nothing of it is to
// be said beside its owner.
func ended(o *model.Object) bool {
	if o.GroupKind == (model.GroupKind{Group: "apps", Kind: "ReplicaSet"}) {
		return o.Get("spec", "replicas") == int64(0) && (o.Get("status", "replicas") == nil || o.Get("status", "replicas") == int64(0))
	}
	return o.Ended()
}

// templates are what makes pods, while a cluster is read.
type templates struct {
	paths map[model.GroupKind]model.Path
	owned owned
}

func newTemplates(more []model.PodTemplate) *templates {
	t := &templates{paths: map[model.GroupKind]model.Path{}, owned: owned{}}
	for _, p := range slices.Concat(model.PodTemplates(), model.CustomPodTemplates(), more) {
		t.paths[p.GroupKind] = p.Path
	}
	return t
}

func (t *templates) add(objects []*model.Object) {
	for _, o := range objects {
		if path, ok := t.paths[o.GroupKind]; ok && len(path) > 0 {
			t.owned[o.ID()] = o
		}
	}
}

// share lets what another template speaks for hold that very template, so that it
// takes no memory of its own.
func (t *templates) share(lists []*list) {
	for _, l := range lists {
		if _, ok := t.paths[l.GroupKind]; !ok {
			continue
		}
		for _, o := range l.objects {
			t.sharePod(o)
		}
	}
}

// sharePod does so for one object, before it belongs to a world, and reports whether
// it did.
func (t *templates) sharePod(o *model.Object) bool {
	owner, _ := t.owned.controller(o)
	if owner == nil {
		return false
	}
	mine, theirs := t.pod(o), t.pod(owner)
	if mine == nil || theirs == nil || !sameTemplate(theirs, mine, owner) {
		return false
	}
	// What the object is made of may be shared with others, and is not changed.
	o.Content = maps.Clone(o.Content)
	top := o.Content
	for _, step := range mine.Path {
		next, _ := top[step.Key].(map[string]any)
		top[step.Key] = maps.Clone(next)
		top, _ = top[step.Key].(map[string]any)
	}
	top["spec"] = theirs.Spec
	ownAnnotations(top)
	if len(mine.Path) > 0 {
		ownAnnotations(o.Content)
	}
	return true
}

// ownAnnotations leaves an object that shares a template the annotations that say how
// its containers are confined. Waivers and all else are said by the owner.
func ownAnnotations(m map[string]any) {
	meta, ok := m["metadata"].(map[string]any)
	if !ok || meta["annotations"] == nil {
		return
	}
	meta = maps.Clone(meta)
	m["metadata"] = meta
	annotations, _ := meta["annotations"].(map[string]any)
	annotations = maps.Clone(annotations)
	maps.DeleteFunc(annotations, func(k string, _ any) bool { return !isSecurityAnnotation(k) })
	if meta["annotations"] = annotations; len(annotations) == 0 {
		delete(meta, "annotations")
	}
}

// pod is the pod of an object that belongs to no world yet.
func (t *templates) pod(o *model.Object) *model.Pod {
	path := t.paths[o.GroupKind]
	top, _ := path.Lookup(o.Content)
	spec, ok := model.Get(top, "spec").(map[string]any)
	if !ok {
		return nil
	}
	meta, _ := model.Get(top, "metadata").(map[string]any)
	return &model.Pod{Object: o, Path: path, Spec: spec, Meta: meta}
}
