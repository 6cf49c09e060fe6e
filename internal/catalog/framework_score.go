package catalog

import "bulkhead.dev/bulkhead/internal/finding"

// Scores says how the counts of a run, by control, stand against each framework.
func Scores(counts map[string]*finding.ControlCount) ([]finding.Framework, error) {
	all, err := Frameworks()
	if err != nil {
		return nil, err
	}
	out := make([]finding.Framework, 0, len(all))
	for i := range all {
		out = append(out, Score(&all[i], counts))
	}
	return out, nil
}

// Score says how the counts of a run, by control, stand against a framework. A
// requirement that was assessed has passed or failed; total counts all of them.
func Score(f *Framework, counts map[string]*finding.ControlCount) finding.Framework {
	out := finding.Framework{Name: f.Name, Title: f.Title, Total: len(f.Requirements)}
	for _, r := range f.Requirements {
		v := r.verdict(counts)
		switch v {
		case finding.Pass:
			out.Passed++
		case finding.Fail:
			out.Failed++
		}
		out.Requirements = append(out.Requirements, finding.Requirement{ID: r.ID, Title: r.Title, Verdict: v, Controls: r.Controls})
	}
	out.Assessed = out.Passed + out.Failed
	return out
}

// verdict of a requirement: it fails where any of its controls failed anywhere,
// and is unknown where none did but one could not be judged somewhere. It passes
// only where all of its controls ran and one of them passed: a control that was
// left out of a run must not better a score, nor must a failure that is waived.
// Otherwise it was not assessed, which is not-applicable.
func (r *Requirement) verdict(counts map[string]*finding.ControlCount) finding.Verdict {
	var failed, unknown, passed, absent bool
	for _, name := range r.Controls {
		c := counts[name]
		if c == nil {
			absent = true
			continue
		}
		failed = failed || c.Fail > 0
		unknown = unknown || c.Unknown > 0
		passed = passed || c.Pass > 0
	}
	switch {
	case failed:
		return finding.Fail
	case unknown:
		return finding.Unknown
	case passed && !absent:
		return finding.Pass
	}
	return finding.NotApplicable
}
