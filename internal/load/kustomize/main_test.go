package kustomize

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMain lets the test binary be the child process that Render starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Verb {
		if err := Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// renderDir builds in a real child process.
func renderDir(t *testing.T, dir string, o Options) (*Result, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Render(t.Context(), self, dir, o)
}

// files are a tree of kustomizations by path.
type files map[string]string

// write puts the tree on disk.
func (f files) write(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	for name, content := range f {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// inputs returns the folder of real manifests, and skips where there is none.
func inputs(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BULKHEAD_INPUTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "inputs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real inputs at %s; set BULKHEAD_INPUTS", dir)
	}
	return dir
}
