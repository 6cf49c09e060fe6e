package report

import (
	"bytes"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

// sampleFix is a fix of the sample: one finding is fixed in its file, one by a
// value elsewhere, and one is left for each cause.
func sampleFix() *finding.FixResult {
	sample := sampleResult()
	r := &finding.FixResult{APIVersion: finding.APIVersion, Kind: finding.FixResultKind, Tool: sample.Tool, Inputs: sample.Inputs, Written: true,
		Rules: sample.Rules, Notes: []string{"values.yaml: podSecurityContext drives Deployment/web"}, Problems: sample.Problems,
		Files: []finding.FileChange{{Path: "web.yaml", Diff: "--- a/web.yaml\n+++ b/web.yaml\n@@ -1 +1 @@\n-a: 1\n+a: 2\n"}, {Path: "new.yaml", New: true, Diff: "x"}}}
	r.Objects = []finding.ObjectChange{{Object: sample.Findings[0].Object, Type: "apply", Patch: map[string]any{"kind": "Deployment"}, Managers: []string{"kubectl"}, Keeper: "Helm release web", Failure: "x"}}
	f := sample.Findings[0]
	r.Fixed = []finding.FixedFinding{
		{Finding: f, Replacements: []finding.Replacement{{File: "web.yaml", Line: 3, Lines: 2, Text: "a: 2\n"}, {File: "web.yaml", Line: 9, Text: "b: 1\n"}}},
		{Finding: sample.Findings[1]}}
	for _, cause := range []finding.LeftCause{finding.LeftDecision, finding.LeftRisky, finding.LeftRefused, finding.LeftDeclined, finding.LeftUnproven} {
		r.Left = append(r.Left, finding.LeftFinding{Finding: f, Cause: cause, Reason: "because " + string(cause)})
	}
	r.Summary = finding.FixSummary{Found: 7, Fixed: 2, Left: 5, Objects: 2, Files: 2}
	return r
}

func writeFix(t *testing.T, format string, r *finding.FixResult, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteFix(&b, format, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFixSARIF(t *testing.T) {
	out := writeFix(t, "sarif", sampleFix(), Options{})
	if err := parses("sarif", []byte(out)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"startLine": 3`, `"endLine": 5`, `"text": "a: 2\n"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(out, `"artifactChanges"`); n != 1 {
		t.Errorf("%d results have a fix, want 1", n)
	}
	if err := parses("sarif", []byte(writeFix(t, "sarif", &finding.FixResult{}, Options{}))); err != nil {
		t.Errorf("empty: %v", err)
	}
}

// TestFixOutcome: the last line says what is known, and by what.
func TestFixOutcome(t *testing.T) {
	for proof, want := range map[finding.FixProof]string{
		finding.ProofOffline:  "Can fix 2 of 7 findings, in 2 objects. Judged with the changes: 0 new findings. The API server was not asked",
		finding.ProofDryRun:   "Can fix 2 of 7 findings, in 2 objects. Judged as the API server would have them: 0 new findings. Nothing was changed.",
		finding.ProofReadBack: "Fixed 2 of 7 findings, in 2 objects. Read again and judged: 0 new findings.",
	} {
		r := sampleFix()
		r.Proof = proof
		if out := writeFix(t, "wide", r, Options{}); !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s", proof, want, out)
		}
	}
}

func TestFixTable(t *testing.T) {
	out := writeFix(t, "table", sampleFix(), Options{Width: 100})
	for _, want := range []string{"Fixed 2 of 7 findings, in 2 objects and 2 files. Scanned again: 0 new findings.",
		"because decision", "because risky", "because refused", "because declined", "because unproven", "podSecurityContext drives"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	dry := sampleFix()
	dry.Written = false
	if out := writeFix(t, "wide", dry, Options{}); !strings.Contains(out, "Nothing was written.") {
		t.Errorf("a dry run says\n%s", out)
	}
	if out := writeFix(t, "table", &finding.FixResult{}, Options{}); strings.TrimSpace(out) != "Nothing to fix." {
		t.Errorf("an empty result says %q", out)
	}
}

// What comes from files must not reach the terminal as it is.
func TestFixEscapes(t *testing.T) {
	r := sampleFix()
	r.Left[0].Reason = "evil \x1b[31m\u202e"
	r.Notes = []string{"note \x1b]0;x\a"}
	r.Fixed[0].Control = "c\x1b[2J"
	for _, format := range []string{"table", "wide"} {
		if out := writeFix(t, format, r, Options{Width: 100}); strings.ContainsAny(out, "\x1b\a\u202e") {
			t.Errorf("%s lets a control character through: %q", format, out)
		}
	}
}

func TestFixUnknownFormat(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFix(&b, "xml", sampleFix(), Options{}); err == nil || b.Len() > 0 {
		t.Errorf("got %v, wrote %q", err, b.String())
	}
}
