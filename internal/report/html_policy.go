package report

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// PagePolicy is the Content-Security-Policy of a page that loads nothing: hashes of its
// style and scripts as CSP level 3 wants them, and Trusted Types so that no script can make
// markup from text. Images are what a page has in itself.
func PagePolicy(style string, scripts ...string) string {
	allowed := "script-src"
	for _, s := range scripts {
		allowed += " " + hashSource(s)
	}
	return strings.Join([]string{
		"default-src 'none'",
		allowed,
		"style-src " + hashSource(style),
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

func hashSource(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
