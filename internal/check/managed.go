package check

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// managed says which part of the platform keeps an object of a cluster. In files
// whoever keeps the files keeps the object.
func (t *tally) managed(o *model.Object) *finding.Managed {
	if !t.world.Live {
		return nil
	}
	// An object has many findings, one after the other.
	if t.keptObject != o {
		t.keptObject, t.kept = o, nil
		if k := t.world.PlatformOf(o); k != nil {
			t.kept = &finding.Managed{By: k.Name, Sign: k.Sign}
		}
	}
	return t.kept
}

// SkipManaged takes the findings about objects that the platform keeps out of an
// outcome and returns how many they were. Waived ones stay, and so do the counts by
// control, as with a baseline.
func SkipManaged(out *Outcome) int {
	before := len(out.Findings)
	out.Findings = slices.DeleteFunc(out.Findings, func(f *Judged) bool { return f.Managed != nil && f.Waived == nil })
	return before - len(out.Findings)
}
