package report

import (
	"bytes"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

// FuzzFormats puts arbitrary text into every place of a result and reads every
// structured format with a parser that is not ours.
func FuzzFormats(f *testing.F) {
	for i, s := range hostileStrings {
		f.Add(s, hostileStrings[(i+7)%len(hostileStrings)], hostileStrings[(i+19)%len(hostileStrings)], i, uint8(i))
	}
	f.Fuzz(func(t *testing.T, a, b, c string, line int, bits uint8) {
		r := fuzzResult(a, b, c, line, bits)
		stored := render(t, "json", r, Options{})
		back, err := Read(bytes.NewReader(stored))
		if err != nil {
			t.Fatalf("the JSON cannot be read back: %v", err)
		}
		for _, format := range Formats() {
			if (format.Name == "html" || format.Name == "sarif") && bits%16 != 0 {
				continue // they take a hundred times as long as the others
			}
			o := Options{Width: line % 300, ShowWaived: bits&1 != 0}
			out := render(t, format.Name, r, o)
			if err := unreadable(format.Name, out); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
			if err := parses(format.Name, out); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
			if again := render(t, format.Name, back, o); !bytes.Equal(out, again) {
				t.Errorf("%s after reading back: %s", format.Name, firstDifference(out, again))
			}
		}
	})
}

func fuzzResult(a, b, c string, line int, bits uint8) *finding.Result {
	location := &finding.Location{File: c, Line: line, Column: int(bits)}
	first := finding.Finding{
		Control: a, Verdict: finding.Fail, Severity: finding.Severity(bits % 5), Message: b,
		Object: finding.Ref{Group: c, Version: a, Kind: b, Namespace: c, Name: a}, Root: b, Container: c, Path: a,
		Location: location, Evidence: []finding.Evidence{{Source: b, Detail: c}}, Covers: []string{a, b},
		Fix:         &finding.Fix{Safety: finding.FixRisky, Note: a, Diff: b, Edits: []finding.Edit{{Op: "add", Path: c, Value: map[string]any{"k" + a: b}}}},
		Fingerprint: c,
	}
	second, third := first, first
	second.Location, second.Waived = nil, &finding.Waived{Waiver: a, Owner: b, Reason: c, Expires: a}
	third.Verdict, third.Object.Namespace, third.Control = finding.Unknown, "shop", b
	return &finding.Result{
		Tool: finding.Tool{Name: a, Version: b}, Inputs: []string{a, b, c},
		Findings:   []finding.Finding{first, second, third},
		Passes:     []finding.PassRecord{{Control: c, Object: first.Object, Location: location, Evidence: first.Evidence}},
		Rules:      []finding.Rule{{Name: a, Title: b, Why: c, Remedy: a, Severity: finding.High, Layer: finding.Layer(b), References: []finding.Reference{{Framework: a, ID: b, URL: c}}}},
		Controls:   []finding.ControlCount{{Control: b, Pass: 1, Fail: 1}},
		Summary:    finding.Summary{Objects: 2, Fail: 1, Pass: 1, BySeverity: map[finding.Severity]int{finding.High: 1}, ByLayer: []finding.LayerScore{{Layer: finding.Layer(c), Fail: 1}}},
		Frameworks: []finding.Framework{{Name: a, Title: c, Total: 3, Assessed: 2}},
		Unknown:    []finding.Unmet{{What: a, Reason: b, Controls: []string{c}}},
		Problems:   []finding.Problem{{Location: *location, Message: a}},
		Waivers:    []finding.WaiverUse{{Waiver: b, State: "expired", Owner: c, Problems: []string{a}}},
	}
}
