// Command live measures a scan of a large cluster, made on a real API server, beside
// clients that list the same and keep nothing. It prints the table of
// docs/benchmarks.md.
//
//	go -C test/cluster run . exec --chdir ../.. -- go run ./test/bench/live
//	go -C test/cluster run . exec --chdir ../.. -- go run ./test/bench/live -namespaces 50,500
//
// The controllers make ReplicaSets and pods of the Deployments; as there is neither a
// scheduler nor a kubelet, this program binds the pods and writes their status. What a
// scan lists is read from the API server's audit log, which says how often each kind
// was listed, too.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	var o options
	namespaces := flag.String("namespaces", "500", "namespaces to fill, each with 4 Deployments of 5 pods; several numbers, from the smallest, say how time and memory grow")
	flag.IntVar(&o.runs, "runs", 3, "runs of each program; the median is printed")
	flag.StringVar(&o.profile, "profile", "all", "profile of the scan")
	part := flag.String("only", "", "do a part of the work: fill the cluster; or list what standard input names and keep nothing, raw or decoded")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := o.connect(*namespaces)
	switch {
	case err != nil:
	case *part == "fill":
		err = fill(ctx, o.config, o.namespaces[len(o.namespaces)-1])
	case *part != "":
		err = listAll(ctx, o.config, *part == "decoded", os.Stdin)
	default:
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	namespaces []int
	runs       int
	profile    string
	kubeconfig string
	config     *rest.Config
}

func (o *options) connect(namespaces string) error {
	for n := range strings.SplitSeq(namespaces, ",") {
		number, err := strconv.Atoi(n)
		if err != nil || number < 1 || len(o.namespaces) > 0 && number <= o.namespaces[len(o.namespaces)-1] {
			return fmt.Errorf("-namespaces: %q is no number of namespaces that grows", n)
		}
		o.namespaces = append(o.namespaces, number)
	}
	o.kubeconfig = os.Getenv("BULKHEAD_TEST_KUBECONFIG")
	if o.kubeconfig == "" {
		return errors.New("BULKHEAD_TEST_KUBECONFIG is not set: run it with a cluster of its own, as its help says")
	}
	var err error
	if o.config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
		return err
	}
	o.config.QPS, o.config.Burst = 5000, 5000
	o.config.WarningHandler = rest.NoWarnings{}
	return nil
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bulkhead := filepath.Join(dir, "bulkhead")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bulkhead, "./cmd/bulkhead").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println("| namespaces | objects | program | wall | CPU | peak memory |\n|---|---|---|---|---|---|")
	var summaries []string
	for _, n := range o.namespaces {
		// A process of its own fills the cluster: what a process starts counts the
		// memory that it had itself as its own.
		c := exec.CommandContext(ctx, self, "-only", "fill", "-namespaces", strconv.Itoa(n))
		c.Stderr = os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("fill the cluster: %w", err)
		}
		lines, err := o.measure(ctx, self, bulkhead, n)
		if err != nil {
			return err
		}
		summaries = append(summaries, lines...)
	}
	fmt.Println()
	fmt.Println(strings.Join(summaries, "\n"))
	return nil
}

// measure scans the cluster, and lists it without keeping anything.
func (o *options) measure(ctx context.Context, self, bulkhead string, namespaces int) ([]string, error) {
	scan := &program{name: "bulkhead scan", path: bulkhead,
		args: []string{"scan", "--kubeconfig", o.kubeconfig, "--profile", o.profile, "--fail-on", "none", "-o", "json"}}
	audit, err := follow(filepath.Join(filepath.Dir(o.kubeconfig), "audit.log"))
	if err != nil {
		return nil, err
	}
	if err := scan.run(ctx); err != nil { // the first run is not counted: it fills the API server's caches
		return nil, err
	}
	scan.runs = nil
	lists, err := audit.lists()
	if err != nil {
		return nil, err
	}
	input := strings.Join(lists.paths, "\n")
	raw := &program{name: "lists, not decoded", path: self, args: []string{"-only", "raw"}, stdin: input}
	decoded := &program{name: "lists, decoded and dropped", path: self, args: []string{"-only", "decoded"}, stdin: input}
	for range o.runs {
		for _, p := range []*program{raw, decoded, scan} {
			if err := p.run(ctx); err != nil {
				return nil, err
			}
		}
	}
	objects, err := strconv.Atoi(strings.TrimSpace(raw.output))
	if err != nil {
		return nil, fmt.Errorf("the lister printed %q", raw.output)
	}
	for _, p := range []*program{raw, decoded, scan} {
		m := p.median()
		fmt.Printf("| %d | %d | %s | %.2f s | %.2f s | %.0f MB |\n", namespaces, objects, p.name, m.wall.Seconds(), m.cpu.Seconds(), float64(m.rss)/1e6)
	}
	s, r, d := scan.median(), raw.median(), decoded.median()
	return []string{
		fmt.Sprintf("%d objects of %d kinds: at most %d LIST a kind, %d pages in all", objects, len(lists.paths), lists.most, lists.pages),
		fmt.Sprintf("  memory above the client that decodes and drops: %.0f MB; %.1f KiB an object in all", float64(s.rss-d.rss)/1e6, float64(s.rss)/1024/float64(objects)),
		fmt.Sprintf("  %.0f %% of the wall time is spent by the client that does not decode, too: the API server's own share", 100*r.wall.Seconds()/s.wall.Seconds()),
	}, nil
}

// program is a command, and what its runs took.
type program struct {
	name, path    string
	args          []string
	stdin, output string
	runs          []measurement
}

type measurement struct {
	wall, cpu time.Duration
	rss       int64 // bytes
}

// run runs the program once. Exit codes that judge the cluster are no failure.
func (p *program) run(ctx context.Context) error {
	c := exec.CommandContext(ctx, p.path, p.args...)
	stdout, err := os.CreateTemp("", "bulkhead-bench-*.out") // to a file, so that nobody waits for a reader
	if err != nil {
		return err
	}
	defer os.Remove(stdout.Name())
	defer stdout.Close()
	var stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(p.stdin), stdout, &stderr
	start := time.Now()
	err = c.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return fmt.Errorf("%s: %w\n%.2000s", p.name, err, stderr.String())
	}
	start1k := make([]byte, 1000)
	n, err := stdout.ReadAt(start1k, 0)
	if n == 0 {
		return fmt.Errorf("%s printed nothing: %w", p.name, err)
	}
	p.output = string(start1k[:n])
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system tells no memory use")
	}
	p.runs = append(p.runs, measurement{wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), usage.Maxrss * 1024})
	return nil
}

// median takes the medians of the figures, each on its own.
func (p *program) median() measurement {
	var walls, cpus []time.Duration
	var rss []int64
	for _, m := range p.runs {
		walls, cpus, rss = append(walls, m.wall), append(cpus, m.cpu), append(rss, m.rss)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	slices.Sort(rss)
	return measurement{walls[len(walls)/2], cpus[len(cpus)/2], rss[len(rss)/2]}
}
