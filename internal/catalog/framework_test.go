package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func framework(t *testing.T, name string) *Framework {
	t.Helper()
	all, err := Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(f Framework) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no framework %s", name)
	}
	return &all[i]
}

func ids(f *Framework) []string {
	var out []string
	for _, r := range f.Requirements {
		out = append(out, r.ID)
	}
	return out
}

// TestFrameworkFiles fails on a file that no name stands for.
func TestFrameworkFiles(t *testing.T) {
	entries, err := frameworkFiles.ReadDir("frameworks")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(frameworkNames) {
		t.Errorf("%d files for %d frameworks", len(entries), len(frameworkNames))
	}
	all, err := Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		assessable := 0
		for _, r := range f.Requirements {
			if len(r.Controls) > 0 {
				assessable++
			}
		}
		t.Logf("%-15s %3d requirements, %3d with controls", f.Name, len(f.Requirements), assessable)
	}
}

// TestFrameworkControlsExist fails where a framework names a control that is none.
func TestFrameworkControlsExist(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	all, err := Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string][]string{}
	for _, f := range all {
		for _, r := range f.Requirements {
			for _, name := range r.Controls {
				if !slices.ContainsFunc(controls, func(c *check.Control) bool { return c.Name == name }) {
					missing[name] = append(missing[name], f.Name+" "+r.ID)
				}
			}
		}
	}
	for name, where := range missing {
		t.Errorf("there is no control %q; %s want it", name, strings.Join(where, ", "))
	}
}

// TestPodSecurityRequirements compares the levels with the library that the API
// server judges them by.
func TestPodSecurityRequirements(t *testing.T) {
	var baseline, restricted []string
	for _, c := range policy.DefaultChecks() {
		restricted = append(restricted, string(c.ID))
		if c.Level == api.LevelBaseline {
			baseline = append(baseline, string(c.ID))
		}
	}
	slices.Sort(baseline)
	slices.Sort(restricted)
	for name, want := range map[string][]string{"pss-baseline": baseline, "pss-restricted": restricted} {
		f := framework(t, name)
		got := ids(f)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
		for _, r := range f.Requirements {
			if len(r.Controls) != 1 {
				t.Errorf("%s %s has controls %q, want one", name, r.ID, r.Controls)
			}
		}
	}
	// What both levels ask for, both ask of the same control.
	for _, r := range framework(t, "pss-baseline").Requirements {
		i := slices.Index(ids(framework(t, "pss-restricted")), r.ID)
		if other := framework(t, "pss-restricted").Requirements[i]; other.Controls[0] != r.Controls[0] || other.Title != r.Title {
			t.Errorf("%s: baseline has %v, restricted %v", r.ID, r, other)
		}
	}
}

// TestRequirementNumbers holds the frameworks to the numbers that their
// publishers gave: each section is complete, and nothing is beside them.
func TestRequirementNumbers(t *testing.T) {
	numbered := func(sections string) []string {
		var out []string
		for _, s := range strings.Fields(sections) {
			section, n, _ := strings.Cut(s, ":")
			var last int
			fmt.Sscan(n, &last)
			for i := range last {
				out = append(out, fmt.Sprintf("%s.%d", section, i+1))
			}
		}
		slices.Sort(out)
		return out
	}
	for name, want := range map[string][]string{
		"cis-1.12": numbered("5.1:13 5.2:12 5.3:2 5.4:2 5.5:1 5.6:4"),
		"pci-dss": numbered("1.1:2 1.2:8 1.3:3 1.4:5 1.5:1 2.1:2 2.2:7 2.3:2 3.1:2 3.2:1 3.3:3 3.3.1:3 3.4:2 3.5:1 3.5.1:3 3.6:1 3.6.1:4 3.7:9 " +
			"4.1:2 4.2:2 4.2.1:2 5.1:2 5.2:3 5.2.3:1 5.3:5 5.3.2:1 5.4:1 6.1:2 6.2:4 6.2.3:1 6.3:3 6.4:3 6.5:6 7.1:2 7.2:6 7.2.5:1 7.3:3 " +
			"8.1:2 8.2:8 8.3:11 8.3.10:1 8.4:3 8.5:1 8.6:3 9.1:2 9.2:4 9.2.1:1 9.3:4 9.3.1:1 9.4:7 9.4.1:2 9.4.5:1 9.5:1 9.5.1:3 9.5.1.2:1 " +
			"10.1:2 10.2:2 10.2.1:7 10.3:4 10.4:3 10.4.1:1 10.4.2:1 10.5:1 10.6:3 10.7:3 11.1:2 11.2:2 11.3:2 11.3.1:3 11.3.2:1 11.4:7 11.5:2 11.5.1:1 11.6:1 " +
			"12.1:4 12.2:1 12.3:4 12.4:2 12.4.2:1 12.5:3 12.5.2:1 12.6:3 12.6.3:2 12.7:1 12.8:5 12.9:2 12.10:7 12.10.4:1"),
	} {
		got := ids(framework(t, name))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q\nwant %q", name, got, want)
		}
	}
	for _, r := range framework(t, "mitre").Requirements {
		if want := "https://attack.mitre.org/techniques/" + strings.ReplaceAll(r.ID, ".", "/") + "/"; r.URL != want {
			t.Errorf("%s is linked to %s", r.ID, r.URL)
		}
		if parent, _, sub := strings.Cut(r.ID, "."); sub && !slices.Contains(ids(framework(t, "mitre")), parent) {
			t.Errorf("%s is there without its technique", r.ID)
		}
	}
}

func TestFrameworkRefuses(t *testing.T) {
	good := "name: pss-baseline\ntitle: T\nversion: \"1\"\nurl: https://example.com\nrequirements:\n  - {id: a, title: A, controls: [x]}\n"
	for _, c := range []struct{ old, new, want string }{
		{"name: pss-baseline", "name: other", `holds framework "other"`},
		{"title: T\n", "", "needs a title and a version"},
		{"https:", "http:", "needs an https URL"},
		{"requirements:\n  - {id: a, title: A, controls: [x]}\n", "requirements: []\n", "has no requirements"},
		{"id: a", `id: "a b"`, "needs an id"},
		{"title: A", "title: A.", "without a full stop"},
		{"title: A", "url: ftp://x, title: A", "not https"},
		{"[x]", "[x, x]", "is there twice"},
		{"[x]", "[X]", "is no name of a control"},
		{"[x]}\n", "[x]}\n  - {id: a, title: B}\n", "requirement a is there twice"},
		{"controls: [x]", "control: [x]", "control"},
		{"name:", "---\nname: x\n---\nname:", "more than one document"},
		{"name: pss-baseline", "name: pss-baseline\nname: pss-baseline", "name"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%q: nothing was replaced", c.old)
		}
		_, err := parseFrameworks(fstest.MapFS{"frameworks/pss-baseline.yaml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "frameworks/pss-baseline.yaml") {
			t.Errorf("%q: got %v, want %q", c.new, err, c.want)
		}
	}
}

func TestAttach(t *testing.T) {
	privileged, none := &check.Control{Rule: finding.Rule{Name: "no-privileged-containers"}}, &check.Control{Rule: finding.Rule{Name: "serves-nothing"}}
	none.References = []finding.Reference{{Framework: "old"}}
	for range 2 { // a second time adds nothing
		if err := Attach([]*check.Control{privileged, none}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range privileged.References {
		got = append(got, r.Framework+" "+r.ID)
		if !strings.HasPrefix(r.URL, "https://") {
			t.Errorf("%s %s has no URL", r.Framework, r.ID)
		}
	}
	want := []string{"pss-baseline privileged", "pss-restricted privileged", "nsa-cisa pod/no-privileged", "cis-1.12 5.2.2", "mitre T1611", "pci-dss 2.2.6"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if privileged.References[4].URL != "https://attack.mitre.org/techniques/T1611/" {
		t.Errorf("T1611 is linked to %s", privileged.References[4].URL)
	}
	if len(none.References) != 0 {
		t.Errorf("a control that serves nothing has %v", none.References)
	}
}

func TestScore(t *testing.T) {
	count := func(pass, fail, waived, na, unknown int) *finding.ControlCount {
		return &finding.ControlCount{Pass: pass, Fail: fail, Waived: waived, NotApplicable: na, Unknown: unknown}
	}
	for _, c := range []struct {
		name string
		a, b *finding.ControlCount // of the two controls; nil did not run
		want finding.Verdict
	}{
		{"both passed", count(1, 0, 0, 0, 0), count(2, 0, 0, 0, 0), finding.Pass},
		{"one passed, one has nothing to say", count(1, 0, 0, 0, 0), count(0, 0, 0, 3, 0), finding.Pass},
		{"one failed somewhere", count(100, 0, 0, 0, 0), count(99, 1, 0, 0, 0), finding.Fail},
		{"failed weighs more than unknown", count(0, 1, 0, 0, 0), count(0, 0, 0, 0, 1), finding.Fail},
		{"unknown somewhere", count(1, 0, 0, 0, 0), count(1, 0, 0, 0, 1), finding.Unknown},
		{"waived beside a pass", count(1, 0, 1, 0, 0), count(1, 0, 0, 0, 0), finding.Pass},
		{"waived is no pass", count(0, 0, 1, 0, 0), count(0, 0, 0, 1, 0), finding.NotApplicable},
		{"waived in part", count(1, 1, 1, 0, 0), count(1, 0, 0, 0, 0), finding.Fail},
		{"nothing to say", count(0, 0, 0, 2, 0), count(0, 0, 0, 1, 0), finding.NotApplicable},
		{"saw nothing", count(0, 0, 0, 0, 0), count(0, 0, 0, 0, 0), finding.NotApplicable},
		{"one did not run", count(1, 0, 0, 0, 0), nil, finding.NotApplicable},
		{"one did not run, the other failed", count(0, 1, 0, 0, 0), nil, finding.Fail},
		{"one did not run, the other is unknown", nil, count(1, 0, 0, 0, 1), finding.Unknown},
		{"neither ran", nil, nil, finding.NotApplicable},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Framework{Name: "f", Title: "F", Requirements: []Requirement{{ID: "1", Title: "one", Controls: []string{"a", "b"}}, {ID: "2", Title: "nobody can tell"}}}
			counts := map[string]*finding.ControlCount{"other": count(0, 5, 0, 0, 0)}
			if c.a != nil {
				counts["a"] = c.a
			}
			if c.b != nil {
				counts["b"] = c.b
			}
			got := Score(f, counts)
			if len(got.Requirements) != 2 || got.Requirements[0].Verdict != c.want || got.Requirements[1].Verdict != finding.NotApplicable || got.Total != 2 {
				t.Fatalf("got %+v, want %s", got, c.want)
			}
			passed, failed := 0, 0
			switch c.want {
			case finding.Pass:
				passed = 1
			case finding.Fail:
				failed = 1
			}
			if got.Passed != passed || got.Failed != failed || got.Assessed != passed+failed {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestScores holds that a run of nothing scores nothing, out of everything.
func TestScores(t *testing.T) {
	scores, err := Scores(map[string]*finding.ControlCount{})
	if err != nil {
		t.Fatal(err)
	}
	if len(scores) != len(frameworkNames) {
		t.Fatalf("%d scores", len(scores))
	}
	for i, s := range scores {
		if s.Name != frameworkNames[i] || s.Total != len(framework(t, s.Name).Requirements) || s.Assessed+s.Passed+s.Failed != 0 {
			t.Errorf("%s: %d assessed, %d passed, %d failed of %d", s.Name, s.Assessed, s.Passed, s.Failed, s.Total)
		}
	}
}
