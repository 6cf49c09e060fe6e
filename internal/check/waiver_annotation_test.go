package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// privilegedPods are three objects with a privileged container each; the
// annotations go to the place that is named.
func privilegedPods(object, template string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {` + object + `}
spec:
  template:
    metadata:
      annotations: {` + template + `}
    spec:
      containers:
        - name: app
          securityContext: {privileged: true}
        - name: side
          securityContext: {privileged: true}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: blog}
spec:
  template:
    spec:
      containers:
        - name: app
          securityContext: {privileged: true}
`
}

func scan(t *testing.T, settings check.AnnotationSettings, worlds ...*model.World) (*check.Outcome, []finding.WaiverUse) {
	t.Helper()
	s := &model.Snapshot{Worlds: worlds}
	named := &check.Control{Rule: finding.Rule{Name: "named", Severity: finding.Low, Layer: finding.LayerWorkload},
		World: func(in *check.Input) []check.Judgement {
			var out []check.Judgement
			for _, o := range in.World.Kind(model.GroupKind{Group: "apps", Kind: "Deployment"}) {
				ref := o.Ref()
				ref.Name += "-service"
				// One thing that is an object, and one that was not given as one.
				out = append(out, check.Failed(o, check.Violation{Detail: "has no name"}),
					check.Judgement{Ref: ref, Verdict: finding.Fail, Violations: []check.Violation{{Detail: "is missing"}}})
			}
			return out
		}}
	out, err := check.Run(t.Context(), s, check.Options{Controls: []*check.Control{privileged("privileged"), named}, Version: 37,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		t.Fatal(err)
	}
	known := func(c string) bool { return c == "privileged" || c == "named" || c == "other" }
	return out, check.ReadWaivers(s, check.WaiverOptions{Known: known, Annotations: settings}).Apply(out, today)
}

func waivedNames(out *check.Outcome) []string {
	var names []string
	for _, f := range out.Findings {
		if f.Waived != nil {
			names = append(names, strings.TrimSuffix(fmt.Sprintf("%s %s %s/%s", f.Root, f.Control, f.Object, f.Container), "/"))
		}
	}
	slices.Sort(names)
	return names
}

func TestAnnotations(t *testing.T) {
	const good = `waive.bulkhead.dev/privileged: "needs the device; owner=team; expires=2027-01-31"`
	shop := []string{" privileged shop/Deployment/web/app", " privileged shop/Deployment/web/side"}
	for _, c := range []struct {
		name, object, template string
		settings               check.AnnotationSettings
		want                   []string
		audit                  string
	}{
		{"on the object", good, "", check.AnnotationSettings{}, shop, "matched 2"},
		{"on the template", "", good, check.AnnotationSettings{}, shop, "matched 2"},
		{"on both", good, good, check.AnnotationSettings{}, shop, "matched 2|matched 2"},
		{"a container", "", `waive.bulkhead.dev/privileged: "device; owner=team;expires = 2027-01-31 ; container=side; ticket=S-1;"`, check.AnnotationSettings{}, shop[1:], "matched 1"},
		{"two containers", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31; container=app; container=s?de"`, check.AnnotationSettings{}, shop, "matched 2"},
		{"a reason with an equals sign", "", `waive.bulkhead.dev/privileged: "sets X=1 early; owner=team; expires=2027-01-31"`, check.AnnotationSettings{}, shop, "matched 2"},
		{"of a world, only the object itself", `waive.bulkhead.dev/named: "old; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, []string{" named shop/Deployment/web"}, "matched 1"},
		{"another control", `waive.bulkhead.dev/other: "old; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, nil, "unused 0 the control was not selected for this run"},
		{"expired", strings.ReplaceAll(good, "2027", "2025"), "", check.AnnotationSettings{}, nil, "expired 0 no longer accepts what it names: 2 findings"},
		{"switched off", good, "", check.AnnotationSettings{Off: true}, nil, "waives nothing: the configuration switches waivers by annotation off"},
		{"off, whatever the limit", good, "", check.AnnotationSettings{Off: true, Namespaces: []string{"*"}}, nil, "waives nothing: the configuration switches waivers by annotation off"},
		{"in its namespace", good, "", check.AnnotationSettings{Namespaces: []string{"sh*"}}, shop, "matched 2"},
		{"in another namespace", good, "", check.AnnotationSettings{Namespaces: []string{"blog"}}, nil, "waives nothing: the configuration does not allow waivers by annotation here"},
		{"in no namespace", good, "", check.AnnotationSettings{Namespaces: []string{}}, nil, "waives nothing: the configuration does not allow waivers by annotation here"},

		{"unknown control", `waive.bulkhead.dev/privilegd: "x; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, nil, `is "privilegd", and there is no such control`},
		{"every control", `"waive.bulkhead.dev/*": "x; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, nil, `is "*", but controls are waived by name`},
		{"no control", `waive.bulkhead.dev/: "x; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, nil, `is "", and there is no such control`},
		{"another case", `waive.bulkhead.dev/Privileged: "x; owner=team; expires=2027-01-31"`, "", check.AnnotationSettings{}, nil, `is "Privileged", and there is no such control`},
		{"only a reason", "", `waive.bulkhead.dev/privileged: "device"`, check.AnnotationSettings{}, nil, "has no owner"},
		{"no reason", "", `waive.bulkhead.dev/privileged: "owner=team; expires=2027-01-31"`, check.AnnotationSettings{}, nil, "does not begin with a reason"},
		{"empty reason", "", `waive.bulkhead.dev/privileged: " ; owner=team; expires=2027-01-31"`, check.AnnotationSettings{}, nil, "does not begin with a reason"},
		{"no expiry", "", `waive.bulkhead.dev/privileged: "device; owner=team"`, check.AnnotationSettings{}, nil, "has no expires"},
		{"empty owner", "", `waive.bulkhead.dev/privileged: "device; owner=; expires=2027-01-31"`, check.AnnotationSettings{}, nil, "gives no value for owner"},
		{"empty container", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31; container="`, check.AnnotationSettings{}, nil, "gives no value for container"},
		{"malformed container", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31; container=[a"`, check.AnnotationSettings{}, nil, `malformed pattern "[a"`},
		{"mistyped container", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31; containers=app"`, check.AnnotationSettings{}, nil, `has a part "containers=app"`},
		{"case of a part", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31; Container=app"`, check.AnnotationSettings{}, nil, `has a part "Container=app"`},
		{"two expiries", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=2025-01-31; expires=2027-01-31"`, check.AnnotationSettings{}, nil, "gives expires twice"},
		{"no day", "", `waive.bulkhead.dev/privileged: "device; owner=team; expires=never"`, check.AnnotationSettings{}, nil, `is "never", and not a day`},
		{"true", "", `waive.bulkhead.dev/privileged: true`, check.AnnotationSettings{}, nil, "must be a string"},
		{"nothing", "", `waive.bulkhead.dev/privileged: `, check.AnnotationSettings{}, nil, "is missing"},
		{"no annotation of ours", `waive.bulkhead.dev.example.com/privileged: "x"`, "", check.AnnotationSettings{}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, uses := scan(t, c.settings, worldOf(t, "", privilegedPods(c.object, c.template)))
			if got := waivedNames(out); !slices.Equal(got, c.want) {
				t.Errorf("waived %q, want %q", got, c.want)
			}
			var audit []string
			for _, u := range uses {
				audit = append(audit, strings.TrimSpace(fmt.Sprintf("%s %d %s", u.State, u.Matches, strings.Join(u.Problems, "; "))))
				line := map[bool]int{true: 6, false: 10}[c.object != ""]
				if len(uses) == 1 && (u.Location == nil || u.Location.File != "a.yaml" || u.Location.Line != line) {
					t.Errorf("location %+v, want line %d", u.Location, line)
				}
				if u.Waiver != "annotation on shop/Deployment/web" {
					t.Errorf("waiver %q", u.Waiver)
				}
			}
			if got := strings.Join(audit, "|"); got != c.audit && (!strings.HasPrefix(got, "invalid 0") || !strings.Contains(got, c.audit)) {
				t.Errorf("audit %q, want %q", got, c.audit)
			}
		})
	}
}

// TestAnnotationOnPod reads the metadata of a pod, which is its template, once.
func TestAnnotationOnPod(t *testing.T) {
	out, uses := scan(t, check.AnnotationSettings{}, worldOf(t, "", `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31"
spec:
  containers:
    - name: app
      securityContext: {privileged: true}
`))
	if len(uses) != 1 || uses[0].Matches != 1 || len(waivedNames(out)) != 1 {
		t.Errorf("audit %+v", uses)
	}
	if c := out.Counts["privileged"]; c.Fail != 0 || c.Waived != 1 {
		t.Errorf("counts %+v", c)
	}
}

// TestWaiverRoots holds that a chart's waivers stay in the chart.
func TestWaiverRoots(t *testing.T) {
	waiver := strings.NewReplacer("no-root", "privileged", "namespace: shop", `namespace: "*"`).Replace(goodWaiver)
	pods := privilegedPods("", "")
	out, _ := scan(t, check.AnnotationSettings{}, worldOf(t, "", pods), worldOf(t, "charts/a", pods+"---\n"+waiver), worldOf(t, "charts/b", pods))
	want := []string{"charts/a privileged blog/Deployment/web/app", "charts/a privileged shop/Deployment/web/app", "charts/a privileged shop/Deployment/web/side"}
	if got := waivedNames(out); !slices.Equal(got, want) {
		t.Errorf("a chart's waiver waives %q", got)
	}
	out, _ = scan(t, check.AnnotationSettings{}, worldOf(t, "", pods+"---\n"+waiver), worldOf(t, "charts/a", pods))
	if got := waivedNames(out); len(got) != 6 {
		t.Errorf("a plain file's waiver waives %q", got)
	}
	// Written in a namespace, a waiver waives there and nowhere else.
	waiver = strings.Replace(waiver, "name: legacy", "name: legacy\n  namespace: blog", 1)
	out, _ = scan(t, check.AnnotationSettings{}, worldOf(t, "", pods+"---\n"+waiver))
	if got := waivedNames(out); !slices.Equal(got, []string{" privileged blog/Deployment/web/app"}) {
		t.Errorf("a waiver in namespace blog waives %q", got)
	}
}

// TestWaiversReadOnce reads a file of waivers that is also among what is scanned.
func TestWaiversReadOnce(t *testing.T) {
	text := privilegedPods(`waive.bulkhead.dev/privileged: "device; owner=team; expires=2027-01-31"`, "") + "---\n" +
		strings.Replace(goodWaiver, "no-root", "privileged", 1) + "---\n" + strings.Replace(goodWaiver, "no-root", "nothing", 1)
	out, once := scan(t, check.AnnotationSettings{}, worldOf(t, "", text))
	s := &model.Snapshot{Worlds: []*model.World{worldOf(t, "", text), worldOf(t, "", text)}}
	twice := check.ReadWaivers(s, check.WaiverOptions{Known: func(c string) bool { return c == "privileged" }}).Apply(&check.Outcome{}, today)
	if len(once) != 3 || len(twice) != 3 {
		t.Errorf("%d waivers, and %d when the file is read twice", len(once), len(twice))
	}
	if got := waivedNames(out); len(got) != 2 {
		t.Errorf("waived %q", got)
	}
}

func TestAnnotationSettingsValidate(t *testing.T) {
	if err := (check.AnnotationSettings{Namespaces: []string{"dev-*", "shop"}}).Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "[a"} {
		if err := (check.AnnotationSettings{Namespaces: []string{bad}}).Validate(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
