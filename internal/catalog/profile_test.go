package catalog

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// TestDefaultProfileIsDecided fails on a control that is neither in the default
// profile nor left out of it for a reason, and on a name that is no control.
func TestDefaultProfileIsDecided(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	p, err := defaultProfile()
	if err != nil {
		t.Fatal(err)
	}
	decided := slices.Concat(p.Controls, slices.Collect(maps.Keys(p.LeftOut)))
	for _, c := range controls {
		if !slices.Contains(decided, c.Name) {
			t.Errorf("%s is not decided on: put it into profiles/default.yaml, under controls or under leftOut", c.Name)
		}
	}
	slices.Sort(decided)
	for _, name := range decided {
		if !slices.ContainsFunc(controls, func(c *check.Control) bool { return c.Name == name }) {
			t.Errorf("profiles/default.yaml: there is no control %q", name)
		}
	}
}

func TestCuratedRefuses(t *testing.T) {
	good := "title: T\ncontrols: [a, b]\nleftOut: {c: because}\n"
	for _, c := range []struct{ old, new, want string }{
		{"title: T\n", "", "needs a title"},
		{"[a, b]", "[]", "needs a title and controls"},
		{"[a, b]", "[a, a]", `"a" is there twice`},
		{"[a, b]", "[a, c]", `"c" is there twice`},
		{"because", `" "`, "left out without a reason"},
		{"leftOut", "leftout", "leftout"},
	} {
		_, err := parseCurated(fstest.MapFS{"p.yaml": {Data: []byte(strings.Replace(good, c.old, c.new, 1))}}, "p.yaml")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "p.yaml") {
			t.Errorf("%q: got %v, want %q", c.new, err, c.want)
		}
	}
}

// few are controls to select from. Two are of the catalogue, so that profiles
// have something to choose.
func few() []*check.Control {
	c := func(name, since string, severity finding.Severity, layer finding.Layer) *check.Control {
		return &check.Control{Rule: finding.Rule{Name: name, Since: since, Severity: severity, Layer: layer}}
	}
	return []*check.Control{
		c("high-user-id", "v0.1", finding.Low, finding.LayerWorkload),
		c("ingress-tls", "v0.10", finding.Medium, finding.LayerNetwork),
		c("no-privileged-containers", "v0.1", finding.Critical, finding.LayerWorkload),
		c("no-wildcard-verbs", "v0.2", finding.High, finding.LayerRBAC),
	}
}

func TestProfiles(t *testing.T) {
	profiles, err := Profiles(few())
	if err != nil {
		t.Fatal(err)
	}
	var got, names []string
	for _, p := range profiles {
		names = append(names, p.Name)
		got = append(got, p.Name+": "+strings.Join(p.Controls, " "))
		if p.Title == "" {
			t.Errorf("%s has no title", p.Name)
		}
	}
	want := []string{
		"default: ingress-tls no-privileged-containers no-wildcard-verbs",
		"all: high-user-id ingress-tls no-privileged-containers no-wildcard-verbs",
		"pss-baseline: no-privileged-containers",
		"pss-restricted: no-privileged-containers",
		"nsa-cisa: ingress-tls no-privileged-containers no-wildcard-verbs",
		"cis-1.12: no-privileged-containers no-wildcard-verbs",
		"mitre: no-privileged-containers no-wildcard-verbs",
		"pci-dss: ingress-tls no-privileged-containers no-wildcard-verbs",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(names, ProfileNames()) {
		t.Errorf("profiles %q, names %q", names, ProfileNames())
	}
}

func TestSelect(t *testing.T) {
	raised := &check.Settings{Overrides: check.Overrides{Severities: map[string]finding.Severity{"no-privileged-containers": finding.Low}},
		Namespaces: []check.NamespaceSettings{{Names: []string{"prod"}, Overrides: check.Overrides{Severities: map[string]finding.Severity{"high-user-id": finding.High}}}}}
	for _, c := range []struct {
		name string
		s    Selection
		want string // controls, or the error
	}{
		{"default", Selection{}, "ingress-tls no-privileged-containers no-wildcard-verbs"},
		{"all", Selection{Profile: "all"}, "high-user-id ingress-tls no-privileged-containers no-wildcard-verbs"},
		{"a framework", Selection{Profile: "cis-1.12"}, "no-privileged-containers no-wildcard-verbs"},
		{"by name, whatever the profile", Selection{Profile: "pss-baseline", Only: []string{"high-user-id", "ingress-tls"}}, "high-user-id ingress-tls"},
		{"by name twice", Selection{Only: []string{"ingress-tls", "ingress-tls"}}, "ingress-tls"},
		{"skip", Selection{Profile: "all", Skip: []string{"ingress-tls"}}, "high-user-id no-privileged-containers no-wildcard-verbs"},
		{"layers", Selection{Profile: "all", Layers: []string{"network", "rbac"}}, "ingress-tls no-wildcard-verbs"},
		{"severity", Selection{Profile: "all", Severity: "high"}, "no-privileged-containers no-wildcard-verbs"},
		{"severity as it is set", Selection{Profile: "all", Severity: "high", Settings: raised}, "high-user-id no-wildcard-verbs"},
		{"pin", Selection{Profile: "all", Pin: "v0.1"}, "high-user-id no-privileged-containers"},
		{"pin between", Selection{Profile: "all", Pin: "v0.9"}, "high-user-id no-privileged-containers no-wildcard-verbs"},
		{"pin by number", Selection{Profile: "all", Pin: "v0.10"}, "high-user-id ingress-tls no-privileged-containers no-wildcard-verbs"},
		{"pin above", Selection{Profile: "all", Pin: "v1.0"}, "high-user-id ingress-tls no-privileged-containers no-wildcard-verbs"},
		{"together", Selection{Profile: "all", Layers: []string{"workload"}, Severity: "medium", Pin: "v0.1"}, "no-privileged-containers"},

		{"profile that is none", Selection{Profile: "pss-basline"}, `there is no profile "pss-basline"; did you mean "pss-baseline"? Else profiles are default, all,`},
		{"profile like none", Selection{Profile: "zzzzzzzz"}, `there is no profile "zzzzzzzz"; profiles are default, all,`},
		{"profile that is none beside names", Selection{Profile: "al", Only: []string{"ingress-tls"}}, `did you mean "all"?`},
		{"control that is none", Selection{Only: []string{"ingress-tsl"}}, `there is no control "ingress-tsl"; did you mean "ingress-tls"? Else see bulkhead controls`},
		{"part of a name", Selection{Only: []string{"wildcard"}}, `did you mean "no-wildcard-verbs"?`},
		{"case", Selection{Only: []string{"Ingress-TLS"}}, `did you mean "ingress-tls"?`},
		{"skip that is none", Selection{Skip: []string{"high-uid"}}, `there is no control "high-uid"; see bulkhead controls`},
		{"empty name", Selection{Only: []string{""}}, `there is no control ""; see bulkhead controls`},
		{"endless name", Selection{Only: []string{strings.Repeat("a", 1<<20)}}, "see bulkhead controls"},
		{"layer that is none", Selection{Layers: []string{"netwrk"}}, `there is no layer "netwrk"; did you mean "network"?`},
		{"severity that is none", Selection{Severity: "severe"}, `unknown severity "severe"`},
		{"pin that is none", Selection{Pin: "0.1"}, `"0.1" is no control set: write it like v0.1`},
		{"endless pin", Selection{Pin: "v" + strings.Repeat("9", 99) + ".1"}, "is no control set"},
		{"pin against a name", Selection{Only: []string{"ingress-tls"}, Pin: "v0.2"}, `control "ingress-tls" is new in v0.10, and the control set is pinned to v0.2`},
		{"nothing is left", Selection{Only: []string{"ingress-tls"}, Skip: []string{"ingress-tls"}}, "no control is selected"},
		{"nothing so old", Selection{Pin: "v0.0"}, "no control is selected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Select(few(), c.s)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				return
			}
			var names []string
			for _, control := range got {
				names = append(names, control.Name)
			}
			if strings.Join(names, " ") != c.want {
				t.Errorf("got %q, want %q", names, c.want)
			}
		})
	}
}

// TestEdits compares the distance with its definition.
func TestEdits(t *testing.T) {
	var naive func(a, b string) int
	naive = func(a, b string) int {
		switch {
		case a == "" || b == "":
			return len(a) + len(b)
		case a[0] == b[0]:
			return naive(a[1:], b[1:])
		}
		return 1 + min(naive(a[1:], b), naive(a, b[1:]), naive(a[1:], b[1:]))
	}
	words := []string{"", "a", "ab", "ba", "abc", "acb", "tls", "tsl", "kitten", "sitting", "verbs", "very"}
	for _, a := range words {
		for _, b := range words {
			if got, want := edits(a, b), naive(a, b); got != want {
				t.Errorf("%q to %q: %d, want %d", a, b, got, want)
			}
		}
	}
}
