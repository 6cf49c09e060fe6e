package child

import (
	"strings"
	"unicode"
)

// messageBytes is where a message is cut: Helm quotes whole templates.
const messageBytes = 600

// OneLine makes what a renderer says fit for one line of a terminal.
func OneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > messageBytes {
		text = strings.ToValidUTF8(text[:messageBytes], "") + "..."
	}
	return text
}
