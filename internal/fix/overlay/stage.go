package overlay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// stage is an object as it is where a patch of the kustomization gets it.
type stage struct {
	content map[string]any
	// original are the name and the namespace that it had at first; targets match
	// these, too.
	originalName, originalNamespace string
}

// probeField is where a probe keeps its copy; nothing that kustomize does later
// looks at a field of that name.
const probeField = "bulkheadProbe"

// probeTop begins the names of what is copied beside the fields of metadata.
const probeTop = "top:"

// pointsKept is at how many points of the list of patches objects are looked at.
const pointsKept = 4

// internal is the prefix of the annotations in which kustomize keeps its books
// while it builds.
const internal = "internal.config.kubernetes.io/"

// locate finds out what the objects are where their patches get them, and which
// files of earlier runs are theirs.
func (p *planner) locate(ctx context.Context, items []*item) ([]*item, error) {
	if len(items) == 0 {
		return nil, nil
	}
	points := p.points()
	probed, err := p.probe(ctx, items, points)
	if err != nil {
		return nil, err
	}
	if probed == nil { // the reasons are given
		return nil, nil
	}
	last := len(points) - 1
	// peers are the stages of all objects by kind: those a target must tell apart.
	peers := map[string][]*stage{}
	stages := make([]*stage, len(probed))
	for i, o := range probed {
		if stages[i] = stageOf(o, p.before[i], last); stages[i] != nil {
			peers[groupKind(o).Kind] = append(peers[groupKind(o).Kind], stages[i])
		}
	}
	var located []*item
	for _, it := range items {
		object := p.before[it.object]
		s, kin := stages[it.object], peers[groupKind(object).Kind]
		if s == nil {
			p.refused[it.index] = "it cannot be followed through the build; change it in its source"
			continue
		}
		t := choose(s, kin)
		if t == nil {
			p.refused[it.index] = "no patch can tell it from another object of its name; change it in its source"
			continue
		}
		it.stage, it.target = s, t
		it.last.stage, it.last.target = s, t
		for _, e := range p.definition.entries {
			point := slices.Index(points, e.run)
			if e.content == nil || point < 0 || !e.isFor(s, kin) {
				continue
			}
			if earlier := stageOf(probed[it.object], object, point); earlier != nil {
				it.entry, it.file, it.target, it.stage = e, e.Path, e.Target, earlier
			}
		}
		located = append(located, it)
	}
	p.name(located)
	return located, nil
}

// points are the places in the list of patches at which objects are looked at:
// behind the entries of earlier runs, and at the end.
func (p *planner) points() []int {
	end := len(p.definition.list)
	var points []int
	for _, e := range p.definition.entries {
		if e.content != nil && e.run != end && !slices.Contains(points, e.run) && len(points) < pointsKept-1 {
			points = append(points, e.run)
		}
	}
	return append(points, end)
}

// probe builds with copies of what the objects are at some points, and returns
// the objects in the order of planner.before, nil for one that is not there.
func (p *planner) probe(ctx context.Context, items []*item, points []int) ([]map[string]any, error) {
	objects, err := p.build(ctx, p.probes(items, true), points)
	if err != nil && ctx.Err() == nil {
		// A field that some object gets only later cannot be copied.
		objects, err = p.build(ctx, p.probes(items, false), points)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("build the kustomization %s: %w", p.Dir, ctx.Err())
	}
	if err != nil {
		for _, it := range items {
			p.refused[it.index] = "the kustomization cannot be built with a patch of it: " + oneLine(err)
		}
		return nil, nil
	}
	probed := make([]map[string]any, len(p.before))
	for _, o := range objects {
		if i, ok := p.place[identity(o)]; ok && i >= 0 {
			probed[i] = o
		}
	}
	return probed, nil
}

// build builds with the patches of probes at some points.
func (p *planner) build(ctx context.Context, probes func(point int) []any, points []int) ([]map[string]any, error) {
	extra := map[int][]any{}
	for i, at := range points {
		extra[at] = probes(i)
	}
	text, err := p.definition.with(extra)
	if err != nil {
		return nil, err
	}
	return p.render(ctx, map[string][]byte{p.File: text})
}

// probes makes the patches that copy, for a point, the metadata of all objects of
// the kinds of items, and with content also the fields that are to be changed.
func (p *planner) probes(items []*item, content bool) func(point int) []any {
	kinds := map[string]bool{}
	fields := map[model.GroupKind]map[string]bool{}
	for _, it := range items {
		gk := groupKind(p.before[it.object])
		kinds[gk.Kind] = true
		if fields[gk] == nil {
			fields[gk] = map[string]bool{}
		}
		for _, e := range it.edits {
			fields[gk][split(e.Path)[0]] = content
		}
	}
	for _, o := range p.before {
		// What one of them has not cannot be copied of all.
		maps.DeleteFunc(fields[groupKind(o)], func(name string, _ bool) bool { _, ok := o[name]; return !ok })
	}
	return func(point int) []any {
		var all []any
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			all = append(all, inline(target{"kind": regexp.QuoteMeta(kind)}, copyOf("metadata", probe(point))))
		}
		for gk, names := range fields {
			t := target{"group": literal(gk.Group), "kind": regexp.QuoteMeta(gk.Kind)}
			for name, wanted := range names {
				if wanted && name != "metadata" {
					all = append(all, inline(t, copyOf(name, probe(point), probeTop+name)))
				}
			}
		}
		return all
	}
}

// probe is the field that holds the copy of the metadata at a point; those of
// other fields are in it.
func probe(point int) string { return probeField + strconv.Itoa(point) }

type operation struct {
	Op    string `json:"op"`
	From  string `json:"from,omitempty"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func copyOf(field string, to ...string) operation {
	return operation{Op: "copy", From: finding.JoinPointer(field), Path: finding.JoinPointer(to...)}
}

// inline is an entry of patches that holds its patch itself.
func inline(t target, ops ...operation) any {
	text, err := json.Marshal(ops)
	if err != nil { // strings always have a form
		return nil
	}
	return map[string]any{"target": t, "patch": string(text)}
}

// stageOf reads the copy that the probe of a point made of an object; what it
// has no copy of is as it was built. It is nil where there is none.
func stageOf(probed, built map[string]any, point int) *stage {
	copied, ok := probed[probe(point)].(map[string]any)
	if !ok {
		return nil
	}
	content, metadata := maps.Clone(built), map[string]any{}
	for name, v := range copied {
		if top, ok := strings.CutPrefix(name, probeTop); ok {
			content[top] = v
		} else {
			metadata[name] = v
		}
	}
	books, _ := metadata["annotations"].(map[string]any)
	annotations := maps.Clone(books)
	maps.DeleteFunc(annotations, func(name string, _ any) bool { return strings.HasPrefix(name, internal) })
	if delete(metadata, "annotations"); len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	content["metadata"] = metadata
	s := &stage{content: content, originalNamespace: first(books[internal+"previousNamespaces"])}
	s.originalName = cmp.Or(first(books[internal+"previousNames"]), s.name())
	return s
}

// first is the first item of a list that is written with commas.
func first(v any) string {
	text, _ := v.(string)
	before, _, _ := strings.Cut(text, ",")
	return before
}

func (s *stage) text(keys ...string) string {
	v, _ := model.Get(s.content, keys...).(string)
	return v
}

func (s *stage) name() string { return s.text("metadata", "name") }

// namespace is the one that targets match: kustomize has a word for none.
func (s *stage) namespace() string {
	if s.originalNamespace == clusterWide {
		return clusterWide
	}
	return cmp.Or(s.text("metadata", "namespace"), "default")
}
