package check

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// tally collects what the controls say of one world.
type tally struct {
	world      *model.World
	keepPasses bool
	counts     map[string]*finding.ControlCount
	failed     []*failed
	passes     []finding.PassRecord
	unmetNeeds []finding.Unmet
	// kept is what keeps the object that was last asked about.
	keptObject *model.Object
	kept       *finding.Managed
}

// failed is a finding and the control that made it.
type failed struct {
	Judged
	control *Control
	part    string
}

func newTally(w *model.World, keepPasses bool) *tally {
	return &tally{world: w, keepPasses: keepPasses, counts: map[string]*finding.ControlCount{}}
}

func (t *tally) count(control string) *finding.ControlCount {
	c := t.counts[control]
	if c == nil {
		c = &finding.ControlCount{Control: control}
		t.counts[control] = c
	}
	return c
}

func (t *tally) judge(c *Control, sc *scope, j Judgement) {
	count := t.count(c.Name)
	switch j.Verdict {
	case finding.Pass:
		count.Pass++
		if t.keepPasses {
			p := finding.PassRecord{Control: c.Name, Object: j.ref(), Root: t.world.Root, Evidence: j.Evidence}
			if j.Object != nil {
				p.Location = j.Object.Locate(nil)
			}
			t.passes = append(t.passes, p)
		}
	case finding.NotApplicable:
		count.NotApplicable++
	case finding.Unknown:
		count.Unknown++
		t.report(c, sc, j, Violation{Detail: j.Reason})
	case finding.Fail:
		count.Fail++
		for _, v := range j.Violations {
			t.report(c, sc, j, v)
		}
	}
}

func (t *tally) report(c *Control, sc *scope, j Judgement, v Violation) {
	f := finding.Finding{Control: c.Name, Verdict: j.Verdict, Severity: c.Severity, Message: v.Detail, Object: j.ref(),
		Root: t.world.Root, Container: v.Container, Path: v.Path.String(), Evidence: j.Evidence}
	if s, ok := sc.severities[c.Name]; ok {
		f.Severity = s
	}
	if j.Object != nil {
		f.Location = j.Object.Locate(v.Path)
		f.Managed = t.managed(j.Object)
	}
	f.Fingerprint = fingerprint(&f, stablePath(j.Object, v.Path))
	t.failed = append(t.failed, &failed{Judged{f, j.Object}, c, v.Part})
}

func (t *tally) unmet(o *model.Object, controls []*Control, reason string) {
	u := finding.Unmet{What: o.Ref().String(), Reason: reason}
	if l := o.Locate(nil); l != nil {
		u.What = fmt.Sprintf("%s (%s:%d)", u.What, l.File, l.Line)
	}
	for _, c := range controls {
		t.count(c.Name).Unknown++
		u.Controls = append(u.Controls, c.Name)
	}
	t.unmetNeeds = append(t.unmetNeeds, u)
}

func (t *tally) unmetKind(c *Control, gk model.GroupKind, reason string) {
	t.count(c.Name).Unknown++
	t.unmetNeeds = append(t.unmetNeeds, finding.Unmet{What: gk.String(), Reason: reason, Controls: []string{c.Name}})
}

func (t *tally) add(o *tally) {
	for name, c := range o.counts {
		sum := t.count(name)
		sum.Pass += c.Pass
		sum.Fail += c.Fail
		sum.NotApplicable += c.NotApplicable
		sum.Unknown += c.Unknown
	}
	t.failed = append(t.failed, o.failed...)
	t.passes = append(t.passes, o.passes...)
	t.unmetNeeds = append(t.unmetNeeds, o.unmetNeeds...)
}

// finish adds the tally to an outcome: subsumed findings left out, fingerprints
// told apart.
func (t *tally) finish(total *Outcome) {
	for name, c := range t.counts {
		sum := total.Counts[name]
		sum.Pass += c.Pass
		sum.Fail += c.Fail
		sum.NotApplicable += c.NotApplicable
		sum.Unknown += c.Unknown
	}
	total.Passes = append(total.Passes, t.passes...)
	total.Unmet = append(total.Unmet, t.unmetNeeds...)
	kept := subsume(t.failed)
	tellApart(kept)
	for _, f := range kept {
		total.Findings = append(total.Findings, &f.Judged)
	}
}

// place is what a stricter and a weaker control must share to mean one fault.
type place struct {
	object    finding.Ref
	container string
	control   string
}

// subsume leaves out the failures of weaker controls where a stricter one fails
// at the same place. The stricter finding takes over the higher severity.
func subsume(all []*failed) []*failed {
	stricter := map[string][]*Control{}
	for _, f := range all {
		for _, weaker := range f.control.Subsumes {
			if !slices.Contains(stricter[weaker], f.control) {
				stricter[weaker] = append(stricter[weaker], f.control)
			}
		}
	}
	if len(stricter) == 0 {
		return all
	}
	at := map[place][]int{}
	for i, f := range all {
		if f.Verdict == finding.Fail && len(f.control.Subsumes) > 0 {
			p := place{f.Object, f.Container, f.Control}
			at[p] = append(at[p], i)
		}
	}
	drop := make([]bool, len(all))
	for i, f := range all {
		if f.Verdict != finding.Fail {
			continue
		}
		for _, c := range stricter[f.Control] {
			for _, by := range at[place{f.Object, f.Container, c.Name}] {
				s := all[by]
				if !oneFault(s, f) {
					continue
				}
				drop[i] = true
				s.Severity = max(s.Severity, f.Severity)
				if !slices.Contains(s.Covers, f.Control) {
					s.Covers = append(s.Covers, f.Control)
				}
			}
		}
	}
	kept := all[:0]
	for i, f := range all {
		if !drop[i] {
			slices.Sort(f.Covers)
			kept = append(kept, f)
		}
	}
	return kept
}

// oneFault reports whether two failures of the same object and container are the
// same fault. What is about no container must be in the same part of the object,
// or one field must hold the other.
func oneFault(a, b *failed) bool {
	if a.part != "" && b.part != "" {
		return a.part == b.part
	}
	return a.Container != "" || holds(a.Path, b.Path) || holds(b.Path, a.Path)
}

// holds reports whether the field at path is, or lies in, the one at outer.
func holds(outer, path string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// fingerprint identifies a finding by what it is about, not by where it stands
// or how it is worded.
func fingerprint(f *finding.Finding, path string) string {
	h := sha256.Sum256([]byte(strings.Join([]string{f.Control, string(f.Verdict), f.Root, f.Object.Group, f.Object.Kind,
		f.Object.Namespace, f.Object.Name, f.Container, path}, "\x00")))
	return hex.EncodeToString(h[:12])
}

// stablePath writes a path with the name of a list's item in place of its index
// where the item has one, so that a container that moves stays the same.
func stablePath(o *model.Object, path model.Path) string {
	if o == nil {
		return path.String()
	}
	var b strings.Builder
	var at any = o.Content
	for i, s := range path {
		var ok bool
		if at, ok = path[i : i+1].Lookup(at); !ok {
			at = nil
		}
		if name, _ := model.Get(at, "name").(string); s.Key == "" && name != "" {
			fmt.Fprintf(&b, "[name=%q]", name)
			continue
		}
		fmt.Fprintf(&b, "/%s", path[i:i+1])
	}
	return b.String()
}

// tellApart gives findings that would share a fingerprint a number each, in the
// order of their places.
func tellApart(fs []*failed) {
	same := map[string][]int{}
	for i := range fs {
		same[fs[i].Fingerprint] = append(same[fs[i].Fingerprint], i)
	}
	for _, indexes := range same {
		if len(indexes) < 2 {
			continue
		}
		slices.SortFunc(indexes, func(a, b int) int {
			return cmp.Or(cmp.Compare(fs[a].Path, fs[b].Path), cmp.Compare(fs[a].Message, fs[b].Message), comparePlace(fs[a].Location, fs[b].Location))
		})
		for n, i := range indexes[1:] {
			fs[i].Fingerprint += fmt.Sprintf("-%d", n+2)
		}
	}
}

func comparePlace(a, b *finding.Location) int {
	if a == nil || b == nil {
		return 0
	}
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}
