package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// The elements that Jenkins, GitLab, Azure and CircleCI all read. There is no
// standard; this is the part on which their parsers agree.
type (
	junitReport struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Cases []*junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Skipped *junitOutcome `xml:"skipped"`
		Failure *junitOutcome `xml:"failure"`
		Error   *junitOutcome `xml:"error"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",cdata"`
	}
)

// writeJUnit writes a suite for each control and a case for each object that it
// failed on: CI systems follow a case over time by these two names, and neither
// has a line or a count in it. A failure fails, an unknown is an error, and a
// finding that is waived is skipped. What could not be read or observed is an
// error in a suite of its own, which is always there, so that the report of a
// clean result is not an empty one.
func writeJUnit(w io.Writer, r *finding.Result, _ Options) error {
	report := junitReport{Name: printable(toolName(r)), Suites: []*junitSuite{junitInputs(r)}}
	report.Suites = append(report.Suites, junitControls(r)...)
	for _, s := range report.Suites {
		s.count()
		report.Tests += s.Tests
		report.Failures += s.Failures
		report.Errors += s.Errors
		report.Skipped += s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) count() {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

func junitInputs(r *finding.Result) *junitSuite {
	s := &junitSuite{Name: "inputs"}
	for _, p := range r.Problems {
		name := p.Location.File
		if name == "" {
			name = "input"
		}
		s.Cases = append(s.Cases, &junitCase{
			Class: s.Name, Name: printable(name), File: printable(p.Location.File), Line: max(0, p.Location.Line),
			Error: &junitOutcome{Message: printable(p.Message), Type: "not-read", Text: printable(problemLine(p))},
		})
	}
	for _, u := range r.Unknown {
		s.Cases = append(s.Cases, &junitCase{
			Class: s.Name, Name: printable(u.What),
			Error: &junitOutcome{Message: printable(u.Reason), Type: "not-observed", Text: "needed by " + printable(strings.Join(u.Controls, ", "))},
		})
	}
	if len(s.Cases) == 0 {
		s.Cases = []*junitCase{{Class: s.Name, Name: "everything was read"}}
	}
	return s
}

// junitControls has the controls with findings first, worst first.
func junitControls(r *finding.Result) []*junitSuite {
	var suites []*junitSuite
	index := map[string]*junitSuite{}
	suite := func(control string) *junitSuite {
		s, ok := index[control]
		if !ok {
			s = &junitSuite{Name: printable(control)}
			index[control] = s
			suites = append(suites, s)
		}
		return s
	}
	type key struct {
		control string
		object  object
	}
	var order []key
	cases := map[key][]finding.Finding{}
	for _, f := range worstFirst(r.Findings) {
		k := key{f.Control, object{f.Root, f.Object}}
		if cases[k] == nil {
			order = append(order, k)
		}
		cases[k] = append(cases[k], f)
	}
	rules := ruleIndex(r)
	for _, k := range order {
		s := suite(k.control)
		s.Cases = append(s.Cases, junitCaseOf(cases[k], rules[k.control]))
	}
	for _, p := range r.Passes {
		s := suite(p.Control)
		c := &junitCase{Class: s.Name, Name: junitName(object{p.Root, p.Object})}
		c.place(p.Location)
		s.Cases = append(s.Cases, c)
	}
	if len(r.Passes) > 0 {
		return suites
	}
	for _, c := range r.Controls {
		if c.Pass > 0 {
			s := suite(c.Control)
			s.Cases = append(s.Cases, &junitCase{Class: s.Name, Name: "all other objects", Output: count(c.Pass, "object") + " passed"})
		}
	}
	return suites
}

func junitName(o object) string {
	if o.root == "" {
		return printable(o.ref.String())
	}
	return printable(o.ref.String() + " in " + o.root)
}

func (c *junitCase) place(l *finding.Location) {
	if l != nil {
		c.File, c.Line = printable(l.File), max(0, l.Line)
	}
}

// junitCaseOf is the case of one control and one object; the first finding is
// the worst, and says what becomes of the case.
func junitCaseOf(fs []finding.Finding, rule *finding.Rule) *junitCase {
	worst := fs[0]
	c := &junitCase{Class: printable(worst.Control), Name: junitName(object{worst.Root, worst.Object})}
	c.place(worst.Location)
	message := junitMessage(worst)
	if len(fs) > 1 {
		message = fmt.Sprintf("%s (and %d more)", message, len(fs)-1)
	}
	switch {
	case worst.Waived != nil:
		c.Skipped = &junitOutcome{Message: printable(waivedBy(*worst.Waived))}
	case worst.Verdict == finding.Fail:
		c.Failure = &junitOutcome{Message: message, Type: worst.Severity.String(), Text: junitText(fs, rule)}
	default:
		c.Error = &junitOutcome{Message: message, Type: string(finding.Unknown), Text: junitText(fs, rule)}
	}
	return c
}

func junitMessage(f finding.Finding) string {
	if f.Container != "" && !strings.Contains(f.Message, f.Container) {
		return printable("container " + f.Container + ": " + f.Message)
	}
	return printable(f.Message)
}

func junitText(fs []finding.Finding, rule *finding.Rule) string {
	var b strings.Builder
	for _, f := range fs {
		label, _ := labelOf(f)
		fmt.Fprintf(&b, "\n%s: %s\n", label, junitMessage(f))
		for _, part := range []struct{ name, value string }{
			{"at", locationOf(f.Location)}, {"field", f.Path},
		} {
			if part.value != "" {
				fmt.Fprintf(&b, "  %s %s\n", part.name, printable(part.value))
			}
		}
		if f.Waived != nil {
			fmt.Fprintf(&b, "  %s\n", printable(waivedBy(*f.Waived)))
		}
	}
	if rule != nil {
		fmt.Fprintf(&b, "\nWhy: %s\nRemedy: %s\n", printable(rule.Why), printable(rule.Remedy))
	}
	return b.String()
}
