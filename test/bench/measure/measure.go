// Package measure runs programs and says what they took.
package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Program is a command with an input, and what its runs took.
type Program struct {
	Name, Path string
	Args       []string
	Stdin      string
	// Output is the beginning of what the last run printed.
	Output string
	Runs   []Run
}

// Run is what one run took.
type Run struct {
	Wall, CPU time.Duration
	RSS       int64 // the most memory at once, in bytes
}

// maxOutput is how much of the output is kept, in bytes.
const maxOutput = 1000

// Run runs the program once. Exit code 1, which judges the input, is no failure.
//
// What starts a program counts into its memory on Linux: run it from a small process.
func (p *Program) Run(ctx context.Context) error {
	c := exec.CommandContext(ctx, p.Path, p.Args...)
	stdout, err := os.CreateTemp("", "bulkhead-bench-*.out") // to a file, so that nobody waits for a reader
	if err != nil {
		return err
	}
	defer os.Remove(stdout.Name())
	defer stdout.Close()
	var stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(p.Stdin), stdout, &stderr
	start := time.Now()
	err = c.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return fmt.Errorf("%s: %w\n%.2000s", p.Name, err, stderr.String())
	}
	output, err := io.ReadAll(io.NewSectionReader(stdout, 0, maxOutput))
	if err != nil {
		return err
	}
	if p.Output = string(output); p.Output == "" {
		return fmt.Errorf("%s printed nothing", p.Name)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system tells no memory use")
	}
	p.Runs = append(p.Runs, Run{wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), usage.Maxrss * 1024})
	return nil
}

// Median takes the medians of the figures, each on its own.
func (p *Program) Median() Run {
	var walls, cpus []time.Duration
	var rss []int64
	for _, r := range p.Runs {
		walls, cpus, rss = append(walls, r.Wall), append(cpus, r.CPU), append(rss, r.RSS)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	slices.Sort(rss)
	return Run{walls[len(walls)/2], cpus[len(cpus)/2], rss[len(rss)/2]}
}

// Build builds bulkhead, as it is in the working folder, at a path.
func Build(ctx context.Context, path string) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./cmd/bulkhead").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}
