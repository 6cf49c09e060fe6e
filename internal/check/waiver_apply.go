package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// States of a waiver in an audit.
const (
	matched = "matched"
	unused  = "unused"
	expired = "expired"
	invalid = "invalid"
)

// Waivers are all waivers of an assessment. The zero value waives nothing.
type Waivers struct {
	valid   []*Waiver
	invalid []finding.WaiverUse
}

// Add adds a waiver that ParseWaiver returned.
func (w *Waivers) Add(waiver *Waiver) { w.valid = append(w.valid, waiver) }

// Apply waives what the waivers accept at a time: it sets Finding.Waived, moves
// objects whose every failure of a control is waived from Fail to Waived in the
// counts, and returns what became of each waiver for each of its controls.
//
// Only failures are waived; what is unknown stays unknown. A finding that stands
// for weaker controls as well (Finding.Covers) is waived when all of them are:
// accepting that a container is not as strict as can be does not accept a worse
// fault in the same place.
func (w *Waivers) Apply(out *Outcome, now time.Time) []finding.WaiverUse {
	uses := newUses(w.valid, now)
	a := application{out: out, uses: uses, faults: map[fault]bool{}}
	for _, f := range out.Findings {
		a.finding(f)
	}
	a.count()
	audit := slices.Clone(w.invalid)
	for _, u := range uses.all {
		audit = append(audit, u.report(out))
	}
	slices.SortStableFunc(audit, func(a, b finding.WaiverUse) int {
		return cmp.Or(cmp.Compare(a.Waiver, b.Waiver), comparePlace(a.Location, b.Location), cmp.Compare(a.Control, b.Control))
	})
	return audit
}

// use is what became of one waiver for one of its controls.
type use struct {
	waiver  *Waiver
	control string
	order   int
	expired bool
	matches int
	// unknown counts findings that it names and that are unknown.
	unknown int
	// kept counts failures that it accepts and that stay for what else they mean.
	kept      int
	remaining map[string]bool
}

// uses finds the waivers that may accept a failure of a control: by the name of
// the object where a waiver gives one, by the object where it is an annotation,
// and else by the control alone.
type uses struct {
	all   []*use
	index map[useKey][]*use
}

type useKey struct {
	control, name string
	carrier       *model.Object
}

func newUses(waivers []*Waiver, now time.Time) *uses {
	waivers = slices.Clone(waivers)
	// An order of their own, so that the same waiver is named whatever was read
	// first; waivers that are objects before annotations.
	slices.SortStableFunc(waivers, func(a, b *Waiver) int {
		return cmp.Or(compareBool(a.carrier != nil, b.carrier != nil), cmp.Compare(a.Name, b.Name), comparePlace(a.Location, b.Location))
	})
	u := &uses{index: map[useKey][]*use{}}
	for _, w := range waivers {
		for _, control := range w.Controls {
			one := &use{waiver: w, control: control, order: len(u.all), expired: w.expired(now), remaining: map[string]bool{}}
			u.all = append(u.all, one)
			keys := map[useKey]bool{}
			if w.carrier != nil {
				keys[useKey{control: control, carrier: w.carrier}] = true
			}
			for _, r := range w.Resources {
				if isPattern(r.Name) {
					keys[useKey{control: control}] = true
				} else {
					keys[useKey{control: control, name: r.Name}] = true
				}
			}
			for k := range keys {
				u.index[k] = append(u.index[k], one)
			}
		}
	}
	return u
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// of returns the waivers that name a failure of a control, expired ones among
// them, in order.
func (u *uses) of(f *Judged, control string) []*use {
	if len(u.index) == 0 {
		return nil
	}
	var out []*use
	seen := map[*use]bool{}
	keys := []useKey{{control: control}}
	if f.Object.Name != "" {
		keys = append(keys, useKey{control: control, name: f.Object.Name})
	}
	if f.Of != nil {
		keys = append(keys, useKey{control: control, carrier: f.Of})
	}
	for _, k := range keys {
		for _, one := range u.index[k] {
			if !seen[one] && one.waiver.accepts(f) {
				seen[one] = true
				out = append(out, one)
			}
		}
	}
	slices.SortFunc(out, func(a, b *use) int { return cmp.Compare(a.order, b.order) })
	return out
}

// application is one run of Apply.
type application struct {
	out  *Outcome
	uses *uses
	// faults says of each control that failed on an object whether every such
	// failure is waived.
	faults map[fault]bool
}

type fault struct {
	control string
	// of is the object; where it was not given, root and ref name it.
	of   *model.Object
	root string
	ref  finding.Ref
}

func faultOf(f *Judged, control string) fault {
	if f.Of != nil {
		return fault{control: control, of: f.Of}
	}
	return fault{control: control, root: f.Root, ref: f.Object}
}

func (a *application) finding(f *Judged) {
	if f.Verdict != finding.Fail {
		for _, u := range a.uses.of(f, f.Control) {
			u.unknown++
		}
		return
	}
	var by *use
	var accepting []*use
	var remaining []string
	for _, control := range append([]string{f.Control}, f.Covers...) {
		waived := false
		for _, u := range a.uses.of(f, control) {
			u.matches++
			if u.expired {
				continue
			}
			accepting, waived = append(accepting, u), true
			if by == nil && control == f.Control {
				by = u
			}
		}
		if !waived {
			remaining = append(remaining, control)
		}
		key := faultOf(f, control)
		before, found := a.faults[key]
		a.faults[key] = waived && (before || !found)
	}
	if len(remaining) == 0 {
		w := by.waiver
		f.Waived = &finding.Waived{Waiver: w.Name, Owner: w.Owner, Reason: w.Reason, Ticket: w.Ticket, Expires: w.Expires.Format(day)}
		return
	}
	for _, u := range accepting {
		u.kept++
		for _, control := range remaining {
			u.remaining[control] = true
		}
	}
}

func (a *application) count() {
	for key, waived := range a.faults {
		if c := a.out.Counts[key.control]; waived && c != nil && c.Fail > 0 {
			c.Fail--
			c.Waived++
		}
	}
}

func (u *use) report(out *Outcome) finding.WaiverUse {
	r := u.waiver.use(u.control)
	note := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	switch {
	case u.expired:
		r.State = expired
		if u.matches > 0 {
			note("no longer accepts what it names: %s", countOf(u.matches))
		}
		return r
	case u.matches > 0:
		r.State, r.Matches = matched, u.matches
	default:
		r.State = unused
		if out.Counts[u.control] == nil {
			note("the control was not selected for this run")
		}
	}
	if u.unknown > 0 {
		note("only failures can be waived, and not what is unknown: %s", countOf(u.unknown))
	}
	if u.kept > 0 {
		note("accepts in part, for no waiver accepts %s in the same place; still open: %s",
			strings.Join(slices.Sorted(maps.Keys(u.remaining)), ", "), countOf(u.kept))
	}
	return r
}

func countOf(findings int) string {
	if findings == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", findings)
}
