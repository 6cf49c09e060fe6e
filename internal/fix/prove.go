package fix

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// fault is what findings are counted by: a control at a container of an object.
// Fingerprints name places in lists, which move when an item is removed.
type fault struct {
	root, file         string
	object             finding.Ref
	container, control string
}

func faultOf(f *Found) fault {
	k := fault{root: f.Root, object: f.Object, container: f.Container, control: f.Control}
	if f.Of != nil && f.Root == "" {
		k.file = f.Of.Source.File
	}
	return k
}

// tally counts open findings, and knows them by fingerprint.
type tally struct {
	// faults are known by a hash of 64 bits: two scans have a million of them at
	// most, and a map without pointers costs the collector nothing.
	faults map[uint64]int
	// byControl counts the same without the container.
	byControl    map[uint64]int
	fingerprints map[string]bool
}

var faultSeed = maphash.MakeSeed()

func (k fault) hash() uint64 { return maphash.Comparable(faultSeed, k) }

func (k fault) withoutContainer() fault {
	k.container = ""
	return k
}

func tallyOf(a *Assessment) *tally {
	t := &tally{map[uint64]int{}, map[uint64]int{}, map[string]bool{}}
	for i := range a.Findings {
		f := &a.Findings[i]
		if f.Waived != nil {
			continue
		}
		k := faultOf(f)
		t.faults[k.hash()]++
		t.byControl[k.withoutContainer().hash()]++
		t.fingerprints[f.Fingerprint] = true
	}
	return t
}

// prove compares the scan of the changed files with the first. It notes what is
// to be taken back, and reports whether nothing is.
func (r *run) prove(ctx context.Context, p *plan, after *Assessment) bool {
	had, has := r.tally, tallyOf(after)
	proven := true
	for i := range after.Findings {
		f := &after.Findings[i]
		if k := faultOf(f).hash(); f.Waived != nil || had.fingerprints[f.Fingerprint] || has.faults[k] <= had.faults[k] || r.wasCovered(f) {
			continue
		}
		if proven = false; !r.follow(p, f) {
			r.takeBack(p, f.Root, &f.Object, fmt.Sprintf("the change brings another finding: %s: %s", f.Control, f.Message))
		}
	}
	if !r.allRemoved(ctx, p, has) {
		proven = false
	}
	for _, problem := range after.Problems {
		if !slices.Contains(r.before.Problems, problem) {
			r.takeBack(p, "", nil, fmt.Sprintf("the changed file cannot be read: %s: %s", problem.Location.File, problem.Message))
			proven = false
		}
	}
	return !r.nextStep() && proven
}

// allRemoved reports whether all fixes removed their findings. Those that did not
// are given up; but where only fields of other fixes cannot be set, those are
// given up first: without them a fix may set other fields.
func (r *run) allRemoved(ctx context.Context, p *plan, has *tally) bool {
	mutate := r.Mutate()
	all := true
	givenUp := map[*model.Object]bool{}
	var others []target
	for k := range p.targets {
		a := r.attempts[k]
		if a.reason != "" || r.removed(a, has) {
			continue
		}
		all = false
		if p.refused[k.object] == "" {
			a.cause, a.reason = finding.LeftUnproven, "the finding is still there after the change"
			continue
		}
		reason, own := p.whyNot(ctx, mutate, k)
		if !own {
			others = append(others, k)
			continue
		}
		a.cause, a.reason = finding.LeftRefused, reason
		givenUp[k.object] = true
	}
	for _, k := range others {
		if a := r.attempts[k]; !givenUp[k.object] {
			a.cause, a.reason = finding.LeftRefused, p.refused[k.object]
		}
	}
	return all
}

// removed reports whether a fix removed findings, and notes those that it left.
func (r *run) removed(a *attempt, has *tally) bool {
	by := faultOf(a.findings[0]).withoutContainer().hash()
	n := has.byControl[by]
	a.partly = nil
	switch {
	case n == 0:
		return true
	case n >= r.tally.byControl[by]:
		return false
	}
	a.partly = map[string]bool{}
	for _, f := range a.findings {
		if has.fingerprints[f.Fingerprint] {
			a.partly[f.Fingerprint] = true
		}
	}
	return true
}

// follow takes up the fix of a finding that only the changed object has, and
// reports whether it may help: once for each control.
func (r *run) follow(p *plan, f *Found) bool {
	if wanted, _, _ := r.Choose(&f.Finding, f.Control); !wanted {
		return false
	}
	took := false
	for k := range p.targets {
		if r.attempts[k].reason != "" || r.attempts[k].findings[0].Root != f.Root || k.object.Ref() != f.Object {
			continue
		}
		if r.further[k.object] == nil {
			r.further[k.object] = map[string]bool{}
		}
		if p.further[target{f.Control, k.object}] {
			return false // it was tried
		}
		r.further[k.object][f.Control] = true
		took = true
	}
	return took
}

// wasCovered reports whether a finding was part of a stricter one before.
func (r *run) wasCovered(f *Found) bool {
	return slices.ContainsFunc(r.before.Findings, func(b Found) bool {
		return b.Root == f.Root && b.Object == f.Object && slices.Contains(b.Covers, f.Control)
	})
}

// uncovered notes findings that the second scan tells by themselves, because the
// stricter ones that covered them are gone.
func (r *run) uncovered(out *Outcome) {
	for i := range out.After.Findings {
		if f := &out.After.Findings[i]; f.Waived == nil && !r.tally.fingerprints[f.Fingerprint] && r.wasCovered(f) {
			out.Notes = append(out.Notes, fmt.Sprintf("%s of %s was part of another finding, and is left: %s", f.Control, f.Object, f.Message))
		}
	}
}

// takeBack gives up the fixes of an object that bring another finding; if that one
// is not changed, all of its namespace, its root, or everything.
func (r *run) takeBack(p *plan, root string, object *finding.Ref, reason string) {
	give := func(which func(target) bool) bool {
		given := false
		for k := range p.targets {
			if which(k) {
				r.giveUp(k, reason)
				given = true
			}
		}
		return given
	}
	rootOf := func(k target) string { return r.attempts[k].findings[0].Root }
	if object != nil && (r.suspect(p, func(k target) bool { return rootOf(k) == root && k.object.Ref() == *object }, reason) ||
		give(func(k target) bool { return rootOf(k) == root && k.object.Ref().InNamespace() == object.InNamespace() }) ||
		give(func(k target) bool { return rootOf(k) == root })) {
		return
	}
	give(func(target) bool { return true })
}

func (r *run) giveUp(k target, reason string) {
	a := r.attempts[k]
	a.cause, a.reason = finding.LeftUnproven, reason
}
