//go:build unix

package child_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/load/child"
)

const verb = "do-work"

type request struct {
	Task string
	Arg  string
}

// TestMain lets the test binary be the child: with the verb as its argument it
// serves one request.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == verb {
		if err := child.Serve(context.Background(), os.Stdin, os.Stdout, work); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var sink [][]byte

func work(_ context.Context, r request) (string, error) {
	switch r.Task {
	case "echo":
		return r.Arg, nil
	case "environment":
		return strings.Join(os.Environ(), "\n"), nil
	case "fail":
		return "", errors.New(r.Arg)
	case "panic":
		panic(r.Arg)
	case "crash":
		fmt.Fprintln(os.Stderr, r.Arg)
		os.Exit(3)
	case "spin":
		for {
		}
	case "spawn": // a grandchild that holds the pipes and outlives its parent
		cmd := exec.Command(r.Arg, "300")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			return "", err
		}
		if err := os.WriteFile(os.TempDir()+"/"+strconv.Itoa(os.Getppid())+".grandchild", []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
			return "", err
		}
		for {
		}
	case "grow":
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			sink = append(sink, b)
		}
	case "leap": // far more at once than a watch could see coming
		sink = append(sink, make([]byte, 1<<40))
	case "garbage": // much in sum, little at once
		for range 1 << 16 {
			sink = [][]byte{make([]byte, 16<<10)}
		}
		return "done", nil
	case "flood":
		return strings.Repeat("x", 2<<20), nil
	case "fetch":
		if _, err := http.Get(r.Arg); err != nil {
			return "", err
		}
		return "fetched", nil
	}
	return "", fmt.Errorf("no task %q", r.Task)
}

func limits() child.Limits {
	return child.Limits{Timeout: 20 * time.Second, MemoryBytes: 128 << 20, OutputBytes: 1 << 20}
}

func run(t *testing.T, r request, l child.Limits) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var response string
	err = child.Run(t.Context(), self, verb, l, r, &response)
	return response, err
}

func TestRunAnswers(t *testing.T) {
	got, err := run(t, request{Task: "echo", Arg: "größe \x1b"}, limits())
	if err != nil || got != "größe \x1b" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRunKeepsTheTextOfErrors(t *testing.T) {
	for task, want := range map[string]string{"fail": "no such thing", "panic": "was stopped by a fault of the library: no such thing"} {
		_, err := run(t, request{Task: task, Arg: "no such thing"}, limits())
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %q", task, err, want)
		}
	}
}

func TestRunStopsWhatCostsTooMuch(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("RLIMIT_AS is relied on under Linux only")
	}
	for _, tt := range []struct {
		task    string
		timeout time.Duration
		want    error
	}{
		{"spin", 500 * time.Millisecond, child.ErrTimeout},
		{"grow", 20 * time.Second, child.ErrMemory},
		{"leap", 20 * time.Second, child.ErrMemory},
		{"flood", 20 * time.Second, child.ErrOutput},
		{"crash", 20 * time.Second, child.ErrCrashed},
	} {
		t.Run(tt.task, func(t *testing.T) {
			l := limits()
			l.Timeout = tt.timeout
			start := time.Now()
			_, err := run(t, request{Task: tt.task, Arg: "gone"}, l)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestRunDoesNotCountGarbage(t *testing.T) {
	got, err := run(t, request{Task: "garbage"}, limits())
	if err != nil || got != "done" {
		t.Errorf("1 GiB of garbage under a limit of 128 MiB: got %q, %v", got, err)
	}
}

func TestRunSaysWhyTheChildCrashed(t *testing.T) {
	_, err := run(t, request{Task: "crash", Arg: "disk on fire"}, limits())
	if err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var response string
	err = child.Run(ctx, self, verb, limits(), request{Task: "spin"}, &response)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, child.ErrTimeout) {
		t.Errorf("got %v, want the context's own error", err)
	}
}

func TestRunKillsTheProcessGroup(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep")
	}
	note := filepath.Join(os.TempDir(), strconv.Itoa(os.Getpid())+".grandchild")
	defer os.Remove(note)
	l := limits()
	l.Timeout = time.Second
	if _, err := run(t, request{Task: "spawn", Arg: sleep}, l); !errors.Is(err, child.ErrTimeout) {
		t.Fatalf("got %v", err)
	}
	data, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if !running(pid) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("the grandchild %d still runs", pid)
}

// running reports whether pid is a process that is not a zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestChildSeesNoEnvironment(t *testing.T) {
	for _, name := range []string{"KUBECONFIG", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "hunter2")
	}
	got, err := run(t, request{Task: "environment"}, limits())
	if err != nil {
		t.Fatal(err)
	}
	if got != "TZ=UTC\nLC_ALL=C" {
		t.Errorf("the child sees %q", got)
	}
}

func TestChildFetchesNothing(t *testing.T) {
	_, err := run(t, request{Task: "fetch", Arg: "http://user:hunter2@127.0.0.1:9/x"}, limits())
	if err == nil || !strings.Contains(err.Error(), "nothing is fetched") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestRunNeedsAnExecutable(t *testing.T) {
	var response string
	err := child.Run(t.Context(), filepath.Join(t.TempDir(), "missing"), verb, limits(), request{}, &response)
	if err == nil || !strings.Contains(err.Error(), "start the child process") {
		t.Errorf("got %v", err)
	}
}

func TestServeRefusesWhatIsNotARequest(t *testing.T) {
	for _, in := range []string{"", "[]", "{}", `{"request":3}`, `{"request":{"Task":"echo"}}`} {
		err := child.Serve(t.Context(), strings.NewReader(in), io.Discard, work)
		if err == nil {
			t.Errorf("%q was served", in)
		}
	}
}
