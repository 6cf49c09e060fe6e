package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want string // in the output
	}{
		{"help", 0, "usage:"},
		{"start -h", 0, "usage:"},
		{"", 2, "a command is missing"},
		{"stop", 2, `unknown command "stop"`},
		{"build now", 2, "build takes no arguments"},
		{"start --chdir .", 2, "flag provided but not defined: -chdir"},
		{"start --load no/such/file", 2, "no such file"},
		{"exec --chdir ..", 2, "exec needs a command"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var out bytes.Buffer
			code := run(t.Context(), nil, &out, &out, strings.Fields(test.args))
			if code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("got %d, want %d; output %q, want %q in it", code, test.code, out.String(), test.want)
			}
		})
	}
}

// TestExec runs a command that looks at what it was given, and fails.
func TestExec(t *testing.T) {
	builtCache(t)
	var out, log bytes.Buffer
	code := run(t.Context(), nil, &out, &log, []string{"exec", "--chdir", "..", "--", "sh", "-c",
		`pwd; test "$KUBECONFIG" = "$BULKHEAD_TEST_KUBECONFIG" && echo "$KUBECONFIG"; grep -c client-key-data "$KUBECONFIG"; exit 7`})
	if code != 7 {
		t.Errorf("got exit code %d, want 7; %s", code, log.String())
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(out.String())
	if len(lines) != 3 || lines[0] != filepath.Dir(here) || lines[2] != "1" {
		t.Fatalf("got output %q", out.String())
	}
	if _, err := os.Stat(filepath.Dir(lines[1])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is left: %v", err)
	}
}

// TestSignals ends the launcher while the cluster runs: gently, and not so.
func TestSignals(t *testing.T) {
	builtCache(t)
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		want   int // the exit code
	}{
		{"SIGTERM", syscall.SIGTERM, 0},
		{"SIGKILL", syscall.SIGKILL, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.signal == syscall.SIGKILL && runtime.GOOS != "linux" {
				t.Skip("only Linux ties processes to their parent")
			}
			dir := t.TempDir()
			cmd := startLauncher(t, dir)
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != test.want {
				t.Errorf("got exit code %d (%v), want %d", code, err, test.want)
			}
			noProcesses(t, dir)
		})
	}
}

// TestComponentDies kills a component: the launcher says which, and ends.
func TestComponentDies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the component in /proc")
	}
	builtCache(t)
	dir := t.TempDir()
	cmd := startLauncher(t, dir)
	victim := 0
	for _, id := range processesOf(t, dir) {
		if comm, err := os.ReadFile("/proc/" + id + "/comm"); err == nil && string(comm) == "kube-controller\n" {
			victim, _ = strconv.Atoi(id)
		}
	}
	if victim == 0 {
		t.Fatal("no kube-controller-manager found")
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	said := cmd.Stderr.(*bytes.Buffer).String()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, "kube-controller-manager died (signal: killed)") {
		t.Errorf("got exit code %d and %q", cmd.ProcessState.ExitCode(), said)
	}
	noProcesses(t, dir)
}

// startLauncher runs the launcher as a process and waits for its cluster.
func startLauncher(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, "start", "--dir", dir)
	cmd.Env = append(os.Environ(), asLauncher+"=1")
	cmd.Stderr = &bytes.Buffer{}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "kubeconfig: "+filepath.Join(dir, "kubeconfig")+"\n" {
		_ = cmd.Wait()
		t.Fatalf("got %q (%v) and %s", line, err, cmd.Stderr)
	}
	return cmd
}

// noProcesses checks that the cluster's processes end, which those of a launcher that
// was killed do a moment later.
func noProcesses(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(processesOf(t, dir)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v are left", processesOf(t, dir))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.file("audit.log"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(dir); err == nil || !strings.Contains(err.Error(), "another cluster runs in") {
		t.Errorf("a folder in use: got %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.file("audit.log")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a former cluster's log: got %v", err)
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}

	foreign := t.TempDir()
	precious := filepath.Join(foreign, "logs")
	if err := os.Mkdir(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(foreign); err == nil || !strings.Contains(err.Error(), "not a test cluster's") {
		t.Errorf("a folder of somebody else's: got %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct{ text, want string }{
		{"", "(empty)"},
		{"a\n", "a"},
		{"a\nb\nc\n", "b\nc"},
		{strings.Repeat("x", 70<<10) + "\nb\nc", "b\nc"},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tail(path, 2); got != test.want {
			t.Errorf("got %.20q, want %q", got, test.want)
		}
	}
}
