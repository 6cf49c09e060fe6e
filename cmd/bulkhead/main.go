// Bulkhead assesses the security of Kubernetes clusters: it scans manifests,
// charts and kustomizations for what would let an attacker in, further or up.
//
// # Limitations
//
// It judges what is written and what it is given. What it cannot see is unknown,
// and said to be.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"bulkhead.dev/bulkhead/internal/cli"
)

// garbagePercent is how much garbage may pile up beside what is in use before it
// is collected. Half of Go's default: a scan holds one snapshot, and its peak
// falls by a quarter for a fifth more processor time. GOGC overrides it.
const garbagePercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	code := cli.Run(ctx, cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Self: self})
	stop()
	os.Exit(code)
}
