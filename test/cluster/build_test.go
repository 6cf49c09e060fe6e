package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestEnsureOnce has two launchers build into one cache at once.
func TestEnsureOnce(t *testing.T) {
	t.Setenv("BULKHEAD_TEST_CACHE", t.TempDir())
	var builds atomic.Int32
	compile := func(_ context.Context, bin binary, out string) error {
		builds.Add(1)
		return os.WriteFile(out, []byte(bin.name), 0o755)
	}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			c, err := openCache(io.Discard)
			if err != nil {
				t.Error(err)
				return
			}
			c.compile = compile
			if err := c.ensure(t.Context(), components...); err != nil {
				t.Error(err)
			}
			if text, err := os.ReadFile(c.path(apiServer)); err != nil || string(text) != apiServer.name {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
	group.Wait()
	if got := int(builds.Load()); got != len(components) {
		t.Errorf("got %d builds, want %d", got, len(components))
	}
}

// TestEnsureAtomic breaks a build off: what it wrote is not taken for a binary.
func TestEnsureAtomic(t *testing.T) {
	t.Setenv("BULKHEAD_TEST_CACHE", t.TempDir())
	c, err := openCache(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken off")
	c.compile = func(_ context.Context, bin binary, out string) error {
		return errors.Join(os.WriteFile(out, []byte("half"), 0o755), broken)
	}
	if err := c.ensure(t.Context(), etcd); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if len(c.missing([]binary{etcd})) != 1 {
		t.Error("half a binary is in the cache")
	}
}

// TestVersionsAgree finds a go.mod in which only a part was moved to another version.
func TestVersionsAgree(t *testing.T) {
	kubernetes, err := required("k8s.io/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	staging := strings.Replace(kubernetes, "v1.", "v0.", 1)
	replaced := 0
	for line := range strings.Lines(goMod) {
		from, to, found := strings.Cut(strings.TrimSpace(line), " => ")
		if !found {
			continue
		}
		replaced++
		if to != from+" "+staging {
			t.Errorf("%s is replaced by %s, but k8s.io/kubernetes is %s", from, to, kubernetes)
		}
	}
	if replaced < 20 {
		t.Errorf("only %d modules are replaced", replaced)
	}
}

func TestShellQuote(t *testing.T) {
	for path, want := range map[string]string{
		"/tmp/a-b/kubeconfig": "/tmp/a-b/kubeconfig",
		"/tmp/a b":            "'/tmp/a b'",
		"/tmp/it's":           `'/tmp/it'\''s'`,
	} {
		if got := shellQuote(path); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
