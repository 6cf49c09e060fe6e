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

	"bulkhead.dev/bulkhead/test/bench/measure"
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
	if err := measure.Build(ctx, bulkhead); err != nil {
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
		all = append(all, &program{objects: objects, Program: measure.Program{Name: "bulkhead scan", Path: bulkhead,
			Args: []string{"scan", input, "--profile", o.profile, "--fail-on", "none", "-o", "json"}}})
		if o.fix {
			all = append(all, &program{objects: objects, Program: measure.Program{Name: "bulkhead fix", Path: bulkhead,
				Args: []string{"fix", input, "--profile", o.profile, "--risky", "--generated", "--dry-run", "--control", fixed, "-o", "json"}}})
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
		all = append(all, &program{objects: objects, Program: measure.Program{Name: peer + " " + peerVersion, Path: path, Args: append([]string{"score", "--output-format", "json"}, files...)}})
	}
	// Runs alternate, so that what else the machine does hits all programs alike.
	for range o.runs {
		for _, p := range all {
			if err := p.Run(ctx); err != nil {
				return err
			}
		}
	}
	report(all)
	return nil
}

// report prints the medians, and each program's beside the first.
func report(all []*program) {
	first := all[0].Median()
	fmt.Println("| program | objects | wall | peak memory | memory an object |\n|---|---|---|---|---|")
	for _, p := range all {
		m := p.Median()
		fmt.Printf("| %s | %d | %.2f s | %.0f MB | %.1f KiB |\n", p.Name, p.objects, m.Wall.Seconds(), float64(m.RSS)/1e6, float64(m.RSS)/1024/float64(p.objects))
	}
	fmt.Println()
	for i, p := range all[1:] {
		m := p.Median()
		switch {
		case p.objects == all[0].objects && p.Path == all[0].Path:
			fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", p.Name, all[0].Name, float64(m.Wall)/float64(first.Wall), float64(m.RSS)/float64(first.RSS))
		case p.objects == all[0].objects:
			fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", all[0].Name, p.Name, float64(first.Wall)/float64(m.Wall), float64(first.RSS)/float64(m.RSS))
		default:
			smaller := all[slices.IndexFunc(all, func(o *program) bool { return o.Name == p.Name })]
			few := smaller.Median()
			fmt.Printf("%s: %.1f times the objects, %.1f times the wall time, %.1f times the memory\n", p.Name, float64(p.objects)/float64(smaller.objects),
				float64(m.Wall)/float64(few.Wall), float64(m.RSS)/float64(few.RSS))
			if before := all[i].Median(); all[i].objects == p.objects && all[i].Path == p.Path {
				fmt.Printf("%s / %s: %.2f of the wall time, %.2f of the memory\n", p.Name, all[i].Name, float64(m.Wall)/float64(before.Wall), float64(m.RSS)/float64(before.RSS))
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

// program is a command with an input of so many objects.
type program struct {
	measure.Program
	objects int
}
