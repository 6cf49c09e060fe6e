package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The build takes the module files from the launcher itself, so that it works from any
// folder, and so that the cache key and what is built cannot differ.
var (
	//go:embed go.mod
	goMod string
	//go:embed go.sum
	goSum string
)

// A binary is a main package of one of the modules in go.mod.
type binary struct{ name, pkg string }

var (
	etcd              = binary{"etcd", "go.etcd.io/etcd/server/v3"}
	apiServer         = binary{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"}
	controllerManager = binary{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"}
	kubectl           = binary{"kubectl", "k8s.io/kubernetes/cmd/kubectl"}

	// components are what a cluster consists of.
	components = []binary{etcd, apiServer, controllerManager}
)

// A cache is the folder of the binaries of one set of versions.
type cache struct {
	dir     string
	log     io.Writer
	compile func(ctx context.Context, bin binary, out string) error
}

// openCache finds the folder for the versions in go.mod; it need not exist yet.
func openCache(log io.Writer) (*cache, error) {
	root := os.Getenv("BULKHEAD_TEST_CACHE")
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache folder: %w; set BULKHEAD_TEST_CACHE to a folder", err)
		}
		root = filepath.Join(user, "bulkhead", "test-cluster")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	key, err := cacheKey()
	if err != nil {
		return nil, err
	}
	c := &cache{dir: filepath.Join(root, key), log: log}
	c.compile = c.goBuild
	return c, nil
}

// cacheKey names all that decides what the binaries are.
func cacheKey() (string, error) {
	kubernetes, err := required("k8s.io/kubernetes")
	if err != nil {
		return "", err
	}
	etcd, err := required("go.etcd.io/etcd/server/v3")
	if err != nil {
		return "", err
	}
	goVersion := strings.ReplaceAll(runtime.Version(), " ", "-")
	recipe := strings.Join([]string{goMod, runtime.GOOS, runtime.GOARCH, ldflags(kubernetes)}, "\n")
	return fmt.Sprintf("%s-%s-%s-%.6x", kubernetes, etcd, goVersion, sha256.Sum256([]byte(recipe))), nil
}

// required returns the version of a module that go.mod requires.
func required(module string) (string, error) {
	for line := range strings.Lines(goMod) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == module && fields[1] != "=>" {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", module)
}

// ldflags strip the binaries and set what a Kubernetes release build sets from git,
// except for the commit, which a module does not know.
func ldflags(version string) string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, set := range []string{"gitVersion=" + version, "gitMajor=" + major, "gitMinor=" + minor, "gitCommit="} {
			flags = append(flags, "-X", pkg+"."+set)
		}
	}
	return strings.Join(flags, " ")
}

func (c *cache) path(bin binary) string { return filepath.Join(c.dir, bin.name) }

func (c *cache) missing(bins []binary) []binary {
	var missing []binary
	for _, bin := range bins {
		if _, err := os.Stat(c.path(bin)); err != nil {
			missing = append(missing, bin)
		}
	}
	return missing
}

// ensure builds the binaries that are not in the cache. Another process that wants the
// same waits for this one; a binary is in its place only when it is complete.
func (c *cache) ensure(ctx context.Context, bins ...binary) error {
	if len(c.missing(bins)) == 0 {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("create the cache folder: %w", err)
	}
	held, err := lock(ctx, filepath.Join(c.dir, "lock"), func() {
		fmt.Fprintf(c.log, "waiting for another build into %s\n", c.dir)
	})
	if err != nil {
		return err
	}
	defer held.Close()
	missing := c.missing(bins)
	if len(missing) > 0 {
		fmt.Fprintf(c.log, "building into %s; the first time takes minutes\n", c.dir)
	}
	for i, bin := range missing {
		fmt.Fprintf(c.log, "building %s (%d of %d)\n", bin.name, i+1, len(missing))
		start := time.Now()
		partial := c.path(bin) + ".partial" // ours alone: the lock is held
		if err := c.compile(ctx, bin, partial); err != nil {
			return errors.Join(fmt.Errorf("build %s: %w", bin.name, err), removeIfExists(partial))
		}
		if err := os.Rename(partial, c.path(bin)); err != nil {
			return fmt.Errorf("put %s in place: %w", bin.name, err)
		}
		fmt.Fprintf(c.log, "built %s in %s\n", bin.name, time.Since(start).Round(time.Second))
	}
	return nil
}

// goBuild compiles a binary in a folder that holds nothing but the module files.
func (c *cache) goBuild(ctx context.Context, bin binary, out string) error {
	version, err := required("k8s.io/kubernetes")
	if err != nil {
		return err
	}
	module := filepath.Join(c.dir, "module")
	if err := os.MkdirAll(module, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"go.mod": goMod, "go.sum": goSum} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags="+ldflags(version), "-o", out, bin.pkg)
	cmd.Dir = module
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.SysProcAttr = endWithParent(syscall.SIGTERM)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // lets go remove its temporary files
	cmd.WaitDelay = commandGrace
	return cmd.Run()
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
