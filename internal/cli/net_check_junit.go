package cli

import (
	"encoding/xml"
	"fmt"
	"io"

	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/report"
)

// The elements that CI systems read, as the reports of scans have them.
type (
	assertionSuites struct {
		XMLName xml.Name       `xml:"testsuites"`
		Name    string         `xml:"name,attr"`
		Suite   assertionSuite `xml:"testsuite"`
	}
	assertionSuite struct {
		Name     string          `xml:"name,attr"`
		Tests    int             `xml:"tests,attr"`
		Failures int             `xml:"failures,attr"`
		Errors   int             `xml:"errors,attr"`
		Cases    []assertionCase `xml:"testcase"`
	}
	assertionCase struct {
		Class   string            `xml:"classname,attr"`
		Name    string            `xml:"name,attr"`
		File    string            `xml:"file,attr,omitempty"`
		Line    int               `xml:"line,attr,omitempty"`
		Failure *assertionFailure `xml:"failure"`
		Error   *assertionFailure `xml:"error"`
	}
	assertionFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes a case for each assertion: one that is refuted fails, and one that is not
// known is an error.
func (r netCheckJSON) junit(w io.Writer) error {
	suite := assertionSuite{Name: "bulkhead net check", Tests: len(r.Assertions), Failures: r.Refuted, Errors: r.Unknown}
	for _, a := range r.Assertions {
		c := assertionCase{Class: string(a.Form), Name: report.Printable(a.Name)}
		if a.Location != nil {
			c.File, c.Line = report.Printable(a.Location.File), a.Location.Line
		}
		broken := &assertionFailure{Type: string(a.Verdict), Text: a.details("", false)}
		if len(a.Why) > 0 {
			broken.Message = report.Printable(a.Why[0])
		}
		switch a.Verdict {
		case intent.Refuted:
			c.Failure = broken
		case intent.Unknown:
			c.Error = broken
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(assertionSuites{Name: "bulkhead", Suite: suite}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the verdicts as JUnit: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
