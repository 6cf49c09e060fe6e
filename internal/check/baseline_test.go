package check_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

const twoContainers = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: app
          securityContext: {privileged: true}
        - name: side
          securityContext: {privileged: true}
`

// resultOf scans text and gives the result as it comes back out of a file.
func resultOf(t *testing.T, text string, controls ...*check.Control) (*check.Outcome, *finding.Result) {
	t.Helper()
	w := worldOf(t, "", text)
	out := run(t, w, check.Settings{}, controls...)
	data, err := json.Marshal(check.Result(&model.Snapshot{Worlds: []*model.World{w}}, controls, out))
	if err != nil {
		t.Fatal(err)
	}
	r := &finding.Result{}
	if err := json.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	return out, r
}

// TestBaselineEndToEnd edits a manifest and scans it again.
func TestBaselineEndToEnd(t *testing.T) {
	control := privileged("privileged")
	_, before := resultOf(t, twoContainers, control)
	app := "        - name: app\n          securityContext: {privileged: true}\n"
	side := strings.ReplaceAll(app, "app", "side")
	for _, c := range []struct {
		name, text                        string
		known, added, fixed, unchanged, n int
	}{
		{"nothing changed", twoContainers, 2, 0, 0, 2, 0},
		{"moved lines", "# a comment\n\n" + strings.Replace(twoContainers, "spec:\n", "# more\nspec:\n", 1), 2, 0, 0, 2, 0},
		{"reordered containers", strings.Replace(twoContainers, app+side, side+app, 1), 2, 0, 0, 2, 0},
		{"reordered keys and other style", `{"spec": {"template": {"spec": {"containers": [{"securityContext": {"privileged": true}, "name": "side"}, {"securityContext": {"privileged": true}, "name": "app"}]}}},
			"metadata": {"namespace": "shop", "name": "web"}, "kind": "Deployment", "apiVersion": "apps/v1"}`, 2, 0, 0, 2, 0},
		{"one more in front", strings.Replace(twoContainers, app, strings.ReplaceAll(app, "app", "new")+app, 1), 2, 1, 0, 2, 1},
		{"one fixed", strings.Replace(twoContainers, "privileged: true", "privileged: false", 1), 1, 0, 1, 1, 0},
		{"one renamed", strings.Replace(twoContainers, "name: side", "name: helper", 1), 1, 1, 1, 1, 1},
		{"another namespace", strings.Replace(twoContainers, "shop", "blog", 1), 0, 2, 2, 0, 2},
		{"another workload beside it", twoContainers + "---\n" + strings.Replace(twoContainers, "name: web", "name: api", 1), 2, 2, 0, 2, 2},
		{"removed", "", 0, 0, 2, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, after := resultOf(t, c.text, control)
			d := check.Diff(before, after)
			if len(d.Added) != c.added || len(d.Fixed) != c.fixed || len(d.Unchanged) != c.unchanged || len(d.Unjudged) != 0 {
				t.Errorf("%d added, %d fixed, %d unchanged, %d unjudged", len(d.Added), len(d.Fixed), len(d.Unchanged), len(d.Unjudged))
			}
			fails := out.Counts["privileged"].Fail
			if known := check.NewBaseline(before).Apply(out); known != c.known || len(out.Findings) != c.n {
				t.Errorf("%d known and %d left, want %d and %d", known, len(out.Findings), c.known, c.n)
			}
			if out.Counts["privileged"].Fail != fails {
				t.Error("a baseline changes what is counted by control")
			}
		})
	}
}

func entry(control, container, fingerprint string, edit ...func(*finding.Finding)) finding.Finding {
	f := finding.Finding{Control: control, Verdict: finding.Fail, Container: container, Fingerprint: fingerprint,
		Object:   finding.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
		Location: &finding.Location{File: "web.yaml", Line: 3}}
	for _, e := range edit {
		e(&f)
	}
	return f
}

func waived(f *finding.Finding)  { f.Waived = &finding.Waived{Waiver: "w"} }
func unknown(f *finding.Finding) { f.Verdict, f.Container = finding.Unknown, "" }
func covers(controls ...string) func(*finding.Finding) {
	return func(f *finding.Finding) { f.Covers = controls }
}
func inRoot(root string) func(*finding.Finding) {
	return func(f *finding.Finding) { f.Root, f.Location.File = root, root+"/templates/web.yaml" }
}

func report(findings ...finding.Finding) *finding.Result {
	return &finding.Result{Findings: findings, Controls: []finding.ControlCount{{Control: "strict"}, {Control: "weak"}}}
}

func TestDiff(t *testing.T) {
	weak, strict := entry("weak", "app", "w"), entry("strict", "app", "s")
	both := entry("strict", "app", "s", covers("weak"))
	lost := func(edit func(*finding.Result)) *finding.Result {
		r := report()
		edit(r)
		return r
	}
	for _, c := range []struct {
		name         string
		older, newer *finding.Result
		want         string // control names, by list
	}{
		{"the same", report(weak), report(weak), "unchanged weak"},
		{"new", report(), report(weak), "added weak"},
		{"fixed", report(weak), report(), "fixed weak"},
		{"a waiver expired", report(entry("weak", "app", "w", waived)), report(weak), "added weak"},
		{"waived since", report(weak), report(entry("weak", "app", "w", waived)), "unchanged weak"},
		{"waived all along", report(entry("weak", "app", "w", waived)), report(entry("weak", "app", "w", waived)), "unchanged weak"},
		{"waived and fixed", report(entry("weak", "app", "w", waived)), report(), "fixed weak"},
		{"without fingerprints", report(entry("weak", "app", "")), report(entry("strict", "app", "")), "added strict, fixed weak"},

		{"worse in its place", report(strict), report(both), "added strict"},
		{"better in its place", report(both), report(strict), "unchanged strict"},
		{"only the weaker is left", report(both), report(weak), "fixed strict, unchanged weak"},
		{"the stricter takes over", report(weak), report(both), "added strict, unchanged weak"},
		{"the weaker elsewhere", report(both), report(entry("weak", "side", "w2")), "added weak, fixed strict"},
		{"the stricter elsewhere", report(weak), report(entry("strict", "side", "s2", covers("weak"))), "added strict, fixed weak"},
		{"an API version later", report(both), report(entry("weak", "app", "w", func(f *finding.Finding) { f.Object.Version = "v2" })), "fixed strict, unchanged weak"},

		{"became unknown", report(weak), report(entry("weak", "", "u", unknown)), "added weak, unjudged weak"},
		{"unknown no more", report(entry("weak", "", "u", unknown)), report(), "fixed weak"},
		{"unknown elsewhere", report(weak), report(entry("weak", "", "u", unknown, func(f *finding.Finding) { f.Object.Name = "api" })), "added weak, fixed weak"},
		{"did not run", report(weak), &finding.Result{}, "unjudged weak"},
		{"a kind was not read", report(weak), lost(func(r *finding.Result) {
			r.Unknown = []finding.Unmet{{What: "apps/Deployment", Controls: []string{"weak"}}}
		}), "unjudged weak"},
		{"a core kind was not read", report(weak), lost(func(r *finding.Result) { r.Unknown = []finding.Unmet{{What: "Service", Controls: []string{"weak"}}} }), "unjudged weak"},
		{"a kind was not read for another", report(weak), lost(func(r *finding.Result) { r.Unknown = []finding.Unmet{{What: "Service", Controls: []string{"strict"}}} }), "fixed weak"},
		{"the object was not judged", report(weak), lost(func(r *finding.Result) {
			r.Unknown = []finding.Unmet{{What: "shop/Deployment/web (web.yaml:1)", Controls: []string{"weak"}}}
		}), "unjudged weak"},
		{"another object was not judged", report(weak), lost(func(r *finding.Result) {
			r.Unknown = []finding.Unmet{{What: "shop/Deployment/web2 (web.yaml:1)", Controls: []string{"weak"}}}
		}), "fixed weak"},
		{"the file was not read", report(weak), lost(func(r *finding.Result) {
			r.Problems = []finding.Problem{{Location: finding.Location{File: "web.yaml"}}}
		}), "unjudged weak"},
		{"another file was not read", report(weak), lost(func(r *finding.Result) {
			r.Problems = []finding.Problem{{Location: finding.Location{File: "api.yaml"}}}
		}), "fixed weak"},
		{"the chart did not render", report(entry("weak", "app", "w", inRoot("charts/a"))), lost(func(r *finding.Result) {
			r.Problems = []finding.Problem{{Location: finding.Location{File: "charts/a/values.yaml"}}}
		}), "unjudged weak"},
		{"another chart did not render", report(entry("weak", "app", "w", inRoot("charts/a"))), lost(func(r *finding.Result) {
			r.Problems = []finding.Problem{{Location: finding.Location{File: "charts/ab"}}}
		}), "fixed weak"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := check.Diff(c.older, c.newer)
			var got []string
			for _, list := range []struct {
				name     string
				findings []finding.Finding
			}{{"added", d.Added}, {"fixed", d.Fixed}, {"unchanged", d.Unchanged}, {"unjudged", d.Unjudged}} {
				for _, f := range list.findings {
					got = append(got, list.name+" "+f.Control)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestBaselineKnows holds the cases in which a gate must not stay open.
func TestBaselineKnows(t *testing.T) {
	for _, c := range []struct {
		name  string
		older *finding.Result
		f     finding.Finding
		want  bool
	}{
		{"known", report(entry("weak", "app", "w")), entry("weak", "app", "w"), true},
		{"not known", report(entry("weak", "app", "w")), entry("weak", "app", "w2"), false},
		{"known but waived then", report(entry("weak", "app", "w", waived)), entry("weak", "app", "w"), false},
		{"no fingerprints", report(entry("weak", "app", "")), entry("weak", "app", ""), false},
		{"known and worse", report(entry("strict", "app", "s")), entry("strict", "app", "s", covers("weak")), false},
		{"worse by a control that is new", report(entry("strict", "app", "s")), entry("strict", "app", "s", covers("newest")), true},
		{"stood for then", report(entry("strict", "app", "s", covers("weak"))), entry("weak", "app", "w"), true},
		{"stood for then, and waived", report(entry("strict", "app", "s", covers("weak"), waived)), entry("weak", "app", "w"), false},
		{"unknown now", report(entry("strict", "app", "s", covers("weak"))), entry("weak", "app", "w", unknown), false},
		{"unknown then", report(entry("weak", "app", "u", unknown)), entry("weak", "app", "u", unknown), true},
	} {
		if got := check.NewBaseline(c.older).Knows(&c.f); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestBaselineKeepsWaived leaves waived findings where an audit looks for them.
func TestBaselineKeepsWaived(t *testing.T) {
	old, out := entry("weak", "app", "w"), &check.Outcome{}
	for _, f := range []finding.Finding{entry("weak", "app", "w", waived), entry("weak", "side", "x"), old} {
		out.Findings = append(out.Findings, &check.Judged{Finding: f})
	}
	n := check.NewBaseline(report(old)).Apply(out)
	left := []string{}
	for _, f := range out.Findings {
		left = append(left, f.Fingerprint)
	}
	if n != 1 || !slices.Equal(left, []string{"w", "x"}) || out.Findings[0].Waived == nil {
		t.Errorf("%d known, left %q", n, left)
	}
}
