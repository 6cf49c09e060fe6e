package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"unicode"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/finding"
)

// writeJSON writes the versioned form that docs/schema/scanresult.v1.json
// describes: indented, and the same bytes for the same result.
//
// The findings, which are nearly all of it, are encoded one by one: as a whole
// the text would be in memory three times while it is indented.
func writeJSON(w io.Writer, r *finding.Result, _ Options) error {
	rest := *complete(r)
	findings := rest.Findings
	rest.Findings = []finding.Finding{}
	shell, err := marshalJSON(&rest, "", "  ")
	if err != nil {
		return err
	}
	// No string holds a line break, so this is the field itself.
	before, after, found := bytes.Cut(shell, []byte("\n  \"findings\": []"))
	if !found || len(findings) == 0 {
		_, err = w.Write(shell)
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n  \"findings\": [", before); err != nil {
		return err
	}
	if err := writeInOrder(w, findings); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n  ]%s", after)
	return err
}

// encodedAtOnce is how many findings one goroutine encodes before it hands them on.
const encodedAtOnce = 256

// writeInOrder encodes findings with all cores and writes them as the items of a
// list, in their order. What waits to be written is bounded by the cores.
func writeInOrder(w io.Writer, findings []finding.Finding) error {
	type chunk struct {
		text []byte
		err  error
	}
	pending := make(chan chan chunk, runtime.GOMAXPROCS(0))
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(pending)
		for start := 0; start < len(findings); start += encodedAtOnce {
			result := make(chan chunk, 1)
			select {
			case pending <- result:
			case <-done:
				return
			}
			go func() {
				text, err := encodeItems(findings[start:min(start+encodedAtOnce, len(findings))], start == 0)
				result <- chunk{text, err}
			}()
		}
	}()
	for result := range pending {
		c := <-result
		if c.err != nil {
			return c.err
		}
		if _, err := w.Write(c.text); err != nil {
			return err
		}
	}
	return nil
}

func encodeItems(findings []finding.Finding, first bool) ([]byte, error) {
	var out bytes.Buffer
	for i := range findings {
		if !first || i > 0 {
			out.WriteByte(',')
		}
		b, err := marshalJSON(&findings[i], "    ", "  ")
		if err != nil {
			return nil, err
		}
		out.WriteString("\n    ")
		out.Write(bytes.TrimSuffix(b, []byte("\n")))
	}
	return out.Bytes(), nil
}

// complete is r with its type filled in, and with an empty list where a list
// that the schema requires is nil: a reader need not tell [] from null.
func complete(r *finding.Result) *finding.Result {
	c := *r
	c.APIVersion, c.Kind = finding.APIVersion, finding.ResultKind
	c.Inputs = list(c.Inputs)
	c.Findings = list(c.Findings)
	c.Rules = list(c.Rules)
	c.Controls = list(c.Controls)
	c.Summary.ByLayer = list(c.Summary.ByLayer)
	if c.Summary.BySeverity == nil {
		c.Summary.BySeverity = map[finding.Severity]int{}
	}
	c.Unknown = append([]finding.Unmet(nil), c.Unknown...)
	for i := range c.Unknown {
		c.Unknown[i].Controls = list(c.Unknown[i].Controls)
	}
	return &c
}

func list[E any](s []E) []E {
	if s == nil {
		return []E{}
	}
	return s
}

// marshalJSON encodes v, and ends in a line break.
func marshalJSON(v any, prefix, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escapeInvisible(b.Bytes()), nil
}

// escapeInvisible writes the unprintable characters that encoding/json leaves
// as they are (DEL, the C1 controls, of which U+009B starts a terminal's escape
// sequences, and formatting characters) as \u escapes. The values stay the
// same: outside of strings JSON has ASCII only. Characters beyond U+FFFF stay,
// because a YAML reader does not join the surrogate pair that would stand for
// them.
func escapeInvisible(b []byte) []byte {
	if !bytes.ContainsFunc(b, invisible) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if invisible(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	return out
}

func invisible(r rune) bool {
	return r >= 0x7f && r <= 0xffff && !unicode.IsPrint(r)
}
