package check_test

import (
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// FuzzWaivers reads any text as waivers and annotations: nothing panics, and what
// waives says on whose word, why and until when.
func FuzzWaivers(f *testing.F) {
	f.Add(goodWaiver)
	f.Add(strings.Replace(goodWaiver, "control: no-root", "controls: [no-root, [], {}, ~]", 1))
	f.Add(strings.Replace(goodWaiver, "resources:", "resources: {a: 1}\n  other:", 1))
	f.Add(privilegedPods(`waive.bulkhead.dev/no-root: "r; owner=o; expires=2027-01-31; container=[a-"`, `waive.bulkhead.dev/: []`))
	f.Fuzz(func(t *testing.T, text string) {
		file := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
		w := model.NewWorld(file.Objects, model.WorldOptions{})
		out := &check.Outcome{Counts: map[string]*finding.ControlCount{}}
		for _, o := range w.Objects {
			out.Findings = append(out.Findings, &check.Judged{Of: o, Finding: finding.Finding{Control: "no-root", Verdict: finding.Fail, Object: o.Ref(), Container: "app"}})
		}
		uses := check.ReadWaivers(&model.Snapshot{Worlds: []*model.World{w}}, check.WaiverOptions{Known: knownControl}).Apply(out, today)
		for _, f := range out.Findings {
			if w := f.Waived; w != nil && (w.Owner == "" || w.Reason == "" || w.Expires < "2026-08-06" || w.Waiver == "") {
				t.Errorf("%s is waived by %+v", f.Object, *w)
			}
		}
		for _, u := range uses {
			if u.State == "invalid" && len(u.Problems) == 0 {
				t.Errorf("%+v says nothing of what is wrong", u)
			}
		}
	})
}
