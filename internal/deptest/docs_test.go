package deptest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan = regexp.MustCompile("`([A-Za-z0-9_.]+(?:/[A-Za-z0-9_.-]+)+)`")
	link     = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// TestDocumentsNameWhatExists checks every path and relative link in the
// documents about the code.
func TestDocumentsNameWhatExists(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, document := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"} {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, m := range codeSpan.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "internal/") || strings.HasPrefix(m[1], "cmd/") || strings.HasPrefix(m[1], "test/") || strings.HasPrefix(m[1], "docs/") || strings.HasPrefix(m[1], "examples/") {
				paths = append(paths, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, m[1])
		}
		if len(paths) == 0 {
			t.Errorf("%s names no path: has its form changed?", document)
		}
		for _, p := range paths {
			if strings.Contains(p, "no-example") {
				continue // what the reader is told to make
			}
			if _, err := os.Stat(filepath.Join(root, p)); err != nil {
				t.Errorf("%s names %s, which does not exist", document, p)
			}
		}
	}
}
