package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A process is one running component.
type process struct {
	name string
	log  string // the file that its output goes to
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // what it ended with; read it after done
}

// startProcess starts a component in a process group of its own, so that a Ctrl-C in
// the terminal leaves the order of stopping to us.
func startProcess(name, path, log string, args []string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", name, err)
	}
	defer out.Close() // the child has its own descriptor
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = endWithParent(syscall.SIGKILL)
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, and kills it if it has not after the grace period.
func (p *process) stop(grace time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// A diedError is a component that ended by itself.
type diedError struct {
	name string
	err  error
	log  string // the end of it
}

func (e *diedError) Error() string {
	reason := "exit status 0"
	if e.err != nil {
		reason = e.err.Error()
	}
	return fmt.Sprintf("%s died (%s); --dir keeps its whole log, which ends in:\n%s", e.name, reason, e.log)
}

// portTaken tells whether another process was faster to take a port.
func (e *diedError) portTaken() bool {
	return strings.Contains(e.log, "address already in use")
}

// died describes a process that has ended.
func (p *process) died() *diedError {
	return &diedError{name: p.name, err: p.err, log: tail(p.log, 20)}
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	const most = 64 << 10
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err.Error()
	}
	start := max(0, info.Size()-most)
	text := make([]byte, info.Size()-start)
	n, err := file.ReadAt(text, start)
	if n == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return err.Error()
		}
		return "(empty)"
	}
	all := bytes.Split(bytes.TrimRight(text[:n], "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
