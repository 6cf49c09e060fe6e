package admission_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestExportedAnnotations holds random annotations, many of them malformed, against
// those of a scan on the day when the object was created.
func TestExportedAnnotations(t *testing.T) {
	c := control(t, "no-interactive-containers")
	r := rand.New(rand.NewPCG(5, 6))
	evaluator, err := admission.Compile([]*check.Control{c}, nil, 37)
	if err != nil {
		t.Fatal(err)
	}
	waived, partly, refused := 0, 0, 0
	for _, settings := range []check.AnnotationSettings{{}, {Namespaces: []string{"sh?p"}}, {Namespaces: []string{"x", "b*"}}, {Namespaces: []string{}}, {Off: true}} {
		out := exportOne(t, c, admission.ExportOptions{Mode: admission.Deny, Annotations: &settings})
		if len(out.Policies) != 1 {
			t.Fatalf("%v", out.LeftOut)
		}
		p := compilePolicy(t, &out.Policies[0].Validating.Spec)
		for range 1200 {
			created := exportTime.AddDate(0, 0, r.IntN(3))
			o := randomWorkload(r, created)
			key := check.WaiverAnnotation + pick(r, c.Name, c.Name, c.Name, c.Name, c.Name, "privileged")
			for _, at := range [][]string{{"metadata"}, {"spec", "template", "metadata"}} {
				if r.IntN(2) == 0 {
					_ = unstructured.SetNestedMap(o, map[string]any{key: randomAnnotation(r)}, append(at, "annotations")...)
				}
			}
			judgements, err := evaluator.Evaluate(t.Context(), worldOf(o))
			if err != nil {
				t.Fatal(err)
			}
			all := judgements[0].Violations
			left := unannotated(c, o, all, settings, created)
			if got, want := p.judge(t, o, nil, "someone"), admission.Message(left); got != want {
				t.Fatalf("%v with %v:\ngot  %q\nwant %q", o, settings, got, want)
			}
			switch {
			case len(left) == len(all):
				refused++
			case len(left) > 0:
				partly++
			default:
				waived++
			}
		}
	}
	if waived < 100 || partly < 30 || refused < 100 {
		t.Errorf("annotations are one-sided: %d waived, %d in part, %d not", waived, partly, refused)
	}
	t.Logf("%d waived, %d in part, %d not", waived, partly, refused)
}

// unannotated is what a scan leaves of violations of an object on a day.
func unannotated(c *check.Control, content map[string]any, all []check.Violation, settings check.AnnotationSettings, now time.Time) []check.Violation {
	o, _ := model.NewObject(content, nil, model.Source{})
	w := model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	known := func(string) bool { return true }
	accepted := check.ReadWaivers(&model.Snapshot{Worlds: []*model.World{w}}, check.WaiverOptions{Known: known, Annotations: settings})
	return left(c, o, all, accepted, now)
}

// randomAnnotation is a waiver that is well formed two thirds of the time.
func randomAnnotation(r *rand.Rand) string {
	day := exportTime.AddDate(0, 0, r.IntN(4)-1).Format(time.DateOnly)
	if r.IntN(3) > 0 {
		text := pick(r, "why", "a reason = b", " sets X=1 ") + ";" + pick(r, "owner=me", " owner = team a\u00a0") + pick(r, ";", "; ;") + "expires" + pick(r, "=", " = ") + day
		for range r.IntN(3) {
			text += ";" + pick(r, "container=web", "container = w*", "container=?eb", "container=a.i", "container=*", "container=nobody")
		}
		return text + pick(r, "", ";", "; ticket=T-1", "\n")
	}
	var parts []string
	for range r.IntN(6) {
		parts = append(parts, pick(r, "why", "owner=me", "owner=you", "owner", "owner=", "=", "", " ", "ticket=1", "ticket=2", "expires="+day, "expires="+day,
			"expires=2027-02-29", "expires=2028-02-29", "expires=2100-02-29", "expires=2000-02-29", "expires=2027-13-01", "expires=2027-04-31", "expires=27-01-01", "expires=9999-12-31", "expires=0001-01-01",
			"expires="+day+"T00:00:00Z", "expires=\u2003"+day+"\u2003", "expires=\v"+day, "container=web", "container=", "container=web owner=me", "Owner=me", "ownership=me", "owner\u0085=\u0085me",
			"team=a", "container=\u3000api"))
	}
	return strings.Join(parts, pick(r, ";", "; ", ";", "\n;"))
}
