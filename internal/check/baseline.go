package check

import (
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Baseline is what an earlier assessment found, so that a gate fails on new
// findings alone.
//
// A finding is told by its fingerprint, so neither a moved line nor a reordered
// list makes it new. What was waived is not in a baseline: it would go on being
// accepted after its waiver expired.
type Baseline struct {
	// known has the open findings by fingerprint.
	known map[string]*finding.Finding
	// faults are the controls that failed at a place, those among them that a
	// stricter control was reported for.
	faults map[faultPlace]bool
	// ran are the controls that the assessment ran.
	ran map[string]bool
}

// faultPlace is where a stricter and a weaker control mean one fault.
type faultPlace struct {
	control, root, container string
	object                   finding.Ref
}

func faultPlaceOf(f *finding.Finding, control string) faultPlace {
	p := faultPlace{control: control, root: f.Root, container: f.Container, object: f.Object}
	p.object.Version = "" // an upgraded manifest has the same faults
	return p
}

// NewBaseline remembers the findings of a result that are not waived.
func NewBaseline(r *finding.Result) *Baseline {
	b := &Baseline{known: map[string]*finding.Finding{}, faults: map[faultPlace]bool{}, ran: map[string]bool{}}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Waived == nil {
			b.add(f)
		}
	}
	for _, c := range r.Controls {
		b.ran[c.Control] = true
	}
	return b
}

func (b *Baseline) add(f *finding.Finding) {
	// A finding without a fingerprint would know every other one without.
	if f.Fingerprint != "" {
		b.known[f.Fingerprint] = f
	}
	if f.Verdict == finding.Fail {
		for _, c := range f.Covers {
			b.faults[faultPlaceOf(f, c)] = true
		}
	}
}

// Knows reports whether a finding is not new. One that has come to stand for a
// weaker control as well is new: something in its place became worse. One that a
// stricter finding stood for is not.
func (b *Baseline) Knows(f *finding.Finding) bool {
	old := b.known[f.Fingerprint]
	if old == nil {
		return f.Verdict == finding.Fail && b.faults[faultPlaceOf(f, f.Control)]
	}
	return !slices.ContainsFunc(f.Covers, func(c string) bool {
		// A control that the baseline did not run says nothing about what changed.
		return b.ran[c] && !slices.Contains(old.Covers, c)
	})
}

// Apply takes the findings that the baseline knows out of an outcome and returns
// how many they were. Waived findings stay, and so do the counts by control: a
// baseline holds a gate open and makes nothing more secure. Waivers are applied
// before it.
func (b *Baseline) Apply(out *Outcome) int {
	before := len(out.Findings)
	out.Findings = slices.DeleteFunc(out.Findings, func(f *Judged) bool { return f.Waived == nil && b.Knows(&f.Finding) })
	return before - len(out.Findings)
}

// Changes are the findings of two results side by side. All but Fixed and
// Unjudged are as the newer result has them.
type Changes struct {
	Added, Fixed, Unchanged []finding.Finding
	// Unjudged are findings that the newer result neither has nor cleared: their
	// control did not run, or what it needed could not be read.
	Unjudged []finding.Finding
}

// Diff compares two results by fingerprints. A finding whose waiver is gone or
// expired is added; one that was waived since is unchanged, and says so.
func Diff(older, newer *finding.Result) Changes {
	var c Changes
	base := NewBaseline(older)
	waived := map[string]bool{}
	for i := range older.Findings {
		if f := &older.Findings[i]; f.Waived != nil {
			waived[f.Fingerprint] = true
		}
	}
	still := newStill(newer)
	for i := range newer.Findings {
		f := &newer.Findings[i]
		if base.Knows(f) || f.Waived != nil && waived[f.Fingerprint] {
			c.Unchanged = append(c.Unchanged, *f)
		} else {
			c.Added = append(c.Added, *f)
		}
	}
	for i := range older.Findings {
		f := &older.Findings[i]
		switch {
		case still.reported[f.Fingerprint]:
		case f.Verdict == finding.Fail && still.covered[faultPlaceOf(f, f.Control)]:
			c.Unchanged = append(c.Unchanged, *f)
		case still.unjudged(f):
			c.Unjudged = append(c.Unjudged, *f)
		default:
			c.Fixed = append(c.Fixed, *f)
		}
	}
	for _, list := range [][]finding.Finding{c.Added, c.Fixed, c.Unchanged, c.Unjudged} {
		finding.Sort(list)
	}
	return c
}

// still is what a newer result says of the findings of an older one.
type still struct {
	reported map[string]bool
	// covered are faults that a stricter finding stands for now.
	covered map[faultPlace]bool
	ran     map[string]bool
	// unknown are the controls without a verdict on an object.
	unknown map[faultPlace]bool
	// unmet are, by control, the observations that were missing.
	unmet map[string][]string
	// files are those that could not be read, in whole or in part.
	files map[string]bool
}

func newStill(r *finding.Result) *still {
	s := &still{reported: map[string]bool{}, covered: map[faultPlace]bool{}, ran: map[string]bool{},
		unknown: map[faultPlace]bool{}, unmet: map[string][]string{}, files: map[string]bool{}}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Fingerprint != "" {
			s.reported[f.Fingerprint] = true
		}
		if f.Verdict == finding.Unknown {
			s.unknown[objectPlaceOf(f)] = true
			continue
		}
		for _, c := range f.Covers {
			s.covered[faultPlaceOf(f, c)] = true
		}
	}
	for _, c := range r.Controls {
		s.ran[c.Control] = true
	}
	for _, u := range r.Unknown {
		for _, c := range u.Controls {
			s.unmet[c] = append(s.unmet[c], u.What)
		}
	}
	for _, p := range r.Problems {
		s.files[p.Location.File] = true
	}
	return s
}

// objectPlaceOf is a finding's object without its container: what is unknown is
// unknown of an object.
func objectPlaceOf(f *finding.Finding) faultPlace {
	p := faultPlaceOf(f, f.Control)
	p.container = ""
	return p
}

// unjudged reports whether the newer result is silent about a finding because
// nobody looked, or nobody could.
func (s *still) unjudged(f *finding.Finding) bool {
	if !s.ran[f.Control] || s.unknown[objectPlaceOf(f)] || s.unread(f) {
		return true
	}
	return slices.ContainsFunc(s.unmet[f.Control], func(what string) bool {
		return isKind(what) || what == f.Object.String() || strings.HasPrefix(what, f.Object.String()+" (")
	})
}

// unread reports whether what a finding was about could not be read: its file,
// or anything of the chart or kustomization that it came out of.
func (s *still) unread(f *finding.Finding) bool {
	if f.Location != nil && s.files[f.Location.File] {
		return true
	}
	for file := range s.files {
		if f.Root != "" && (file == f.Root || strings.HasPrefix(file, f.Root+"/")) {
			return true
		}
	}
	return false
}

// isKind tells a kind, which an unmet need names where a whole kind could not be
// read, from an object: Service, apps/Deployment, argoproj.io/Rollout.
func isKind(what string) bool {
	group, _, qualified := strings.Cut(what, "/")
	_, builtin := model.BuiltinResource(model.ParseGroupKind(what))
	return builtin || !qualified || strings.Contains(group, ".")
}
