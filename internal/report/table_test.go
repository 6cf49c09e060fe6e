package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// A table never leaves the terminal. Commands to copy are the one exception,
// because a broken one is of no use.
func TestTableFits(t *testing.T) {
	withPasses := sampleResult()
	withPasses.Passes = samplePasses()
	for name, r := range map[string]*finding.Result{"sample": withPasses, "clean": cleanResult(), "hostile": hostileResult(), "shop": shopResult()} {
		for width := narrowest; width <= 220; width += 7 {
			for _, color := range []bool{false, true} {
				out := string(render(t, "table", r, Options{Width: width, Color: color, ShowWaived: true}))
				for line := range strings.Lines(out) {
					line = sgr.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
					if columns(line) > width && !strings.HasPrefix(line, "  bulkhead ") {
						t.Errorf("%s, width %d, colour %v: %d cells: %q", name, width, color, columns(line), line)
					}
					if strings.HasSuffix(line, " ") {
						t.Errorf("%s, width %d: spaces at the end of %q", name, width, line)
					}
				}
			}
		}
	}
}

// Colour changes nothing but colour, and there is none without it.
func TestTableColour(t *testing.T) {
	for _, format := range []string{"table", "wide"} {
		plain := string(render(t, format, sampleResult(), Options{ShowWaived: true}))
		colour := string(render(t, format, sampleResult(), Options{ShowWaived: true, Color: true}))
		if strings.Contains(plain, "\x1b") {
			t.Errorf("%s has escape sequences without colour", format)
		}
		if sgr.ReplaceAllString(colour, "") != plain {
			t.Errorf("%s with colour is another text", format)
		}
		for _, want := range []string{"\x1b[1;31mcritical\x1b[0m", "\x1b[31mhigh\x1b[0m", "\x1b[33mmedium\x1b[0m", "\x1b[34mlow\x1b[0m", "\x1b[35munknown\x1b[0m", "\x1b[2mwaived\x1b[0m"} {
			if !strings.Contains(colour, want) {
				t.Errorf("%s lacks %q", format, want)
			}
		}
	}
}

// Every fact of a finding is in the wide table, whole and on one line.
func TestWideIsWhole(t *testing.T) {
	r := manyFindings(60)
	r.Findings[0].Message = strings.Repeat("many words ", 200)
	r.Findings[1].Path = strings.Repeat("deep.", 100)
	out := string(render(t, "wide", r, Options{Width: 40}))
	for _, f := range r.Findings {
		pattern := regexp.QuoteMeta(f.Control) + `.*` + regexp.QuoteMeta(f.Container) + `.*` + regexp.QuoteMeta(locationOf(f.Location)) +
			`.*` + regexp.QuoteMeta(f.Path) + `.*` + regexp.QuoteMeta(strings.TrimSpace(f.Message))
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("no line of wide has all of %s", f.Message)
		}
	}
}

func TestGroupsWorstFirst(t *testing.T) {
	var fs []finding.Finding
	add := func(name string, v finding.Verdict, waived bool, severities ...finding.Severity) {
		for i, s := range severities {
			f := finding.Finding{Control: fmt.Sprint("c", i), Verdict: v, Severity: s, Object: finding.Ref{Kind: "Pod", Name: name}}
			if waived {
				f.Waived = &finding.Waived{}
			}
			fs = append(fs, f)
		}
	}
	add("waived-critical", finding.Fail, true, finding.Critical)
	add("unknown", finding.Unknown, false, finding.Critical, finding.Critical)
	add("many-lows", finding.Fail, false, finding.Low, finding.Low, finding.Low, finding.Low)
	add("b-high", finding.Fail, false, finding.High)
	add("a-high", finding.Fail, false, finding.High)
	add("high-and-low", finding.Fail, false, finding.Low, finding.High)
	add("critical", finding.Fail, false, finding.Info, finding.Critical)
	want := []string{"critical", "high-and-low", "a-high", "b-high", "many-lows", "unknown", "waived-critical"}
	groups := byObject(fs)
	var got []string
	for _, g := range groups {
		got = append(got, g.ref.Name)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("objects come as %v, want %v", got, want)
	}
	if g := groups[0]; g.findings[0].Severity != finding.Critical {
		t.Errorf("within an object %v comes first", g.findings[0].Severity)
	}
}

// The same object of two roots is two objects.
func TestGroupsByRoot(t *testing.T) {
	f := finding.Finding{Control: "c", Verdict: finding.Fail, Object: finding.Ref{Kind: "Pod", Name: "p"}}
	other := f
	other.Root = "charts/a"
	if n := len(byObject([]finding.Finding{f, other, f})); n != 2 {
		t.Errorf("%d groups, want 2", n)
	}
}

func TestSummarySays(t *testing.T) {
	sample := string(render(t, "table", sampleResult(), Options{Width: 400}))
	clean := string(render(t, "table", cleanResult(), Options{Width: 400}))
	for _, tc := range []struct {
		out, want string
		is        bool
	}{
		{sample, "Incomplete  2 inputs not read in whole and 1 observation not made", true},
		{sample, "Findings    4 critical, 8 high, 9 medium, 4 low in 9 objects", true},
		{sample, "Unknown     2 could not be judged", true},
		{sample, "Waived      2 findings, 1 unused waiver, 1 expired waiver, 1 invalid waiver", true},
		{sample, "Baseline    4 known", true},
		{sample, "CIS Kubernetes Benchmark 1.12, policies: 21 of 35 requirements assessed, 12 passed, 9 failed", true},
		{sample, "legacy-cart is expired since 2025-06-30", true},
		{sample, "/var/log is mounted", false},
		{sample, "bulkhead explain privileged ", true},
		{sample, "bulkhead scan examples/shop charts/ingress -o html=report.html", true},
		{clean, "Findings    no failures", true},
		{clean, "Incomplete", false},
		{clean, "bulkhead explain", false},
		{clean, "bulkhead scan examples/shop charts/ingress --show-pass", true},
		{string(render(t, "table", manyFindings(100), Options{Width: 400})), "-o json=baseline.json", false}, // a baseline is in use
	} {
		if strings.Contains(tc.out, tc.want) != tc.is {
			t.Errorf("says %q: %v, want %v:\n%s", tc.want, !tc.is, tc.is, tc.out)
		}
	}
}

func TestWorstControl(t *testing.T) {
	fs := func(controls ...string) *finding.Result {
		r := &finding.Result{}
		for _, c := range controls {
			name, severity, _ := strings.Cut(c, " ")
			s, err := finding.ParseSeverity(severity)
			if err != nil {
				t.Fatal(err)
			}
			r.Findings = append(r.Findings, finding.Finding{Control: name, Severity: s, Verdict: finding.Fail})
		}
		return r
	}
	waived := fs("a critical", "b low")
	waived.Findings[0].Waived = &finding.Waived{}
	unknown := fs("a critical", "b low")
	unknown.Findings[0].Verdict = finding.Unknown
	for _, tc := range []struct {
		r    *finding.Result
		name string
		n    int
	}{
		{fs(), "", 0},
		{fs("a low", "b high", "a low"), "b", 1},
		{fs("a high", "b high", "b high"), "b", 2},
		{fs("b high", "a high"), "a", 1},
		{fs("a low", "a high", "b high", "b high", "a low"), "b", 2},
		{waived, "b", 1},
		{unknown, "b", 1},
		{fs("$(reboot) critical"), "", 0},
	} {
		name, _, n := worstControl(tc.r)
		if name != tc.name || n != tc.n {
			t.Errorf("%v: %s with %d, want %s with %d", tc.r.Findings, name, n, tc.name, tc.n)
		}
	}
}

// A command is there to be copied, so a path that a shell would read otherwise
// is not put into one.
func TestScanCommand(t *testing.T) {
	for _, tc := range []struct {
		inputs []string
		want   string
	}{
		{nil, "bulkhead scan"},
		{[]string{"deploy", "charts/a"}, "bulkhead scan deploy charts/a"},
		{[]string{"a;reboot"}, "bulkhead scan ..."}, {[]string{"a b"}, "bulkhead scan ..."}, {[]string{"$(x)"}, "bulkhead scan ..."},
		{[]string{"-"}, "bulkhead scan ..."}, {[]string{"--fix"}, "bulkhead scan ..."}, {[]string{"\x1b[31m"}, "bulkhead scan ..."},
		{[]string{strings.Repeat("long/", 20)}, "bulkhead scan ..."},
	} {
		if got := (Command{}).again(tc.inputs); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.inputs, got, tc.want)
		}
	}
	lint := Command{Program: "kubectl bulkhead", Verb: "rbac lint", InputFlag: "-f"}
	if got, want := lint.again([]string{"a", "b"}), "kubectl bulkhead rbac lint -f a -f b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLongListsAreCut(t *testing.T) {
	r := &finding.Result{}
	for i := range 50 {
		r.Problems = append(r.Problems, finding.Problem{Location: finding.Location{File: fmt.Sprintf("f%d.yaml", i)}, Message: "not text"})
	}
	table, wide := string(render(t, "table", r, Options{})), string(render(t, "wide", r, Options{}))
	if strings.Count(table, "not text") != listLines || !strings.Contains(table, "and 30 more") || !strings.Contains(table, "50 inputs not read") {
		t.Errorf("%s", table)
	}
	if strings.Count(wide, "not text") != 50 {
		t.Errorf("%s", wide)
	}
}
