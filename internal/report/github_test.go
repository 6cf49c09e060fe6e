package report

import (
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

// What the runner reads is what was meant, whatever characters are in it.
func TestGitHubEscaping(t *testing.T) {
	for _, s := range hostileStrings {
		a := annotation{"error", &finding.Location{File: "f" + s, Line: 3}, "t" + s, "m" + s}
		line := a.command()
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%.40q: more than one line: %.80q", s, line)
		}
		command, properties, data, ok := runnerCommand(strings.TrimSuffix(line, "\n"))
		if !ok || command != "error" {
			t.Fatalf("%.40q: the runner reads the command %q from %.80q", s, command, line)
		}
		if properties["file"] != printable("f"+s) || properties["line"] != "3" || properties["title"] != printable("t"+s) || data != printable("m"+s) {
			t.Errorf("%.40q: the runner reads %.80v and %.80q", s, properties, data)
		}
		if command, _, _, ok := runnerCommand(strings.TrimSuffix(a.logLine(), "\n")); ok {
			t.Errorf("%.40q: the runner takes a line of the log for the command %q", s, command)
		}
	}
}

func TestGitHubLimits(t *testing.T) {
	out := string(render(t, "github", manyFindings(500), Options{}))
	levels, inLog := map[string]int{}, 0
	last := ""
	for line := range strings.Lines(out) {
		if command, _, data, ok := runnerCommand(strings.TrimSuffix(line, "\n")); ok {
			levels[command]++
			last = data
		} else {
			inLog++
		}
	}
	if levels["error"] != 10 || levels["warning"] != 10 || levels["notice"] != 10 {
		t.Errorf("annotations %v, want 10 of each level, the summary among them", levels)
	}
	if want := 500 + 3 - 29; inLog != want { // the findings, 2 problems and 1 missing observation
		t.Errorf("%d lines in the log, want %d", inLog, want)
	}
	if !strings.Contains(last, "29 are annotated, 474 more are in the log") {
		t.Errorf("the summary is %q", last)
	}
}

func TestGitHubLeavesWaivedOut(t *testing.T) {
	if out := string(render(t, "github", sampleResult(), Options{ShowWaived: true})); strings.Contains(out, "/var/log is mounted") {
		t.Error("a waived finding is annotated")
	}
}
