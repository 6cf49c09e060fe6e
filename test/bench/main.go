// Command bench measures whole scans: wall time and peak memory of this program
// beside a peer on the same input in the same run, and how both grow with the
// input. It prints the tables of docs/benchmarks.md.
//
//	go run ./test/bench                    # 7,000 objects, beside kube-score
//	go run ./test/bench -namespaces 2858   # 100,000 objects
//
// The input is made from the release manifest of Online Boutique, one file for
// each namespace.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// peer is what the scan is measured beside. It installs from the module proxy.
const (
	peer        = "kube-score"
	peerModule  = "github.com/zegl/kube-score/cmd/kube-score"
	peerVersion = "v1.20.0"
)

func main() {
	var o options
	flag.IntVar(&o.namespaces, "namespaces", 200, "copies of the shop, each in a namespace and a file of its own")
	flag.IntVar(&o.runs, "runs", 5, "runs of each program; the median is printed")
	flag.BoolVar(&o.alone, "alone", false, "do not measure the peer")
	flag.StringVar(&o.manifest, "manifest", filepath.Join("..", "shared", "inputs", "online-boutique", "release", "kubernetes-manifests.yaml"), "manifest to multiply")
	flag.StringVar(&o.profile, "profile", "all", "profile of the scan")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	namespaces, runs  int
	alone             bool
	manifest, profile string
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	input := filepath.Join(dir, "input")
	objects, err := multiply(o.manifest, input, o.namespaces)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Printf("skipped: %s is not there\n", o.manifest)
		return nil
	}
	if err != nil {
		return err
	}
	bulkhead := filepath.Join(dir, "bulkhead")
	if err := command(ctx, "go", "build", "-trimpath", "-o", bulkhead, "./cmd/bulkhead"); err != nil {
		return err
	}
	programs := []program{{"bulkhead scan", bulkhead, []string{"scan", input, "--profile", o.profile, "--fail-on", "none", "-o", "json"}}}
	if !o.alone {
		path, err := installPeer(ctx)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(input, "*.yaml"))
		if err != nil {
			return err
		}
		programs = append(programs, program{peer + " " + peerVersion, path, append([]string{"score", "--output-format", "json"}, files...)})
	}
	fmt.Printf("%d objects in %d files\n\n| program | wall | peak memory | memory an object |\n|---|---|---|---|\n", objects, o.namespaces)
	// Runs alternate, so that what else the machine does hits all programs alike.
	measured := make([][]measurement, len(programs))
	for range o.runs {
		for i, p := range programs {
			m, err := measure(ctx, p)
			if err != nil {
				return err
			}
			measured[i] = append(measured[i], m)
		}
	}
	medians := make([]measurement, len(programs))
	for i, p := range programs {
		m := median(measured[i])
		medians[i] = m
		fmt.Printf("| %s | %.2f s | %.0f MB | %.1f KiB |\n", p.name, m.wall.Seconds(), float64(m.rss)/1e6, float64(m.rss)/1024/float64(objects))
	}
	if len(medians) == 2 {
		fmt.Printf("\n%s / %s: %.2f of the wall time, %.2f of the memory\n", programs[0].name, programs[1].name,
			float64(medians[0].wall)/float64(medians[1].wall), float64(medians[0].rss)/float64(medians[1].rss))
	}
	return nil
}

var namespaceLine = regexp.MustCompile(`(?m)^metadata:\n  name: `)

// multiply writes n copies of a manifest, each with a namespace of its own.
func multiply(manifest, dir string, n int) (objects int, err error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	each := len(regexp.MustCompile(`(?m)^kind: `).FindAll(text, -1))
	for i := range n {
		namespace := fmt.Sprintf("shop-%05d", i)
		copied := namespaceLine.ReplaceAll(text, fmt.Appendf(nil, "metadata:\n  namespace: %s\n  name: ", namespace))
		if err := os.WriteFile(filepath.Join(dir, namespace+".yaml"), copied, 0o644); err != nil {
			return 0, err
		}
	}
	return each * n, nil
}

// installPeer builds the peer once into the user's cache.
func installPeer(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "bulkhead", "bench", peer+"-"+peerVersion)
	path := filepath.Join(bin, peer)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	c := exec.CommandContext(ctx, "go", "install", peerModule+"@"+peerVersion)
	c.Env = append(os.Environ(), "GOBIN="+bin)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install %s: %w\n%s", peerModule, err, out)
	}
	return path, nil
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

type program struct {
	name, path string
	args       []string
}

type measurement struct {
	wall time.Duration
	rss  int64 // bytes
}

// measure runs a program once. Exit codes that judge the input are no failure.
func measure(ctx context.Context, p program) (measurement, error) {
	c := exec.CommandContext(ctx, p.path, p.args...)
	// To a file, so that nobody waits for a reader.
	stdout, err := os.CreateTemp("", "bulkhead-bench-*.out")
	if err != nil {
		return measurement{}, err
	}
	defer os.Remove(stdout.Name())
	defer stdout.Close()
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = stdout, &stderr
	start := time.Now()
	err = c.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		return measurement{}, fmt.Errorf("%s: %w\n%.2000s", p.name, err, stderr.String())
	}
	if info, err := stdout.Stat(); err != nil || info.Size() == 0 {
		return measurement{}, fmt.Errorf("%s printed nothing", p.name)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return measurement{}, errors.New("this system tells no memory use")
	}
	return measurement{wall, usage.Maxrss * 1024}, nil
}

// median takes the medians of both figures, each on its own.
func median(ms []measurement) measurement {
	walls, rss := make([]time.Duration, len(ms)), make([]int64, len(ms))
	for i, m := range ms {
		walls[i], rss[i] = m.wall, m.rss
	}
	slices.Sort(walls)
	slices.Sort(rss)
	return measurement{walls[len(walls)/2], rss[len(rss)/2]}
}
