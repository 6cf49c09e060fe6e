package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// endWithParent has the kernel send sig to the child when we are gone, whatever ended
// us. The kernel watches the thread that forked; Go ends a thread only with a goroutine
// that is locked to it, and none here is.
func endWithParent(sig syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: sig}
}

// watchGoRun calls stop when the go run that started us is gone: go run passes no
// signal on, so that a SIGTERM or SIGKILL for it would leave us running. Started in
// any other way, we outlive our parent as any program does.
func watchGoRun(ctx context.Context, stop func()) {
	parent := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(comm)) != "go" {
		return
	}
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	stop()
}
