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
	"syscall"

	"bulkhead.dev/bulkhead/internal/cli"
)

func main() {
	more := func() {}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		spendMemory()
		more = moreMemory
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	code := cli.Run(ctx, cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Self: self, Name: os.Args[0], MoreMemory: more})
	stop()
	os.Exit(code)
}
