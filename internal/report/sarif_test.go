package report

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

// sarifLog is the part of SARIF that these tests look at, read without the
// library that wrote it.
type sarifLog struct {
	Version string `json:"version"`
	Runs    []struct {
		OriginalURIBaseIDs map[string]any `json:"originalUriBaseIds"`
		Tool               struct {
			Driver struct {
				Name, Version, SemanticVersion string
				Rules                          []sarifRule
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []sarifNotification
		}
		Results []sarifResult
	} `json:"runs"`
}

type sarifRule struct {
	ID, Name                                string
	ShortDescription, FullDescription, Help struct{ Text, Markdown string }
	DefaultConfiguration                    struct{ Level string }
	Properties                              struct {
		Tags             []string
		SecuritySeverity string `json:"security-severity"`
	}
}

type sarifNotification struct {
	Level     string
	Message   struct{ Text string }
	Locations []sarifLocation
}

type sarifResult struct {
	RuleID              string
	RuleIndex           int
	Kind, Level         string
	Message             struct{ Text string }
	Locations           []sarifLocation
	PartialFingerprints map[string]string
	Suppressions        []struct{ Kind, Status, Justification string }
}

type sarifLocation struct {
	PhysicalLocation struct {
		ArtifactLocation struct{ URI, URIBaseID string }
		Region           struct{ StartLine int }
	}
	LogicalLocations []struct{ Name, FullyQualifiedName, Kind string }
}

func readSARIF(t *testing.T, r *finding.Result) sarifLog {
	t.Helper()
	var log sarifLog
	if err := json.Unmarshal(render(t, "sarif", r, Options{}), &log); err != nil {
		t.Fatal(err)
	}
	if len(log.Runs) != 1 || log.Version != "2.1.0" {
		t.Fatalf("%d runs of version %s", len(log.Runs), log.Version)
	}
	return log
}

// The schema is the one of OASIS, which go-sarif carries.
func TestSARIFSchema(t *testing.T) {
	for name, r := range map[string]*finding.Result{
		"sample": sampleResult(), "clean": cleanResult(), "empty": {}, "many": manyFindings(200), "shop": shopResult(),
	} {
		if err := parses("sarif", render(t, "sarif", r, Options{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSARIFResults(t *testing.T) {
	r := sampleResult()
	run := readSARIF(t, r).Runs[0]
	rules := run.Tool.Driver.Rules
	if len(run.Results) != len(r.Findings) {
		t.Fatalf("%d results for %d findings", len(run.Results), len(r.Findings))
	}
	byFingerprint := map[string]finding.Finding{}
	for _, f := range r.Findings {
		byFingerprint[f.Fingerprint] = f
	}
	for _, got := range run.Results {
		f, ok := byFingerprint[got.PartialFingerprints["primaryLocationLineHash"]]
		if !ok {
			t.Fatalf("no finding has the fingerprint of %+v", got)
		}
		if got.RuleIndex < 0 || got.RuleIndex >= len(rules) || rules[got.RuleIndex].ID != got.RuleID || got.RuleID != f.Control {
			t.Errorf("%s: rule %s at %d", f.Control, got.RuleID, got.RuleIndex)
		}
		// SARIF 2.1.0, 3.27.10: a kind other than fail has the level none.
		kind, level := "fail", map[finding.Severity]string{finding.Critical: "error", finding.High: "error", finding.Medium: "warning", finding.Low: "note"}[f.Severity]
		if f.Verdict == finding.Unknown {
			kind, level = "open", "none"
		}
		if got.Kind != kind || got.Level != level {
			t.Errorf("%s %s: kind %s, level %s, want %s, %s", f.Verdict, f.Severity, got.Kind, got.Level, kind, level)
		}
		if suppressed := len(got.Suppressions) == 1; suppressed != (f.Waived != nil) {
			t.Errorf("%s: suppressions %v", f.Message, got.Suppressions)
		}
		if !strings.Contains(got.Message.Text, f.Message) || !strings.Contains(got.Message.Text, f.Object.String()) {
			t.Errorf("message %q", got.Message.Text)
		}
		at := got.Locations[0]
		if at.LogicalLocations[0].FullyQualifiedName != f.Object.String() {
			t.Errorf("logical location %+v", at.LogicalLocations)
		}
		where := at.PhysicalLocation
		switch {
		case f.Location == nil:
			if where.ArtifactLocation.URI != f.Object.String() || where.ArtifactLocation.URIBaseID != "CLUSTER" || where.Region.StartLine != 1 {
				t.Errorf("without a file: %+v", where)
			}
		case where.ArtifactLocation.URI != f.Location.File || where.ArtifactLocation.URIBaseID != "%SRCROOT%" || where.Region.StartLine != max(1, f.Location.Line):
			t.Errorf("%+v: %+v", f.Location, where)
		}
		if _, ok := run.OriginalURIBaseIDs[where.ArtifactLocation.URIBaseID]; !ok {
			t.Errorf("the base %s is not declared", where.ArtifactLocation.URIBaseID)
		}
	}
	if last := run.Results[len(run.Results)-1]; len(last.Suppressions) == 0 || !strings.Contains(last.Suppressions[0].Justification, "platform@shop.example") {
		t.Errorf("the waived findings are not last, or do not name the owner: %+v", last)
	}
}

func TestSARIFRules(t *testing.T) {
	r := sampleResult()
	for i := range 40 {
		r.Rules[0].References = append(r.Rules[0].References, finding.Reference{Framework: "f", ID: strconv.Itoa(i), URL: "javascript:alert(1)"})
	}
	r.Findings = append(r.Findings, finding.Finding{Control: "rule-of-a-plugin", Verdict: finding.Fail, Severity: finding.High})
	driver := readSARIF(t, r).Runs[0].Tool.Driver
	if driver.Name != "bulkhead" || driver.Version != "v0.1.0" || driver.SemanticVersion != "0.1.0" {
		t.Errorf("driver %s %s %s", driver.Name, driver.Version, driver.SemanticVersion)
	}
	if len(driver.Rules) != len(r.Rules)+1 {
		t.Errorf("%d rules, want one for each and one for the finding without", len(driver.Rules))
	}
	bands := map[string][2]float64{"error": {7, 10}, "warning": {4, 6.9}, "note": {0, 3.9}}
	for _, rule := range driver.Rules {
		if n := len(rule.Properties.Tags); n > 20 || n < 2 || rule.Properties.Tags[0] != "security" {
			t.Errorf("%s has the tags %v", rule.ID, rule.Properties.Tags)
		}
		score, err := strconv.ParseFloat(rule.Properties.SecuritySeverity, 64)
		if band := bands[rule.DefaultConfiguration.Level]; err != nil || score < band[0] || score > band[1] {
			t.Errorf("%s: level %s and security-severity %q", rule.ID, rule.DefaultConfiguration.Level, rule.Properties.SecuritySeverity)
		}
		if rule.ShortDescription.Text == "" || rule.FullDescription.Text == "" || rule.Help.Text == "" || rule.Help.Markdown == "" {
			t.Errorf("%s has an empty text", rule.ID)
		}
		if strings.Contains(rule.Help.Markdown, "](<javascript") {
			t.Errorf("%s links to a script", rule.ID)
		}
	}
}

func TestSARIFNotifications(t *testing.T) {
	run := readSARIF(t, sampleResult()).Runs[0]
	invocation := run.Invocations[0]
	if invocation.ExecutionSuccessful {
		t.Error("successful although inputs were not read")
	}
	levels := map[string]int{}
	for _, n := range invocation.ToolExecutionNotifications {
		levels[n.Level]++
	}
	if levels["error"] != 2 || levels["warning"] != 1 {
		t.Errorf("notifications %v, want 2 errors and 1 warning", levels)
	}
	first := invocation.ToolExecutionNotifications[0]
	if at := first.Locations[0].PhysicalLocation; at.ArtifactLocation.URI != "examples/shop/broken.yaml" || at.Region.StartLine != 14 {
		t.Errorf("the problem is at %+v", at)
	}
	if clean := readSARIF(t, cleanResult()).Runs[0]; !clean.Invocations[0].ExecutionSuccessful || clean.Results == nil {
		t.Errorf("a clean run is not successful, or has no results at all: %+v", clean.Invocations)
	}
}

func TestSARIFLimits(t *testing.T) {
	r := manyFindings(25_001)
	// The worst one comes last, so cutting without sorting would lose it.
	worst := r.Findings[0]
	copy(r.Findings, r.Findings[1:])
	r.Findings[len(r.Findings)-1] = worst
	run := readSARIF(t, r).Runs[0]
	if len(run.Results) != 25_000 {
		t.Errorf("%d results", len(run.Results))
	}
	if run.Results[0].PartialFingerprints["bulkheadFingerprint/v1"] != worst.Fingerprint {
		t.Error("the worst result is not the first")
	}
	rank := map[string]int{"error": 0, "warning": 1, "note": 2}
	for i := 1; i < len(run.Results); i++ {
		if rank[run.Results[i].Level] < rank[run.Results[i-1].Level] {
			t.Fatalf("result %d (%s) is worse than the one before it (%s)", i, run.Results[i].Level, run.Results[i-1].Level)
		}
	}
	said := ""
	for _, n := range run.Invocations[0].ToolExecutionNotifications {
		said += n.Level + ": " + n.Message.Text + "\n"
	}
	for _, want := range []string{"warning: This run holds the worst 25000 of 25001 results", "note: GitHub shows the first 5000"} {
		if !strings.Contains(said, want) {
			t.Errorf("no notification says %q:\n%s", want, said)
		}
	}
}

func TestSARIFArtifactURI(t *testing.T) {
	for _, tc := range []struct{ file, uri, base string }{
		{"deploy/web.yaml", "deploy/web.yaml", sourceRoot},
		{"./deploy//web.yaml", "deploy/web.yaml", sourceRoot},
		{"a b/100%.yaml", "a%20b/100%25.yaml", sourceRoot},
		{"c:d.yaml", "./c:d.yaml", sourceRoot},
		{"-", "-", sourceRoot},
		{"q?x#y.yaml", "q%3Fx%23y.yaml", sourceRoot},
		{"ünï.yaml", "%C3%BCn%C3%AF.yaml", sourceRoot},
		{"../shared/web.yaml", "../shared/web.yaml", ""},
		{"..", "..", ""},
		{"/srv/web.yaml", "file:///srv/web.yaml", ""},
		{`C:\srv\web.yaml`, "file:///C:/srv/web.yaml", ""},
	} {
		s := sarifWriter{}
		got := s.artifact(tc.file)
		base := ""
		if got.URIBaseID != nil {
			base = *got.URIBaseID
		}
		if *got.URI != tc.uri || base != tc.base {
			t.Errorf("%q is %q in %q, want %q in %q", tc.file, *got.URI, base, tc.uri, tc.base)
		}
	}
}

func TestSARIFMessageMakesNoLink(t *testing.T) {
	f := finding.Finding{Object: finding.Ref{Kind: "Pod", Name: "x"}, Message: "see [this](http://evil) and spec.containers[0](x)"}
	if text := *sarifMessage(f).Text; strings.Contains(text, "](") {
		t.Errorf("%q has a link", text)
	}
}
