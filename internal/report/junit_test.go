package report

import (
	"encoding/xml"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

// junitTree is JUnit as a CI system reads it.
type junitTree struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name    string     `xml:"name,attr"`
			Class   string     `xml:"classname,attr"`
			Failure []struct{} `xml:"failure"`
			Error   []struct{} `xml:"error"`
			Skipped []struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestJUnit(t *testing.T) {
	withPasses := sampleResult()
	withPasses.Passes = samplePasses()
	for name, r := range map[string]*finding.Result{
		"sample": sampleResult(), "passes": withPasses, "clean": cleanResult(), "empty": {}, "many": manyFindings(700), "shop": shopResult(),
	} {
		t.Run(name, func(t *testing.T) {
			var tree junitTree
			if err := xml.Unmarshal(render(t, "junit", r, Options{}), &tree); err != nil {
				t.Fatal(err)
			}
			if tree.Tests == 0 {
				t.Error("no test at all, which CI systems take for a fault")
			}
			var tests, failures, errors, skipped int
			names := map[[2]string]bool{}
			for _, s := range tree.Suites {
				var f, e, k int
				for _, c := range s.Cases {
					id := [2]string{c.Class, c.Name}
					if names[id] {
						t.Errorf("%v is there twice", id)
					}
					names[id] = true
					f, e, k = f+len(c.Failure), e+len(c.Error), k+len(c.Skipped)
					if len(c.Failure)+len(c.Error)+len(c.Skipped) > 1 {
						t.Errorf("%v has several outcomes", id)
					}
				}
				if s.Tests != len(s.Cases) || s.Failures != f || s.Errors != e || s.Skipped != k {
					t.Errorf("the suite %s miscounts", s.Name)
				}
				tests, failures, errors, skipped = tests+s.Tests, failures+f, errors+e, skipped+k
			}
			if tree.Tests != tests || tree.Failures != failures || tree.Errors != errors || tree.Skipped != skipped {
				t.Errorf("the report counts %+v, the suites %d %d %d %d", tree, tests, failures, errors, skipped)
			}
			if want := judged(r, finding.Fail); failures != want {
				t.Errorf("%d failures, want %d: one for each control and object", failures, want)
			}
		})
	}
}

// judged counts pairs of control and object that failed and are not waived.
func judged(r *finding.Result, v finding.Verdict) int {
	pairs := map[string]bool{}
	for _, f := range r.Findings {
		if f.Verdict == v && f.Waived == nil {
			pairs[f.Control+"|"+f.Root+"|"+f.Object.Group+"|"+f.Object.String()] = true
		}
	}
	return len(pairs)
}

func TestJUnitOutcomes(t *testing.T) {
	r := &finding.Result{}
	add := func(control string, v finding.Verdict, waived bool) {
		f := finding.Finding{Control: control, Verdict: v, Severity: finding.High, Message: "m", Object: finding.Ref{Kind: "Pod", Name: "p"}}
		if waived {
			f.Waived = &finding.Waived{Waiver: "w", Owner: "o", Reason: "r"}
		}
		r.Findings = append(r.Findings, f)
	}
	add("failed", finding.Unknown, false)
	add("failed", finding.Fail, true)
	add("failed", finding.Fail, false)
	add("unknown", finding.Fail, true)
	add("unknown", finding.Unknown, false)
	add("waived", finding.Fail, true)
	var tree junitTree
	if err := xml.Unmarshal(render(t, "junit", r, Options{}), &tree); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range tree.Suites {
		for _, c := range s.Cases {
			switch {
			case len(c.Failure) > 0:
				got[s.Name] = "failed"
			case len(c.Error) > 0:
				got[s.Name] = "unknown"
			case len(c.Skipped) > 0:
				got[s.Name] = "waived"
			default:
				got[s.Name] = "passed"
			}
		}
	}
	for _, name := range []string{"failed", "unknown", "waived"} {
		if got[name] != name {
			t.Errorf("the worst of a case that is to be %s makes it %s", name, got[name])
		}
	}
}
