//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the child lead a process group, and cancelling kill it all.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
