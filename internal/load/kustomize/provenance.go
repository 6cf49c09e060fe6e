package kustomize

import (
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// provenance finds what the objects of a build came from.
//
// kustomize tells the file of an object (its origin), and nothing about its
// fields. These are found by walking the built object beside the object in that
// file, and beside every patch that names the object: what a patch sets to the
// value that the built object has came from the patch.
type provenance struct {
	ground  ground
	limits  Limits
	origins []*resource.Origin
	patches []*patch
	// kustomizations are by their real file, sources are parsed base files.
	kustomizations map[string]*kustomization
	sources        map[string][]*yaml.Node
	top            *kustomization
}

func newProvenance(in *inspector) *provenance {
	p := &provenance{
		ground: in.ground, limits: in.limits,
		kustomizations: map[string]*kustomization{}, sources: map[string][]*yaml.Node{},
	}
	for _, k := range in.kustomizations {
		p.kustomizations[k.file] = k
		p.patches = append(p.patches, p.patchesOf(k)...)
		p.top = k
	}
	return p
}

// trace fills in where d, which is the i-th object, came from.
func (p *provenance) trace(d *Document, i int, object *resource.Resource) {
	var base *yaml.Node
	if i < len(p.origins) && traceable(p.origins[i]) {
		base = p.base(d, p.origins[i], object)
	} else {
		base = p.search(d, object)
	}
	documents, err := parseNodes(d.Content)
	if err != nil || len(documents) != 1 {
		return
	}
	a := &aligner{places: make([]Place, strings.Count(string(d.Content), "\n")+1)}
	original := object.GetName()
	if base != nil {
		d.Line = base.Line
		a.source(d.File, 0, false)
		a.node(documents[0], base, 0)
		if _, metadata := field(base, "metadata"); metadata != nil {
			original = orElse(text(metadata, "name"), original)
		}
	}
	for _, patch := range p.patches {
		if patch.applies(object, original) {
			a.source(patch.file, patch.offset, true)
			patch.align(a, documents[0])
			if a.used {
				d.Patches = append(d.Patches, patch.file)
			}
		}
	}
	d.Patches = compact(d.Patches)
	d.places = a.places
}

// traceable reports whether an origin tells a file or a generator. An object
// whose annotations a patch replaced gets the next transformer as its origin.
func traceable(o *resource.Origin) bool {
	return o != nil && (o.Path != "" || strings.HasSuffix(o.ConfiguredBy.Kind, "Generator"))
}

// compact removes repetitions, also where others stand between them.
func compact(all []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			kept = append(kept, s)
		}
		seen[s] = true
	}
	return kept
}

// base sets the file that object came from, and returns the object in it, or
// nil. For a generated object it sets the generator's line.
func (p *provenance) base(d *Document, origin *resource.Origin, object *resource.Resource) *yaml.Node {
	d.File = p.ground.show(p.top.file)
	path := origin.Path
	if origin.ConfiguredIn != "" {
		path = origin.ConfiguredIn
	}
	real, err := p.ground.resolve(filepath.Join(p.ground.real, path))
	if err != nil {
		return nil
	}
	d.File = p.ground.show(real)
	if k := p.kustomizations[real]; k != nil {
		if g := generator(k.root, origin.ConfiguredBy.Kind, object.GetName()); g != nil {
			d.Line = g.Line
		}
		return nil
	}
	return pick(p.objects(real), object)
}

// search looks for object in all base files, where kustomize did not tell: a
// patch that replaces all annotations takes its origin away. Where several files
// have such an object, it is said to come from the kustomization.
func (p *provenance) search(d *Document, object *resource.Resource) *yaml.Node {
	d.File = p.ground.show(p.top.file)
	var found *yaml.Node
	for _, k := range p.kustomizations {
		for _, r := range k.decoded.Resources {
			real, err := p.ground.resolve(filepath.Join(k.dir, r))
			if err != nil {
				continue
			}
			candidate := pick(p.objects(real), object)
			if candidate == nil {
				continue
			}
			if found != nil && found != candidate {
				d.File = p.ground.show(p.top.file)
				return nil
			}
			found, d.File = candidate, p.ground.show(real)
		}
	}
	return found
}

// generator returns the entry of a kustomization that generated the object of
// that name.
func generator(root *yaml.Node, kind, name string) *yaml.Node {
	if kind == "" {
		return nil
	}
	_, list := field(root, strings.ToLower(kind[:1])+kind[1:])
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var best *yaml.Node
	for _, g := range list.Content {
		if n := text(g, "name"); strings.Contains(name, n) && (best == nil || len(n) > len(text(best, "name"))) {
			best = g
		}
	}
	return best
}

// objects returns the objects of a base file, those of lists one by one.
func (p *provenance) objects(real string) []*yaml.Node {
	if known, ok := p.sources[real]; ok {
		return known
	}
	var all []*yaml.Node
	if data, err := p.ground.read(real, p.limits.FileBytes); err == nil {
		documents, _ := parseNodes(data)
		for _, d := range documents {
			_, items := field(d, "items")
			if strings.HasSuffix(text(d, "kind"), "List") && items != nil && items.Kind == yaml.SequenceNode {
				all = append(all, items.Content...)
				continue
			}
			all = append(all, d)
		}
	}
	p.sources[real] = all
	return all
}

// pick returns the one among candidates that became object: of its kind, with
// the longest name that its name still holds, in its namespace where that
// decides. Where that leaves several, it is nil.
func pick(candidates []*yaml.Node, object *resource.Resource) *yaml.Node {
	var sameKind, best []*yaml.Node
	longest := -1
	for _, c := range candidates {
		if text(c, "kind") != object.GetKind() {
			continue
		}
		sameKind = append(sameKind, c)
		_, metadata := field(c, "metadata")
		name := text(metadata, "name")
		if !strings.Contains(object.GetName(), name) || len(name) < longest {
			continue
		}
		if len(name) > longest {
			longest, best = len(name), nil
		}
		best = append(best, c)
	}
	if len(best) == 0 && len(sameKind) == 1 { // a patch or a replacement renamed it
		return sameKind[0]
	}
	if len(best) > 1 {
		best = inNamespace(best, object.GetNamespace())
	}
	if len(best) == 1 {
		return best[0]
	}
	return nil
}

func inNamespace(candidates []*yaml.Node, namespace string) []*yaml.Node {
	var kept []*yaml.Node
	for _, c := range candidates {
		if _, metadata := field(c, "metadata"); text(metadata, "namespace") == namespace {
			kept = append(kept, c)
		}
	}
	return kept
}
