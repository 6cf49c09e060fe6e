package overlay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// rendersKept is how often one plan builds; each may take seconds.
const rendersKept = 40

// render builds with files standing in, and drops what is null.
func (p *planner) render(ctx context.Context, files map[string][]byte) ([]map[string]any, error) {
	p.renders++
	objects, err := p.Render(ctx, files)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	out := make([]map[string]any, len(objects))
	for i, o := range objects {
		out[i] = prune(o)
	}
	return out, nil
}

// prove finds the items of more that hold together with those of held, which are
// proven, by building with them; where a build does not say which is at fault,
// by halves. It returns all that hold; the error is the context's.
func (p *planner) prove(ctx context.Context, held, more []*item) ([]*item, error) {
	for len(more) > 0 {
		if p.renders >= rendersKept {
			for _, it := range more {
				p.refuse(it, "too many changes of this kustomization cannot be made as patches to try them all; make fewer at a time")
			}
			return held, nil
		}
		all := slices.Concat(held, more)
		files, notes, failed := p.write(all)
		if len(failed) > 0 {
			for it, why := range failed {
				p.refuse(it, why)
			}
			more = slices.DeleteFunc(slices.Clone(more), func(it *item) bool { return failed[it] != "" })
			continue
		}
		objects, err := p.render(ctx, files)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("build the kustomization %s: %w", p.Dir, ctx.Err())
		}
		var wrong map[*item]*miss
		side := "the build fails with a patch of it: " + oneLine(err)
		if err == nil {
			wrong, side = p.compare(objects, all)
		}
		switch {
		case len(wrong) == 0 && side == "":
			p.files, p.notes = files, notes
			return all, nil
		case len(wrong) > 0 && !slices.ContainsFunc(held, func(it *item) bool { return wrong[it] != nil }):
			more = p.reduce(more, wrong)
		case len(more) == 1:
			if side == "" {
				side = "it cannot be made together with another change of this kustomization"
			}
			p.refuse(more[0], side)
			return held, nil
		default:
			half := len(more) / 2
			if held, err = p.prove(ctx, held, more[:half]); err != nil {
				return nil, err
			}
			more = more[half:]
		}
	}
	return held, nil
}

// miss is what an item did not come to: the edits that are to blame, or all of
// them, and what is said of them.
type miss struct {
	edits []finding.Edit
	why   string
}

// compare holds built objects against what is wanted. It returns the items that
// did not come about, and what else is not as it was.
func (p *planner) compare(objects []map[string]any, items []*item) (wrong map[*item]*miss, side string) {
	if len(objects) != len(p.before) {
		return nil, "a patch of it would change which objects there are"
	}
	wanted, wrong := map[int]*item{}, map[*item]*miss{}
	for _, it := range items {
		wanted[it.object] = it
	}
	after := map[string]map[string]any{}
	for _, o := range objects {
		after[identity(o)] = o
	}
	for i, before := range p.before {
		o, it := after[identity(before)], wanted[i]
		switch {
		case p.place[identity(before)] < 0: // of two with one name both must be there as they were
			if !slices.ContainsFunc(objects, func(o map[string]any) bool { return equal(o, before) }) {
				side = sideEffect(before)
			}
		case it == nil && (o == nil || !equal(o, before)):
			side = sideEffect(before)
		case it != nil && o == nil:
			wrong[it] = &miss{why: "its name would change with it, as the names of what generators make do; change what it is made of"}
		case it != nil:
			if edits := it.missed(before, o); len(edits) > 0 {
				wrong[it] = &miss{edits, "the build does not give what is wanted at " + edits[0].Path + p.laterSteps()}
			}
		}
	}
	return wrong, side
}

func sideEffect(o map[string]any) string {
	name, _ := model.Get(o, "metadata", "name").(string)
	return fmt.Sprintf("a patch of it would change %s %s, too", groupKind(o).Kind, name)
}

// missed returns the edits of an item that its built object does not show; all
// of them, where that is not what makes the difference.
func (it *item) missed(before, built map[string]any) []finding.Edit {
	wanted, err := finding.Apply(before, it.edits)
	if err != nil {
		return it.edits
	}
	if equal(wanted, built) {
		return nil
	}
	var missed []finding.Edit
	for _, e := range it.edits {
		want, should := at(wanted, split(e.Path))
		got, is := at(built, split(e.Path))
		if should != is || !equal(want, got) {
			missed = append(missed, e)
		}
	}
	if len(missed) == 0 {
		return it.edits
	}
	return missed
}

// reduce gives up the edits that did not come about, or the items.
func (p *planner) reduce(items []*item, wrong map[*item]*miss) []*item {
	var kept []*item
	for _, it := range items {
		m := wrong[it]
		switch {
		case m == nil:
			kept = append(kept, it)
		case m.edits != nil && (p.giveUp(it, m.edits) || p.atEnd(it)):
			kept = append(kept, p.translate([]*item{it})...)
		default:
			p.refuse(it, m.why)
		}
	}
	return kept
}

// giveUp leaves edits out of an item where a field of the kustomization sets
// just what they would, so that the others mean the same without them. It
// reports false where that is not so.
func (p *planner) giveUp(it *item, edits []finding.Edit) bool {
	var whys []string
	left := it.edits
	for _, e := range edits {
		by := p.setBy(e.Path)
		if by == "" {
			return false
		}
		whys = append(whys, fmt.Sprintf("%s is set by %s in %s; edit it there", e.Path, by, p.File))
		left = slices.DeleteFunc(slices.Clone(left), func(o finding.Edit) bool { return o.Path == e.Path })
	}
	if it.left != "" {
		whys = append([]string{it.left}, whys...)
	}
	it.left, it.edits = strings.Join(whys, "; "), left
	p.refused[it.index] = it.left
	return true
}

// refuse tells why a change is not made, what was given up of it before included.
func (p *planner) refuse(it *item, why string) {
	if it.left != "" {
		why = it.left + "; " + why
	}
	p.refused[it.index] = why
}

// setBy names the field of the kustomization that sets the field at a path after
// all patches, "" where none is made for that.
func (p *planner) setBy(path string) string {
	tokens := split(path)
	last := tokens[len(tokens)-1]
	under := func(name string) bool { return slices.Contains(tokens, name) }
	var by []string
	switch {
	case last == "image":
		by = p.definition.has("images")
	case path == "/spec/replicas":
		by = p.definition.has("replicas")
	case under("labels") || under("matchLabels") || under("selector"):
		by = p.definition.has("labels", "commonLabels")
	case under("annotations"):
		by = p.definition.has("commonAnnotations")
	case last == "namespace":
		by = p.definition.has("namespace")
	}
	return strings.Join(by, " or ")
}

// laterSteps names what of the kustomization runs after its patches.
func (p *planner) laterSteps() string {
	by := p.definition.has("namespace", "namePrefix", "nameSuffix", "labels", "commonLabels", "commonAnnotations",
		"patchesJson6902", "replicas", "images", "replacements", "transformers", "vars")
	above := "a kustomization that takes this one in"
	switch {
	case len(by) == 0:
		return "; " + above + " may set it"
	case p.definition.component:
		by = append(by, "or "+above)
	}
	return fmt.Sprintf("; what runs after the patches in %s may set it: %s", p.File, strings.Join(by, ", "))
}

// oneLine makes a message of others fit for one line of a terminal.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	const longest = 500
	message := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, err.Error())
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "..."
	}
	return message
}
