package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// printable makes everything visible that a terminal, a log viewer or a reader
// would act on or be deceived by: control characters (escape sequences, line
// breaks), invisible and bidirectional formatting characters, unusual spaces.
// They become \x1b, \n or \u202e. Bytes that are not UTF-8 become U+FFFD.
func printable(s string) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

func isPrintable(s string) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return true
	}
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// columns is the number of terminal cells that a printable string takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns follows Unicode UAX #11: wide and fullwidth characters take two
// cells; marks combine with the character before them.
func runeColumns(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut splits s after at most n cells, never inside a character or before its
// marks, and takes at least one character, so that a loop over it ends.
func cut(s string, n int) (head, tail string) {
	used := 0
	for i, r := range s {
		used += runeColumns(r)
		if used > n && i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// truncate shortens s to n cells; an ellipsis stands for what is left out.
func truncate(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	head, _ := cut(s, n-1)
	if columns(head) >= n {
		head = "" // one wide character
	}
	return strings.TrimRight(head, " ") + "…"
}

// wrap breaks s between words into lines of at most n cells. A word that is
// longer than a line is broken inside.
func wrap(s string, n int) []string {
	n = max(n, 1)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		size := columns(word)
		if line != "" && used+1+size > n {
			lines = append(lines, line)
			line, used = "", 0
		}
		for size > n {
			var head string
			head, word = cut(word, n)
			lines = append(lines, head)
			size -= columns(head)
		}
		if line != "" && word != "" {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+size
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// wrapAtMost is wrap for at most limit lines; an ellipsis stands for the rest.
func wrapAtMost(s string, n, limit int) []string {
	lines := wrap(truncate(s, n*limit), n)
	if len(lines) > limit {
		lines = lines[:limit]
		lines[limit-1] = truncate(lines[limit-1]+" …", n)
	}
	return lines
}

// pad fills s with spaces to n cells.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// clip shortens s to n bytes, on a character's boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// count is "1 object", "2 objects".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
