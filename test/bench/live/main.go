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
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bulkhead.dev/bulkhead/test/bench/measure"
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
	if err := measure.Build(ctx, bulkhead); err != nil {
		return err
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
	scan := &measure.Program{Name: "bulkhead scan", Path: bulkhead,
		Args: []string{"scan", "--kubeconfig", o.kubeconfig, "--profile", o.profile, "--fail-on", "none", "-o", "json"}}
	audit, err := follow(filepath.Join(filepath.Dir(o.kubeconfig), "audit.log"))
	if err != nil {
		return nil, err
	}
	if err := scan.Run(ctx); err != nil { // the first run is not counted: it fills the API server's caches
		return nil, err
	}
	scan.Runs = nil
	lists, err := audit.lists()
	if err != nil {
		return nil, err
	}
	input := strings.Join(lists.paths, "\n")
	raw := &measure.Program{Name: "lists, not decoded", Path: self, Args: []string{"-only", "raw"}, Stdin: input}
	decoded := &measure.Program{Name: "lists, decoded and dropped", Path: self, Args: []string{"-only", "decoded"}, Stdin: input}
	for range o.runs {
		for _, p := range []*measure.Program{raw, decoded, scan} {
			if err := p.Run(ctx); err != nil {
				return nil, err
			}
		}
	}
	objects, err := strconv.Atoi(strings.TrimSpace(raw.Output))
	if err != nil {
		return nil, fmt.Errorf("the lister printed %q", raw.Output)
	}
	for _, p := range []*measure.Program{raw, decoded, scan} {
		m := p.Median()
		fmt.Printf("| %d | %d | %s | %.2f s | %.2f s | %.0f MB |\n", namespaces, objects, p.Name, m.Wall.Seconds(), m.CPU.Seconds(), float64(m.RSS)/1e6)
	}
	s, r, d := scan.Median(), raw.Median(), decoded.Median()
	return []string{
		fmt.Sprintf("%d objects of %d kinds: at most %d LIST a kind, %d pages in all", objects, len(lists.paths), lists.most, lists.pages),
		fmt.Sprintf("  memory above the client that decodes and drops: %.0f MB; %.1f KiB an object in all", float64(s.RSS-d.RSS)/1e6, float64(s.RSS)/1024/float64(objects)),
		fmt.Sprintf("  %.0f %% of the wall time is spent by the client that does not decode, too: the API server's own share", 100*r.Wall.Seconds()/s.Wall.Seconds()),
	}, nil
}
