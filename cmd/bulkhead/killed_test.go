package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKilled kills a fix in its midst, again and again: each file is then as it
// was or as it is to be, and never half of either.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	bulkhead, err := exec.LookPath("bulkhead")
	if err != nil {
		t.Fatal(err)
	}
	const files = 300
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p%d}\nspec:\n  containers:\n  - name: a\n    image: example.com/a:1\n" + strings.Repeat("# "+strings.Repeat("x", 100)+"\n", 50)
	fixed := strings.Replace(pod, "a:1\n", "a:1\n  enableServiceLinks: false\n", 1)
	killed, midway := 0, 0
	var whole time.Duration
	for round := range 10 {
		dir := t.TempDir()
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), fmt.Appendf(nil, pod, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c := exec.Command(bulkhead, "fix", dir, "--risky", "--control", "no-service-links")
		start := time.Now()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		switch {
		case round == 0: // it is let through, to see how long it takes
		case round%2 == 0:
			time.AfterFunc(whole*time.Duration(round+4)/20, func() { _ = c.Process.Kill() })
		default:
			go killWhenReplaced(c.Process, filepath.Join(dir, "0.yaml"), len(fixed)-1)
		}
		err := c.Wait()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == -1:
			killed++
		case err != nil:
			t.Fatal(err)
		case round == 0:
			whole = time.Since(start)
		}
		done := 0
		for i := range files {
			data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)))
			switch {
			case err != nil:
				t.Fatal(err)
			case string(data) == fmt.Sprintf(fixed, i):
				done++
			case string(data) != fmt.Sprintf(pod, i):
				t.Fatalf("after %s a file is neither as it was nor as it is to be:\n%s", time.Since(start), data)
			}
		}
		if done > 0 && done < files {
			midway++
		}
	}
	if killed < 3 || midway == 0 {
		t.Errorf("%d runs were killed, %d with some files replaced: too few to say anything", killed, midway)
	}
	t.Logf("%d runs were killed, %d of them with some files replaced", killed, midway)
}

// killWhenReplaced kills a process as soon as a file has its new size.
func killWhenReplaced(p *os.Process, file string, size int) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if info, err := os.Stat(file); err != nil || info.Size() == int64(size) {
			_ = p.Kill()
			return
		}
	}
}
