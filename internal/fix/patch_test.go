package fix

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPatchAgainstGit has git apply the patches of random changes.
func TestPatchAgainstGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	r := rand.New(rand.NewPCG(1, 2))
	some := func() string {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString([]string{"a: 1", "b: 2", "", "  - c", "# é", "x\r", "-- y", "+++ z"}[r.IntN(8)])
			b.WriteString("\n")
		}
		return strings.TrimRight(b.String(), strings.Repeat("\n", r.IntN(2)))
	}
	for range 60 {
		dir := t.TempDir()
		before, after := []byte(some()), []byte(some())
		if len(after) == 0 {
			continue // git would delete the file
		}
		file := filepath.Join(dir, "in", "a b.yaml")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if len(before) == 0 {
			before = nil
		} else if err := os.WriteFile(file, before, 0o644); err != nil {
			t.Fatal(err)
		}
		patch := Patch("in/a b.yaml", before, after)
		if patch == "" {
			continue
		}
		git := exec.Command("git", "apply", "--unsafe-paths", "--directory="+dir, "-")
		git.Dir, git.Stdin = dir, strings.NewReader(patch)
		git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, patch)
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != string(after) {
			t.Fatalf("%v\n%q\nwant %q\n%s", err, got, after, patch)
		}
	}
}
