package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/finding"
)

var (
	// markdownInert is a character that stands for itself, one written by its number, or
	// text between backticks, in which nothing but a bar has a meaning.
	markdownInert = regexp.MustCompile("@&#8203;|\\\\[!-/:-@\\[-`{-~]|&(#[0-9]+|amp|lt|gt);|`[^`|]+`")
	// markdownActive is what Markdown or GitHub act on within a line, apart from bold.
	markdownActive = regexp.MustCompile("[`<>\\[\\]_~|@#&\\\\]|://|www\\.|\\*")
)

// parsesMarkdown accepts the lines that we mean: a heading, items, a table with as many cells
// in each row, and text; in all of them nothing that was given acts.
func parsesMarkdown(out []byte) error {
	if n := utf8.RuneCount(out); n > MaxComment {
		return fmt.Errorf("%d characters are more than a comment takes", n)
	}
	width := 0
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		bare := markdownInert.ReplaceAllString(line, "x")
		bare = strings.TrimPrefix(bare, "### ")
		for _, word := range []string{"critical", "high", "Incomplete"} {
			bare = strings.ReplaceAll(bare, "**"+word+"**", "")
		}
		switch cells := strings.Count(bare, "|"); {
		case !strings.HasPrefix(bare, "|"):
			width = 0
		case width == 0:
			width = cells
		case cells != width:
			return fmt.Errorf("%.200q has %d bars, and its table %d", line, cells, width)
		}
		if strings.HasPrefix(bare, "|") {
			bare = strings.ReplaceAll(bare, "|", "")
		}
		if at := markdownActive.FindString(bare); at != "" {
			return fmt.Errorf("%q acts in %.200q", at, line)
		}
	}
	return nil
}

func TestMarkdown(t *testing.T) {
	for _, tc := range []struct{ in, plain, code string }{
		{"shop/Deployment/web", "shop/Deployment/web", "`shop/Deployment/web`"},
		{"", "", ""},
		{"a|b", `a\|b`, `a\|b`},
		{`a\|b`, `a\\\|b`, `a\\\|b`},
		{"`x`", "\\`x\\`", "\\`x\\`"},
		{"<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;", "`<img src=x onerror=y>`"},
		{"[click](http://evil)", `\[click\](http:&#8203;//evil)`, "`[click](http://evil)`"},
		{"@team and #1", `@&#8203;team and \#&#8203;1`, "`@team and #1`"},
		{"&lt;", "&amp;lt;", "`&lt;`"},
		{"a\nb\x1b[0m", `a\\nb\\x1b\[0m`, `a\\nb\\x1b\[0m`},
		{" x", " x", " x"},
	} {
		if got := Markdown(tc.in); got != tc.plain {
			t.Errorf("%q becomes %q, want %q", tc.in, got, tc.plain)
		}
		if got := MarkdownCode(tc.in); got != tc.code {
			t.Errorf("%q as code becomes %q, want %q", tc.in, got, tc.code)
		}
	}
}

// What does not fit is counted, and every finding is either in the table or in the count.
func TestMarkdownIsBounded(t *testing.T) {
	for _, n := range []int{1, 100, 25_001} {
		r := manyFindings(n)
		standing := 0
		for _, f := range r.Findings {
			if f.Waived == nil {
				standing++
			}
		}
		out := string(render(t, "md", r, Options{}))
		if size := utf8.RuneCountInString(out); size > MaxComment || n == 25_001 && size < MaxComment-3*markdownReserve {
			t.Errorf("of %d findings there are %d characters", n, size)
		}
		rows := strings.Count(out, "\n| ") - 1 // but for the header
		more := 0
		if _, rest, cut := strings.Cut(out, "\nand "); cut {
			if _, err := fmt.Sscan(rest, &more); err != nil {
				t.Fatal(err)
			}
		}
		if rows+more != standing {
			t.Errorf("%d rows and %d more, of %d findings", rows, more, standing)
		}
	}
}

// What was not read must not crowd out the findings.
func TestMarkdownOfManyProblems(t *testing.T) {
	r := sampleResult()
	for range 1000 {
		r.Problems = append(r.Problems, finding.Problem{Location: finding.Location{File: strings.Repeat("|", 300)}, Message: strings.Repeat("*", 5000)})
		r.Unknown = append(r.Unknown, finding.Unmet{What: strings.Repeat("<", 5000)})
	}
	out := string(render(t, "md", r, Options{}))
	if err := parsesMarkdown([]byte(out)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out, "- and ") || !strings.Contains(out, "| **critical** |") {
		t.Errorf("the list is not cut, or there are no findings: %.300s", out)
	}
}
