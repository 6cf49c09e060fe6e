package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func knownControl(control string) bool {
	return slices.Contains([]string{"no-root", "no-host-path", "strict", "weak"}, control)
}

func objectsIn(t *testing.T, file, text string) []*model.Object {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: file}, []byte(text))
	for _, p := range f.Problems {
		t.Fatalf("%s:%d: %s", file, p.Location.Line, p.Message)
	}
	return f.Objects
}

func worldOf(t *testing.T, root, text string) *model.World {
	t.Helper()
	return model.NewWorld(objectsIn(t, strings.TrimPrefix(root+"/a.yaml", "/"), text), model.WorldOptions{Root: root})
}

func utc(date string) time.Time {
	t, err := time.Parse(time.DateTime, date)
	if err != nil {
		panic(err)
	}
	return t
}

var today = utc("2026-08-06 12:00:00")

const goodWaiver = `apiVersion: bulkhead.dev/v1
kind: Waiver
metadata:
  name: legacy
spec:
  control: no-root
  resources:
    - kind: Deployment
      namespace: shop
      name: web
  owner: team-shop
  reason: the vendor's image needs it
  expires: 2027-01-31
`

func TestParseWaiver(t *testing.T) {
	got, err := check.ParseWaiver(objectsIn(t, "w.yaml", goodWaiver+`  ticket: SHOP-7
  containers: [app, "side-*"]
`)[0], knownControl)
	if err != nil {
		t.Fatal(err)
	}
	want := check.Waiver{Name: "legacy", Controls: []string{"no-root"}, Containers: []string{"app", "side-*"}, Owner: "team-shop",
		Resources: []check.WaiverResource{{Kind: "Deployment", Namespace: "shop", Name: "web"}},
		Reason:    "the vendor's image needs it", Ticket: "SHOP-7", Expires: utc("2027-01-31 00:00:00"),
		Location: &finding.Location{File: "w.yaml", Line: 1, Column: 1}}
	if fmt.Sprintf("%+v", *got.Location) != fmt.Sprintf("%+v", *want.Location) {
		t.Errorf("location %+v, want %+v", *got.Location, *want.Location)
	}
	got.Location, want.Location = nil, nil
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// TestParseWaiverRefuses changes one thing in a good waiver; old is replaced by
// new, and nothing stands for everything by being left out.
func TestParseWaiverRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown control", "control: no-root", "control: no-rot", `w.yaml:6: waiver Waiver/legacy: spec.control is "no-rot", and there is no such control`},
		{"another case", "control: no-root", "control: No-Root", `w.yaml:6: waiver Waiver/legacy: spec.control is "No-Root", and there is no such control`},
		{"every control", "control: no-root", `control: "*"`, "w.yaml:6: waiver Waiver/legacy: spec.control is \"*\", but controls are waived by name"},
		{"no control", "  control: no-root\n", "", "spec.control is missing"},
		{"empty control", "control: no-root", `control: ""`, "spec.control is empty"},
		{"no controls", "control: no-root", "controls: []", "spec.controls is empty"},
		{"a null control", "control: no-root", "controls: [~]", "spec.controls[0] is missing"},
		{"both", "control: no-root", "control: no-root\n  controls: [weak]", "w.yaml:7: waiver Waiver/legacy: spec.controls stands beside control"},
		{"no resources", "resources:\n    - kind: Deployment\n      namespace: shop\n      name: web", "resources: []", "spec.resources must list"},
		{"resources missing", "  resources:\n    - kind: Deployment\n      namespace: shop\n      name: web\n", "", "spec.resources must list"},
		{"empty resource", "- kind: Deployment\n      namespace: shop\n      name: web", "- {}", "spec.resources[0].kind is missing"},
		{"no kind", "- kind: Deployment\n      namespace", "- namespace", "w.yaml:8: waiver Waiver/legacy: spec.resources[0].kind is missing"},
		{"no name", "      name: web\n", "", "spec.resources[0].name is missing"},
		{"empty name", "name: web", `name: ""`, "spec.resources[0].name is empty"},
		{"no namespace", "      namespace: shop\n", "", "spec.resources[0].namespace is missing: a Deployment has one"},
		{"null namespace", "namespace: shop", "namespace:", "w.yaml:9: waiver Waiver/legacy: spec.resources[0].namespace is missing"},
		{"empty namespace", "namespace: shop", `namespace: " "`, "spec.resources[0].namespace is empty"},
		{"cluster-wide with a namespace", "kind: Deployment", "kind: ClusterRole", "spec.resources[0].namespace must be left out: a ClusterRole belongs to the whole cluster"},
		{"another case of a kind", "kind: Deployment", "kind: deployment", `w.yaml:8: waiver Waiver/legacy: spec.resources[0].kind is "deployment", and Kubernetes has no such kind`},
		{"custom kind without a group", "kind: Deployment", "kind: Rollout", "write it as kubectl explain does"},
		{"too many slashes", "kind: Deployment", "kind: a/b/c", `spec.resources[0].kind is "a/b/c"`},
		{"malformed pattern", "name: web", `name: "[web"`, `malformed pattern "[web"`},
		{"malformed kind", "kind: Deployment", `kind: "apps/[D"`, `malformed pattern "[D"`},
		{"malformed container", "  owner:", "  containers: [\"a[\"]\n  owner:", `malformed pattern "a["`},
		{"mistyped scope", "  owner:", "  container: app\n  owner:", "w.yaml:11: waiver Waiver/legacy: spec.container is no field here"},
		{"mistyped field of a resource", "      name: web", "      names: web", "spec.resources[0].names is no field"},
		{"field of another place", "spec:\n", "expires: 2027-01-31\nspec:\n", "w.yaml:5: waiver Waiver/legacy: expires is no field"},
		{"containers for nobody", "  owner:", "  containers: []\n  owner:", "spec.containers is empty: leave it out"},
		{"containers of a string", "  owner:", "  containers: app\n  owner:", "spec.containers must be a list of strings"},
		{"an empty container", "  owner:", "  containers: [\"\"]\n  owner:", "spec.containers[0] is empty"},
		{"no owner", "  owner: team-shop\n", "", "spec.owner is missing: name who answers for it"},
		{"blank owner", "owner: team-shop", `owner: "  "`, "spec.owner is empty"},
		{"owner of another type", "owner: team-shop", "owner: 7", "spec.owner must be a string"},
		{"no reason", "  reason: the vendor's image needs it\n", "", "spec.reason is missing"},
		{"no expiry", "  expires: 2027-01-31\n", "", "spec.expires is missing"},
		{"no day", "expires: 2027-01-31", "expires: soon", `w.yaml:13: waiver Waiver/legacy: spec.expires is "soon", and not a day`},
		{"no such day", "expires: 2027-01-31", "expires: 2027-02-30", "not a day"},
		{"short day", "expires: 2027-01-31", `expires: "2027-1-31"`, "not a day"},
		{"time of day", "expires: 2027-01-31", `expires: "2027-01-31T00:00:00Z"`, "not a day"},
		{"endless", "expires: 2027-01-31", `expires: ""`, "spec.expires is empty"},
		{"empty ticket", "  owner:", "  ticket:\n  owner:", "spec.ticket is missing"},
		{"no spec", "spec:", "sepc:", "sepc is no field here"},
		{"spec of another type", goodWaiver[strings.Index(goodWaiver, "spec:"):], "spec: all\n", "spec must be a map"},
		{"another version", "bulkhead.dev/v1", "bulkhead.dev/v2", "apiVersion and kind must be bulkhead.dev/v1 Waiver"},
		{"no name of its own", "name: legacy", "labels: {}", "metadata.name is missing"},
		{"a reserved name", "name: legacy", "name: annotation", "metadata.name is what reports call"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(goodWaiver, c.old, c.new, 1)
			if text == goodWaiver {
				t.Fatal("nothing was replaced")
			}
			o := objectsIn(t, "w.yaml", text)[0]
			w, err := check.ParseWaiver(o, knownControl)
			if err == nil || !strings.Contains(err.Error(), c.want) || w != nil {
				t.Fatalf("got %+v, %v\nwant %s", w, err, c.want)
			}
			ws := check.ReadWaivers(&model.Snapshot{Worlds: []*model.World{model.NewWorld([]*model.Object{o}, model.WorldOptions{})}},
				check.WaiverOptions{Known: knownControl})
			out := outcomeOf(failure("no-root", "shop", "Deployment", "web", "app"))
			uses := ws.Apply(out, today)
			if len(uses) != 1 || uses[0].State != "invalid" || len(uses[0].Problems) == 0 || uses[0].Location == nil || uses[0].Location.File != "w.yaml" {
				t.Errorf("audit: %+v", uses)
			}
			if out.Findings[0].Waived != nil {
				t.Error("an invalid waiver waives")
			}
		})
	}
}

var groups = map[string]string{"Deployment": "apps", "ClusterRole": "rbac.authorization.k8s.io", "Rollout": "argoproj.io"}

// failure is a failure of a control, its own object unknown.
func failure(control, namespace, kind, name, container string) *check.Judged {
	return &check.Judged{Finding: finding.Finding{Control: control, Verdict: finding.Fail, Container: container,
		Object: finding.Ref{Group: groups[kind], Kind: kind, Namespace: namespace, Name: name}}}
}

// outcomeOf counts an object for each control and each object of the findings.
func outcomeOf(findings ...*check.Judged) *check.Outcome {
	out := &check.Outcome{Counts: map[string]*finding.ControlCount{}}
	for _, f := range findings { // cases share them
		f := *f
		out.Findings = append(out.Findings, &f)
	}
	seen := map[string]bool{}
	for _, f := range findings {
		for _, c := range append([]string{f.Control}, f.Covers...) {
			if out.Counts[c] == nil {
				out.Counts[c] = &finding.ControlCount{Control: c, Pass: 1}
			}
			key := fmt.Sprint(c, f.Verdict, f.Root, f.Object)
			if f.Of != nil {
				key = fmt.Sprintf("%s %s %p", c, f.Verdict, f.Of)
			}
			switch {
			case seen[key]:
			case f.Verdict == finding.Fail:
				out.Counts[c].Fail++
			default:
				out.Counts[c].Unknown++
			}
			seen[key] = true
		}
	}
	return out
}

func waiverFor(t *testing.T, resource string, edits ...string) *check.Waiver {
	t.Helper()
	text := strings.NewReplacer(append([]string{"kind: Deployment\n      namespace: shop\n      name: web", resource}, edits...)...).Replace(goodWaiver)
	w, err := check.ParseWaiver(objectsIn(t, "w.yaml", text)[0], knownControl)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWaiverMatching(t *testing.T) {
	web := failure("no-root", "shop", "Deployment", "web", "app")
	role := failure("no-root", "", "ClusterRole", "admin", "")
	rollout := failure("no-root", "shop", "Rollout", "web", "app")
	knative := failure("no-root", "shop", "Service", "web", "app")
	knative.Object.Group = "serving.knative.dev"
	service := failure("no-root", "shop", "Service", "web", "")
	for _, c := range []struct {
		name, resource string
		f              *check.Judged
		want           bool
	}{
		{"exact", "kind: Deployment\n      namespace: shop\n      name: web", web, true},
		{"group", "kind: apps/Deployment\n      namespace: shop\n      name: web", web, true},
		{"another group", "kind: extensions/Deployment\n      namespace: shop\n      name: web", web, false},
		{"another kind", "kind: StatefulSet\n      namespace: shop\n      name: web", web, false},
		{"another namespace", "kind: Deployment\n      namespace: shops\n      name: web", web, false},
		{"part of a name", "kind: Deployment\n      namespace: shop\n      name: we", web, false},
		{"another case", "kind: Deployment\n      namespace: shop\n      name: Web", web, false},
		{"patterns", "kind: \"*\"\n      namespace: sh?p\n      name: w*", web, true},
		{"pattern of another case", "kind: \"*\"\n      namespace: SH?P\n      name: w*", web, false},
		{"all of a namespace", "kind: \"*\"\n      namespace: shop\n      name: \"*\"", web, true},
		{"every namespace is not the cluster", "kind: \"*\"\n      namespace: \"*\"\n      name: \"*\"", role, false},
		{"no namespace is the cluster", "kind: \"*\"\n      name: \"*\"", role, true},
		{"no namespace is not every namespace", "kind: \"*\"\n      name: \"*\"", web, false},
		{"cluster-wide", "kind: ClusterRole\n      name: admin", role, true},
		{"custom kind", "kind: argoproj.io/Rollout\n      namespace: shop\n      name: web", rollout, true},
		{"custom kind by pattern", "kind: \"argoproj.io/*\"\n      namespace: shop\n      name: web", rollout, true},
		{"Kubernetes' Service is not Knative's", "kind: Service\n      namespace: shop\n      name: web", knative, false},
		{"Kubernetes' Service", "kind: Service\n      namespace: shop\n      name: web", service, true},
		{"the second of two", "kind: Deployment\n      namespace: shop\n      name: api\n    - kind: Deployment\n      namespace: shop\n      name: web", web, true},
		{"two do not join", "kind: Deployment\n      namespace: shop\n      name: api\n    - kind: Deployment\n      namespace: blog\n      name: web", web, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ws check.Waivers
			ws.Add(waiverFor(t, c.resource))
			out := outcomeOf(c.f)
			uses := ws.Apply(out, today)
			if got := out.Findings[0].Waived != nil; got != c.want {
				t.Errorf("waived %v, want %v", got, c.want)
			}
			state := "unused"
			if c.want {
				state = "matched"
			}
			if len(uses) != 1 || uses[0].State != state {
				t.Errorf("audit %+v, want %s", uses, state)
			}
		})
	}
}

func TestWaiverContainers(t *testing.T) {
	of := func(containers string) check.Waivers {
		var ws check.Waivers
		ws.Add(waiverFor(t, "kind: Deployment\n      namespace: shop\n      name: web", "  owner:", "  containers: "+containers+"\n  owner:"))
		return ws
	}
	for _, c := range []struct {
		containers, container string
		want                  bool
	}{
		{`[app]`, "app", true}, {`[app]`, "App", false}, {`[app]`, "apps", false}, {`[a, b]`, "b", true},
		{`["side-*"]`, "side-car", true}, {`["*"]`, "any", true},
		// What is about the pod as a whole is about no container.
		{`["*"]`, "", false}, {`[app]`, "", false},
	} {
		ws := of(c.containers)
		out := outcomeOf(failure("no-root", "shop", "Deployment", "web", c.container))
		ws.Apply(out, today)
		if got := out.Findings[0].Waived != nil; got != c.want {
			t.Errorf("%s on %q: waived %v, want %v", c.containers, c.container, got, c.want)
		}
	}
	ws := of(`[app]`)
	out := outcomeOf(failure("no-root", "shop", "Deployment", "web", "app"), failure("no-root", "shop", "Deployment", "web", "sidecar"))
	ws.Apply(out, today)
	if got := *out.Counts["no-root"]; got.Fail != 1 || got.Waived != 0 {
		t.Errorf("one of two containers is waived, but the counts are %+v", got)
	}
}

func TestWaiverExpiry(t *testing.T) {
	for now, want := range map[string]string{
		"2027-01-30 23:59:59": "matched", "2027-01-31 00:00:00": "matched", "2027-01-31 23:59:59": "matched",
		"2027-02-01 00:00:00": "expired", "2030-01-01 00:00:00": "expired",
	} {
		var ws check.Waivers
		ws.Add(waiverFor(t, "kind: Deployment\n      namespace: shop\n      name: web"))
		out := outcomeOf(failure("no-root", "shop", "Deployment", "web", "app"))
		uses := ws.Apply(out, utc(now))
		if uses[0].State != want || (out.Findings[0].Waived != nil) != (want == "matched") {
			t.Errorf("%s: %+v, waived %v", now, uses[0], out.Findings[0].Waived)
		}
		if want == "expired" && (uses[0].Matches != 0 || len(uses[0].Problems) != 1 || out.Counts["no-root"].Waived != 0 || out.Counts["no-root"].Fail != 1) {
			t.Errorf("%s: %+v %+v", now, uses[0], out.Counts["no-root"])
		}
	}
	// A day ends in UTC, wherever the clock stands.
	var ws check.Waivers
	ws.Add(waiverFor(t, "kind: Deployment\n      namespace: shop\n      name: web"))
	out := outcomeOf(failure("no-root", "shop", "Deployment", "web", "app"))
	if u := ws.Apply(out, utc("2027-01-31 12:00:00").In(time.FixedZone("east", 14*3600))); u[0].State != "matched" {
		t.Errorf("in another zone: %+v", u[0])
	}
}

// TestWaiverCovers holds that accepting a strict control does not accept the
// worse fault that the same finding stands for.
func TestWaiverCovers(t *testing.T) {
	web := "kind: Deployment\n      namespace: shop\n      name: web"
	for _, c := range []struct {
		name         string
		controls     []string
		waived       bool
		strict, weak int // objects waived by control
		problem      string
	}{
		{"strict alone", []string{"strict"}, false, 1, 0, "accepts in part, for no waiver accepts weak in the same place; still open: 1 finding"},
		{"weak alone", []string{"weak"}, false, 0, 1, "accepts in part, for no waiver accepts strict in the same place; still open: 1 finding"},
		{"both", []string{"strict", "weak"}, true, 1, 1, ""},
		{"neither", []string{"no-root"}, false, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ws check.Waivers
			for i, control := range c.controls {
				ws.Add(waiverFor(t, web, "control: no-root", "control: "+control, "name: legacy", fmt.Sprintf("name: w%d", i)))
			}
			f := failure("strict", "shop", "Deployment", "web", "app")
			f.Covers = []string{"weak"}
			out := outcomeOf(f, failure("no-root", "blog", "Deployment", "web", "app"))
			uses := ws.Apply(out, today)
			if got := out.Findings[0].Waived; (got != nil) != c.waived || got != nil && got.Waiver != "w0" {
				t.Errorf("waived %+v", got)
			}
			if s, w := out.Counts["strict"], out.Counts["weak"]; s.Waived != c.strict || s.Fail != 1-c.strict || w.Waived != c.weak || w.Fail != 1-c.weak {
				t.Errorf("counts: strict %+v, weak %+v", s, w)
			}
			if got := strings.Join(uses[0].Problems, "; "); got != c.problem {
				t.Errorf("problems %q, want %q", got, c.problem)
			}
		})
	}
}

func TestWaiverUnknown(t *testing.T) {
	f := failure("no-root", "shop", "Deployment", "web", "")
	f.Verdict = finding.Unknown
	var ws check.Waivers
	ws.Add(waiverFor(t, "kind: Deployment\n      namespace: shop\n      name: web"))
	out := outcomeOf(f)
	uses := ws.Apply(out, today)
	if out.Findings[0].Waived != nil || out.Counts["no-root"].Unknown != 1 || out.Counts["no-root"].Waived != 0 {
		t.Errorf("an unknown is waived: %+v", out.Findings[0])
	}
	if len(uses) != 1 || uses[0].State != "unused" || !strings.Contains(strings.Join(uses[0].Problems, ""), "only failures can be waived") {
		t.Errorf("audit: %+v", uses)
	}
}

func TestWaiverAudit(t *testing.T) {
	web := "kind: Deployment\n      namespace: shop\n      name: web"
	var ws check.Waivers
	ws.Add(waiverFor(t, web, "name: legacy", "name: b", "control: no-root", "controls: [no-root, strict, weak]"))
	ws.Add(waiverFor(t, web, "name: legacy", "name: a"))
	ws.Add(waiverFor(t, web, "name: legacy", "name: c", "2027", "2025"))
	out := outcomeOf(failure("no-root", "shop", "Deployment", "web", "app"), failure("no-root", "shop", "Deployment", "web", "x"), failure("strict", "blog", "Deployment", "web", "x"))
	var got []string
	for _, u := range ws.Apply(out, today) {
		got = append(got, fmt.Sprintf("%s %s %s %d %s", u.Waiver, u.Control, u.State, u.Matches, strings.Join(u.Problems, "; ")))
	}
	want := []string{
		"a no-root matched 2 ",
		"b no-root matched 2 ",
		"b strict unused 0 ",
		"b weak unused 0 the control was not selected for this run",
		"c no-root expired 0 no longer accepts what it names: 2 findings",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w := out.Findings[0].Waived; w == nil || w.Waiver != "a" || w.Owner != "team-shop" || w.Expires != "2027-01-31" {
		t.Errorf("waived %+v", w)
	}
	if c := out.Counts["no-root"]; c.Fail != 0 || c.Waived != 1 || c.Pass != 1 {
		t.Errorf("counts %+v", c)
	}
}
