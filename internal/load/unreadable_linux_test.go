package load

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
)

// TestUnreadable: a file and a folder that may not be read are said, and the rest
// is read. Root may read everything, so the thread gives up that right.
func TestUnreadable(t *testing.T) {
	dir := tree(t, map[string]string{"ok.yaml": named("ok"), "secret.yaml": named("secret"), "closed/in.yaml": named("in")})
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, filepath.Join(dir, "secret.yaml"): 0, filepath.Join(dir, "closed"): 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Join(dir, "closed"), 0o755)
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // never unlocked: the thread ends with the test
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	found := discover([]string{dir}, nil)
	if len(found.problems) != 1 || filepath.Base(found.problems[0].Location.File) != "closed" || !strings.Contains(found.problems[0].Message, "permission denied") {
		t.Errorf("the closed folder: %+v", found.problems)
	}
	r := &reader{}
	for _, s := range found.files {
		f := r.decode(manifest.NewDecoder(), s)
		secret := filepath.Base(s.path) == "secret.yaml"
		if secret != (len(f.Problems) == 1 && strings.Contains(f.Problems[0].Message, "permission denied")) || secret == (len(f.Objects) == 1) {
			t.Errorf("%s: %d objects, problems %v", s.path, len(f.Objects), f.Problems)
		}
	}
	if len(found.files) != 2 {
		t.Errorf("found %v", found.files)
	}
}
