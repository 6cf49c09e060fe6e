package files

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes files and returns a function that says what is in it.
func folder(t *testing.T, contents map[string]string) (dir string, now func() map[string]string) {
	dir = t.TempDir()
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() map[string]string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[e.Name()] = string(text)
		}
		return out
	}
}

func TestReplace(t *testing.T) {
	dir, now := folder(t, map[string]string{"a": "1", "b": "2"})
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	err := Replace(t.Context(), []File{{a, []byte("1"), []byte("one")}, {b, []byte("2"), nil}, {c, nil, []byte("three")}})
	if got := now(); err != nil || len(got) != 3 || got["a"] != "one" || got["b"] != "" || got["c"] != "three" {
		t.Fatal(err, got)
	}
	if info, err := os.Stat(a); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is now %v: %v", info.Mode(), err)
	}
}

// TestNone: whatever is wrong with one file, none is changed and nothing stays
// behind.
func TestNone(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string) File
		want  string
	}{
		{"changed meanwhile", func(_ *testing.T, dir string) File {
			return File{filepath.Join(dir, "b"), []byte("old"), []byte("new")}
		}, "changed since it was read"},
		{"read-only", func(t *testing.T, dir string) File {
			if err := os.Chmod(filepath.Join(dir, "b"), 0o444); err != nil {
				t.Fatal(err)
			}
			return File{filepath.Join(dir, "b"), []byte("2"), []byte("new")}
		}, "is read-only"},
		{"a link", func(t *testing.T, dir string) File {
			if err := os.Symlink(filepath.Join(dir, "b"), filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			return File{filepath.Join(dir, "link"), []byte("2"), []byte("new")}
		}, "is a symbolic link"},
		{"gone", func(_ *testing.T, dir string) File {
			return File{filepath.Join(dir, "gone"), []byte("2"), []byte("new")}
		}, "no such file"},
		{"there already", func(_ *testing.T, dir string) File { return File{filepath.Join(dir, "b"), nil, []byte("new")} }, "is there already"},
		{"no folder", func(_ *testing.T, dir string) File {
			return File{filepath.Join(dir, "none", "b"), nil, []byte("new")}
		}, "no such file"},
		{"a folder", func(_ *testing.T, dir string) File { return File{dir, []byte("2"), []byte("new")} }, "is no regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, now := folder(t, map[string]string{"a": "1", "b": "2"})
			bad := c.spoil(t, dir)
			before := now()
			err := Replace(t.Context(), []File{{filepath.Join(dir, "a"), []byte("1"), []byte("one")}, bad})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			after := now()
			if len(after) != len(before) || after["a"] != "1" || after["b"] != "2" {
				t.Errorf("before %v, after %v", before, after)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	dir, now := folder(t, map[string]string{"a": "1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Replace(ctx, []File{{filepath.Join(dir, "a"), []byte("1"), []byte("one")}}); err == nil {
		t.Error("no error")
	}
	if got := now(); len(got) != 1 || got["a"] != "1" {
		t.Error(got)
	}
}

// TestRestore: what was replaced before a rename failed is put back.
func TestRestore(t *testing.T) {
	dir, now := folder(t, map[string]string{"a": "one", "b": "new"})
	if err := restore([]File{{filepath.Join(dir, "a"), []byte("1"), []byte("one")}, {filepath.Join(dir, "b"), nil, []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if got := now(); len(got) != 1 || got["a"] != "1" {
		t.Error(got)
	}
}
