package report

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""}, {"plain text, 100% = ok", "plain text, 100% = ok"}, {"ünï 漢字 👩", "ünï 漢字 👩"}, {"e\u0301", "e\u0301"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`}, {"\u009b31m", `\x9b31m`}, {"\x00\x07\x7f", `\x00\x07\x7f`},
		{"a\nb\r\nc\td", `a\nb\r\nc\td`}, {"\u202egnp", `\u202egnp`}, {"a\u200bb", `a\u200bb`}, {"\ufeffbom", `\ufeffbom`},
		{"\u00a0", `\xa0`}, {"\U000e0041", `\U000e0041`}, {"\xff\xfe", "\ufffd\ufffd"}, {"ok \xc3(", "ok \ufffd("}, {`C:\x1b`, `C:\x1b`},
	} {
		if got := printable(tc.in); got != tc.want {
			t.Errorf("%q becomes %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestColumns(t *testing.T) {
	for _, tc := range []struct {
		s string
		n int
	}{
		{"", 0}, {"abc", 3}, {"ünï", 3}, {"e\u0301", 1}, {"漢字", 4}, {"ｆｕｌｌ", 8}, {"ﾊﾝ", 2}, {"👩", 2}, {"한국", 4}, {"a\u20ddb", 2}, {"…", 1}, {"\ufffd", 1},
	} {
		if got := columns(tc.s); got != tc.n {
			t.Errorf("%q takes %d cells, want %d", tc.s, got, tc.n)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		s    string
		n    int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two three", 20, []string{"one two three"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 3, []string{"one", "two", "thr", "ee"}},
		{"a overlongword b", 6, []string{"a", "overlo", "ngword", "b"}},
		{"漢字漢字", 3, []string{"漢", "字", "漢", "字"}},
		{"漢", 1, []string{"漢"}},
		{"e\u0301e\u0301", 1, []string{"e\u0301", "e\u0301"}},
		{"x", 0, []string{"x"}},
	} {
		if got := wrap(tc.s, tc.n); !slices.Equal(got, tc.want) {
			t.Errorf("%q in %d: %q, want %q", tc.s, tc.n, got, tc.want)
		}
	}
}

// Whatever the text: no line is too long, and nothing but spaces is lost.
func TestWrapRandom(t *testing.T) {
	alphabet := []rune("ab -/. 漢e\u0301ü👩\ufffd")
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := make([]rune, random.IntN(60))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		s, n := string(text), 2+random.IntN(20)
		lines := wrap(s, n)
		for _, l := range lines {
			if columns(l) > n {
				t.Fatalf("%q in %d: the line %q takes %d", s, n, l, columns(l))
			}
		}
		if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(s, " ", ""); got != want {
			t.Fatalf("%q in %d: %q is left", s, n, lines)
		}
		limit := 1 + random.IntN(3)
		few := wrapAtMost(s, n, limit)
		if len(few) > limit {
			t.Fatalf("%q in %d: %d lines, at most %d", s, n, len(few), limit)
		}
		if cut := len(few) < len(lines) || few[len(few)-1] != lines[len(few)-1]; cut && !strings.HasSuffix(few[len(few)-1], "…") {
			t.Fatalf("%q in %d, %d lines: %q is cut and does not say so", s, n, limit, few)
		}
		for _, l := range few {
			if columns(l) > n {
				t.Fatalf("%q in %d: the line %q takes %d", s, n, l, columns(l))
			}
		}
	}
}

// A word of a million letters must not take the square of that.
func TestWrapLongWord(t *testing.T) {
	start := time.Now()
	if lines := wrap(strings.Repeat("漢", 1_000_000), 20); len(lines) != 100_000 {
		t.Errorf("%d lines", len(lines))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestClip(t *testing.T) {
	for n := 3; n < 12; n++ {
		got := clip("ab漢字cd", n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Errorf("clipped to %d: %q", n, got)
		}
	}
	if got := clip("short", 5); got != "short" {
		t.Errorf("%q", got)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range hostileStrings {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := printable(s)
		if i := strings.IndexFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !utf8.ValidString(p) {
			t.Errorf("%q becomes %q, which is not printable", s, p)
		}
		if printable(p) != p {
			t.Errorf("%q: escaped twice", s)
		}
		for _, n := range []int{1, 7} {
			for _, line := range wrap(p, n) {
				if columns(line) > max(n, 2) {
					t.Errorf("%q in %d: %q", s, n, line)
				}
			}
		}
	})
}
