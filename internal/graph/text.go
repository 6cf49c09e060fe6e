package graph

import "unicode"

// textWidth is about how wide a line of text is in the fonts of a browser's
// sans-serif, in pixels; rather too wide than too narrow. Nothing is measured: which
// font it will be is not known here.
func textWidth(s string, size float64) float64 {
	em := 0.0
	for _, r := range s {
		em += runeWidth(r)
	}
	return em * size
}

func runeWidth(r rune) float64 {
	switch {
	case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		return 0
	case r >= 0x1100 && !unicode.Is(unicode.Latin, r): // East Asian and emoji, and some that are narrower
		return 1.05
	}
	switch r {
	case 'i', 'j', 'l', '.', ',', ':', ';', '\'', '|', '!', '/', '\\', 't', 'f', 'r', ' ', '(', ')', '[', ']':
		return .42
	case 'm', 'w', 'M', 'W', '@', '%', '…':
		return 1
	}
	if unicode.IsUpper(r) {
		return .78
	}
	return .66
}

// shorten leaves out the middle of a text that is wider than width: the ends of names
// are what tells them apart.
func shorten(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	runes := []rune(s)
	room := width/size - runeWidth('…')
	head, tail := 0, len(runes)
	for head < tail {
		if room -= runeWidth(runes[head]); room < 0 {
			break
		}
		if head++; head == tail {
			break
		}
		if room -= runeWidth(runes[tail-1]); room < 0 {
			break
		}
		tail--
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}
