package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk replaces files on a disk that has no room for the second.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, f := range []string{a, b} {
		if err := os.WriteFile(f, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := Replace(t.Context(), []File{{a, []byte("old"), []byte("new")}, {b, []byte("old"), make([]byte, 1<<20)}})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v, want one that says that the disk is full", err)
	}
	for _, f := range []string{a, b} {
		if text, err := os.ReadFile(f); err != nil || string(text) != "old" {
			t.Errorf("%s: %q, %v", f, text, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d files are left, want 2: %v", len(entries), err)
	}
}
