// Package overlay writes wanted changes of built objects into the kustomization
// that builds them: as JSON patches (RFC 6902) in files of its own folder, which
// its kustomization file names under patches.
//
// A patch runs before most of what else a kustomization does: before prefixes,
// namespaces, labels, images, replicas and replacements of the same file, and
// before all of those that build on it. What an object is called and looks like
// at that point is not in the result of the build, so [Plan] asks for it: it
// builds once with a patch that copies the metadata, and the parts that are to be
// changed, of every object of the kinds in question into a field of their own,
// which nothing later knows. Paths, targets and guards are made from that copy.
//
// Nothing is taken on trust: the kustomization is built with the new files
// standing in, and a change stays only if its object is exactly as wanted and
// every other object as it was.
package overlay

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
)

// Kustomization is the one that is to hold the patches: of kind Kustomization,
// or of kind Component.
type Kustomization struct {
	// Dir is its folder as the user named it, File its kustomization file in that
	// folder, Text what is in it.
	Dir  string
	File string
	Text []byte
	// Existing returns a file of the folder by its name. What is not ours is not
	// overwritten, and what is ours is extended.
	Existing func(name string) ([]byte, bool)
	// Render builds with files standing in, by their path below Dir, and gives the
	// built objects. For a component it may build what takes the component in.
	Render func(ctx context.Context, files map[string][]byte) ([]map[string]any, error)
}

// planner is one plan at work.
type planner struct {
	Kustomization
	definition *definition
	before     []map[string]any
	// place is the index in before by identity, -1 for one that is there twice.
	place   map[string]int
	refused map[int]string
	notes   []string
	// files are those of the last proof that held.
	files   map[string][]byte
	renders int
	// taken are the names that new files have.
	taken map[string]bool
}

// item is one wanted change on its way into a patch.
type item struct {
	// index is that of the change, object that of its object in planner.before.
	index, object int
	edits         []finding.Edit
	// left says of the edits that were given up why.
	left string
	// stage is the object where the patch gets it, target the patch's.
	stage  *stage
	target target
	// last are those of a patch that runs after all others.
	last struct {
		stage  *stage
		target target
	}
	// file is where the patch is to be; entry is that of the kustomization file
	// where it is registered already.
	file  string
	entry *entry
	ops   []finding.Edit
}

// Plan writes the wanted changes of objects that one kustomization renders as
// JSON patches in its folder, one file for each object, registered in its
// kustomization file. A change is refused unless the build with the new files
// gives exactly it. Of a change whose object has fields that the kustomization
// sets after all patches (images, replicas, labels), the rest is made, and the
// refusal says what is not. The error is one of the kustomization as it stands.
func Plan(ctx context.Context, k Kustomization, wanted []fix.Change) (*fix.Result, error) {
	result := &fix.Result{Files: map[string][]byte{}, Refused: map[int]string{}}
	if len(wanted) == 0 {
		return result, nil
	}
	if filepath.Dir(k.File) != filepath.Clean(k.Dir) {
		return nil, fmt.Errorf("patch the kustomization %s: its file %s is not in that folder", k.Dir, k.File)
	}
	d, err := parse(k.Text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.File, err)
	}
	p := &planner{Kustomization: k, definition: d, refused: result.Refused, place: map[string]int{}, taken: map[string]bool{}}
	if p.before, err = p.render(ctx, nil); err != nil {
		return nil, fmt.Errorf("build the kustomization %s: %w", k.Dir, err)
	}
	for i, o := range p.before {
		id := identity(o)
		if _, twice := p.place[id]; twice {
			i = -1
		}
		p.place[id] = i
	}
	items := p.items(wanted)
	p.ours()
	if items, err = p.locate(ctx, items); err != nil {
		return nil, err
	}
	if _, err := p.prove(ctx, nil, p.translate(items)); err != nil {
		return nil, err
	}
	for name, content := range p.files {
		result.Files[name] = content
	}
	result.Notes = p.notes
	return result, nil
}

// items takes up the changes that are wanted of objects that the build has.
func (p *planner) items(wanted []fix.Change) []*item {
	var items []*item
	taken := map[int]bool{}
	for i, c := range wanted {
		at, why := p.find(c)
		if why == "" && taken[at] {
			why = "there is another change of the same object; make this one in a run of its own"
		}
		if why != "" {
			p.refused[i] = why
			continue
		}
		if after, err := finding.Apply(p.before[at], c.Edits); err != nil || !equal(after, prune(c.After)) {
			p.refused[i] = "its edits do not give what is wanted of the object"
		} else if identity(after) != identity(p.before[at]) {
			p.refused[i] = "it would change what the object is called; change that in its source"
		} else if !equal(after, p.before[at]) {
			taken[at] = true
			items = append(items, &item{index: i, object: at, edits: c.Edits})
		}
	}
	return items
}

// find returns the built object that a change is about, or why there is none.
func (p *planner) find(c fix.Change) (int, string) {
	if c.Object == nil {
		return 0, "there is no object to change"
	}
	for _, e := range c.Edits {
		tokens, err := finding.SplitPointer(e.Path)
		if !slices.Contains([]string{"add", "replace", "remove"}, e.Op) || err != nil || len(tokens) == 0 {
			return 0, fmt.Sprintf("%s %q is no change of a field", e.Op, e.Path)
		}
	}
	content := prune(c.Object.Content)
	if name, _ := model.Get(content, "metadata", "name").(string); name == "" {
		return 0, "it has no name, so that no patch can be made for it alone; give it one"
	}
	at, built := p.place[identity(content)]
	switch {
	case !built:
		return 0, fmt.Sprintf("the kustomization %s does not build it", p.Dir)
	case at < 0:
		return 0, fmt.Sprintf("the kustomization %s builds it more than once", p.Dir)
	case !equal(content, p.before[at]):
		return 0, fmt.Sprintf("the kustomization %s changed since it was read; run the fix again", p.Dir)
	}
	return at, ""
}
