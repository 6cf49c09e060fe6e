package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// commandGrace is how long a command has after SIGTERM before it is killed.
const commandGrace = 10 * time.Second

// command runs argv with additions to the environment until it ends or ctx does. It
// returns an exitError if the command ran and failed; for a signal the code is the
// shell's, 128 and the signal.
func (l launcher) command(ctx context.Context, dir string, argv []string, env ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = l.stdin, l.stdout, l.stderr
	cmd.Env = append(cmd.Environ(), env...)
	cmd.SysProcAttr = endWithParent(syscall.SIGTERM)
	// A group of its own lets us end its children too (go test's test binaries), but
	// would cut an interactive command off from the terminal.
	cmd.SysProcAttr.Setpgid = !hasTerminal()
	target := func() int {
		if cmd.SysProcAttr.Setpgid {
			return -cmd.Process.Pid
		}
		return cmd.Process.Pid
	}
	cmd.Cancel = func() error { return syscall.Kill(target(), syscall.SIGTERM) }
	cmd.WaitDelay = commandGrace

	err := cmd.Run()
	if cmd.Process != nil && cmd.SysProcAttr.Setpgid {
		_ = syscall.Kill(target(), syscall.SIGKILL) // what the command left behind; mostly nothing
	}
	if state := cmd.ProcessState; state != nil && !state.Success() {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitError{128 + int(status.Signal())}
		}
		return exitError{state.ExitCode()}
	}
	if err != nil && (cmd.ProcessState == nil || !errors.Is(err, ctx.Err())) {
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}

// hasTerminal tells whether there is a controlling terminal.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// shellQuote quotes a path for a POSIX shell, where that is needed.
func shellQuote(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%"
	if path != "" && strings.Trim(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
