//go:build unix && !linux

package main

import (
	"context"
	"syscall"
)

// endWithParent does nothing: only Linux can tie a child to its parent.
func endWithParent(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// watchGoRun does nothing: how we were started is known on Linux only.
func watchGoRun(context.Context, func()) {}
