package check

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Mark tells a control with the values of its parameters from what it was before
// one of them, or its rule, was changed.
func (c *Control) Mark(values map[string]any) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	_ = e.Encode(c.Name) // a hash does not fail
	if c.Object != nil {
		_ = e.Encode([]any{c.Object.Violations, c.Object.Variables})
	}
	_ = e.Encode(values)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// asRecorded is a judgement of an object of which values were left out: the one
// that was recorded, where those matter.
func asRecorded(r *model.Record, o *model.Object, j ObjectJudgement, values map[string]any) Judgement {
	if r == nil || !r.Redacted[o] {
		return j.Judgement
	}
	if r.Controls[j.Control.Name] != j.Control.Mark(values) {
		return Unobserved(o, "the snapshot leaves out values, and was taken without this control, or with other parameters of it; take it again")
	}
	recorded, ok := r.Verdicts[o][j.Control.Name]
	if !ok {
		return j.Judgement
	}
	if recorded.Unknown != "" {
		return Unobserved(o, "%s", recorded.Unknown)
	}
	var violations []Violation
	for _, v := range recorded.Violations {
		path, err := model.ParsePath(v.Path)
		if err != nil {
			return Unobserved(o, "the snapshot cannot be read: %v", err)
		}
		violations = append(violations, Violation{Path: path, Container: v.Container, Detail: v.Detail, Part: v.Part})
	}
	return Failed(o, violations...)
}

// Recorded is a judgement in the form in which a snapshot keeps it.
func (j *Judgement) Recorded() model.Recorded {
	out := model.Recorded{}
	if j.Verdict == finding.Unknown {
		out.Unknown = j.Reason
	}
	for _, v := range j.Violations {
		out.Violations = append(out.Violations, model.RecordedViolation{Path: v.Path.String(), Container: v.Container, Detail: v.Detail, Part: v.Part})
	}
	return out
}
