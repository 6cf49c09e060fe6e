// Command bench measures whole scans: wall time and peak memory of this program
// beside a peer on the same input in the same run, and how both grow with the
// input. It prints the tables of docs/benchmarks.md.
//
//	go run ./test/bench                               # 7,000 objects, beside kube-score
//	go run ./test/bench -alone -namespaces 200,2858   # 7,000 and 100,030 objects
//	go run ./test/bench -alone -fix                   # bulkhead fix beside bulkhead scan
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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is what the scan is measured beside. It installs from the module proxy.
const (
	peer        = "kube-score"
	peerModule  = "github.com/zegl/kube-score/cmd/kube-score"
	peerVersion = "v1.20.0"
)

// fixed are controls that find 10,000 faults, with a fix each, in 7,000 objects.
const fixed = "seccomp-profile,no-token-automount,user-namespaces,no-service-links,dedicated-service-account"

func main() {
	var o options
	namespaces := flag.String("namespaces", "200", "copies of the shop, each in a namespace and a file of its own; several numbers say how time and memory grow")
	flag.IntVar(&o.runs, "runs", 5, "runs of each program; the median is printed")
	flag.BoolVar(&o.alone, "alone", false, "do not measure the peer")
	flag.BoolVar(&o.fix, "fix", false, "measure a fix too, which plans every change, proves it, and writes nothing")
	flag.StringVar(&o.manifest, "manifest", filepath.Join("..", "shared", "inputs", "online-boutique", "release", "kubernetes-manifests.yaml"), "manifest to multiply")
	flag.StringVar(&o.profile, "profile", "all", "profile of the scan")
	flag.Parse()
	for n := range strings.SplitSeq(*namespaces, ",") {
		copies, err := strconv.Atoi(n)
		if err != nil || copies < 1 {
			fmt.Fprintf(os.Stderr, "bench: -namespaces: %q is no number of copies\n", n)
			os.Exit(2)
		}
		o.namespaces = append(o.namespaces, copies)
	}
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	namespaces        []int
	runs              int
	alone, fix        bool
	manifest, profile string
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bulkhead := filepath.Join(dir, "bulkhead")
	if err := command(ctx, "go", "build", "-trimpath", "-o", bulkhead, "./cmd/bulkhead"); err != nil {
		return err
	}
	var all []*program
	for _, namespaces := range o.namespaces {
		input := filepath.Join(dir, strconv.Itoa(namespaces))
		objects, err := multiply(o.manifest, input, namespaces)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Printf("skipped: %s is not there\n", o.manifest)
			return nil
		}
		if err != nil {
			return err
		}
		all = append(all, &program{name: "bulkhead scan", path: bulkhead, objects: objects,
			args: []string{"scan", input, "--profile", o.profile, "--fail-on", "none", "-o", "json"}})
		if o.fix {
			all = append(all, &program{name: "bulkhead fix", path: bulkhead, objects: objects,
				args: []string{"fix", input, "--profile", o.profile, "--risky", "--generated", "--dry-run", "--control", fixed, "-o", "json"}})
		}
		if o.alone {
			continue
		}
		path, err := installPeer(ctx)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(input, "*.yaml"))
		if err != nil {
			return err
		}
		all = append(all, &program{name: peer + " " + peerVersion, path: path, objects: objects, args: append([]string{"score", "--output-format", "json"}, files...)})
	}
	// Runs alternate, so that what else the machine does hits all programs alike.
	for range o.runs {
		for _, p := range all {
			if err := p.measure(ctx); err != nil {
				return err
			}
		}
	}
	report(all)
	return nil
}

// report prints the medians, and each program's beside the first.
func report(all []*program) {
	first := all[0].median()
	fmt.Println("| program | objects | wall | peak memory | memory an object |\n|---|---|---|---|---|")
	for _, p := range all {
		m := p.median()
		fmt.Printf("| %s | %d | %.2f s | %.0f MB | %.1f KiB |\n", p.name, p.objects, m.wall.Seconds(), float64(m.rss)/1e6, float64(m.rss)/1024/float64(p.objects))
	}
	fmt.Println()
	for i, p := range all[1:] {
		m := p.median()
		switch {
		case p.objects == all[0].objects && p.path == all[0].path:
			fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", p.name, all[0].name, float64(m.wall)/float64(first.wall), float64(m.rss)/float64(first.rss))
		case p.objects == all[0].objects:
			fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", all[0].name, p.name, float64(first.wall)/float64(m.wall), float64(first.rss)/float64(m.rss))
		default:
			smaller := all[slices.IndexFunc(all, func(o *program) bool { return o.name == p.name })]
			few := smaller.median()
			fmt.Printf("%s: %.1f times the objects, %.1f times the wall time, %.1f times the memory\n", p.name, float64(p.objects)/float64(smaller.objects),
				float64(m.wall)/float64(few.wall), float64(m.rss)/float64(few.rss))
			if before := all[i].median(); all[i].objects == p.objects && all[i].path == p.path {
				fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", p.name, all[i].name, float64(m.wall)/float64(before.wall), float64(m.rss)/float64(before.rss))
			}
		}
	}
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

// program is a command with an input, and what its runs took.
type program struct {
	name, path string
	args       []string
	objects    int
	runs       []measurement
}

type measurement struct {
	wall time.Duration
	rss  int64 // bytes
}

// measure runs the program once. Exit codes that judge the input are no failure.
func (p *program) measure(ctx context.Context) error {
	c := exec.CommandContext(ctx, p.path, p.args...)
	// To a file, so that nobody waits for a reader.
	stdout, err := os.CreateTemp("", "bulkhead-bench-*.out")
	if err != nil {
		return err
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
		return fmt.Errorf("%s: %w\n%.2000s", p.name, err, stderr.String())
	}
	if info, err := stdout.Stat(); err != nil || info.Size() == 0 {
		return fmt.Errorf("%s printed nothing", p.name)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system tells no memory use")
	}
	p.runs = append(p.runs, measurement{wall, usage.Maxrss * 1024})
	return nil
}

// median takes the medians of both figures, each on its own.
func (p *program) median() measurement {
	walls, rss := make([]time.Duration, len(p.runs)), make([]int64, len(p.runs))
	for i, m := range p.runs {
		walls[i], rss[i] = m.wall, m.rss
	}
	slices.Sort(walls)
	slices.Sort(rss)
	return measurement{walls[len(walls)/2], rss[len(rss)/2]}
}
