package text

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/finding"
)

// inputs are files that people keep, where this checkout has them beside it.
func inputs(t testing.TB) map[string]string {
	root := filepath.FromSlash("../../../../shared/inputs")
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Skipf("no real manifests beside the checkout: %v", err)
	}
	return files
}

// TestInputs edits random fields of real manifests, one at a time. The oracle
// must agree, and nothing may change but lines at the edit.
func TestInputs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	made, files := 0, 0
	refused := map[string]int{}
	for path, file := range inputs(t) {
		all := chunks(file)
		readable := 0
		for range max(2, 25-len(file)/2000) {
			d := r.IntN(len(all))
			var root yaml.Node
			v, err := decodeOld(all[d].text)
			if err != nil || yaml.Unmarshal([]byte(all[d].text), &root) != nil || root.Kind == 0 {
				continue // a template, or a document that holds nothing
			}
			if m, ok := v.(map[string]any); !ok || len(m) == 0 {
				continue
			}
			readable = 1
			c := chooser{randomBytes(r, 32)}
			change := Change{Line: root.Content[0].Line + all[d].line, Column: root.Content[0].Column}
			for change.Edits == nil {
				if e := c.edit(v); e.Path != "" && !strings.Contains(e.Path, "<<") {
					change.Edits = []finding.Edit{e}
				} else {
					c.data = randomBytes(r, 32)
				}
			}
			if err := check(t, file, []Change{change}, []int{d})[0]; err != nil {
				refused[fmt.Sprintf("%v\n\t%s: %v", err, path, change)]++
				continue
			}
			made++
			checkLines(t, path, file, change)
		}
		files += readable
	}
	total := 0
	for why, n := range refused {
		total += n
		t.Logf("refused: %s", why)
	}
	t.Logf("%d edits made in %d files, %d refused", made, files, total)
	if total*100 > made {
		t.Errorf("more than one edit in a hundred was refused")
	}
}

// checkLines makes sure that all lines that go, and all between them, are lines
// of the value that the edit is about, or the one of its parent where that was or
// becomes empty.
func checkLines(t *testing.T, path, file string, change Change) {
	t.Helper()
	edited, _, _ := Edit([]byte(file), []Change{change})
	before, after := strings.SplitAfter(file, "\n"), strings.SplitAfter(string(edited), "\n")
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	gone, come := before[same:], after[same:]
	for len(gone) > 0 && len(come) > 0 && gone[len(gone)-1] == come[len(come)-1] {
		gone, come = gone[:len(gone)-1], come[:len(come)-1]
	}
	limit := linesOf(file, change)
	switch change.Edits[0].Op {
	case "add":
		limit = max(limit, 1)
	case "remove":
		limit++
	}
	lines := 0
	for _, line := range gone {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines++ // a comment in their midst stays
		}
	}
	if lines > limit {
		t.Errorf("%s: %v changed %d lines, at most %d wanted:\n-%s\n+%s", path, change, len(gone), limit, gone, come)
	}
}

// linesOf is how many lines the key and the value take up that an edit removes or
// replaces: 0 where there is none yet.
func linesOf(file string, change Change) int {
	for _, c := range chunks(file) {
		var root yaml.Node
		if change.Line <= c.line || change.Line > c.line+strings.Count(c.text, "\n")+1 || yaml.Unmarshal([]byte(c.text), &root) != nil {
			continue
		}
		n, lines := root.Content[0], strings.Count(c.text, "\n")+1
		next := lines + 1
		steps, err := finding.SplitPointer(change.Edits[0].Path)
		if err != nil {
			return 0
		}
		for _, s := range steps {
			found := false
			for i := 0; i < len(n.Content) && !found; i++ {
				at := n.Content[i]
				following := i + 1
				child := at
				if n.Kind == yaml.MappingNode {
					following = i + 2
					child = n.Content[i+1]
				}
				if n.Kind == yaml.MappingNode && at.Value == s || n.Kind == yaml.SequenceNode && fmt.Sprint(i) == s {
					found = true
					if following < len(n.Content) {
						next = n.Content[following].Line
					}
					lines = max(next-at.Line, 1)
					n = child
				}
				if n.Kind == yaml.MappingNode {
					i++
				}
			}
			if !found {
				return 0
			}
		}
		return lines
	}
	return 0
}
