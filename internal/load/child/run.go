package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Limits are what one child process may cost. All of them must be positive.
type Limits struct {
	// Timeout is the wall-clock time from start to answer.
	Timeout time.Duration `json:"timeout"`
	// MemoryBytes is what the child may hold in memory.
	MemoryBytes int64 `json:"memoryBytes"`
	// OutputBytes is the size of the response as JSON.
	OutputBytes int64 `json:"outputBytes"`
}

// What stopped a child; [Run]'s errors wrap one of these with the limit's value.
var (
	ErrTimeout = errors.New("took longer than allowed")
	ErrMemory  = errors.New("needed more memory than allowed")
	ErrOutput  = errors.New("produced more output than allowed")
	// ErrCrashed is a child that ended without an answer.
	ErrCrashed = errors.New("ended without an answer")
)

// Exit codes by which the child says what stopped it; the Go runtime uses 2.
const (
	exitMemory  = 90
	exitTimeout = 91
)

// stderrBytes is how much of the child's standard error is kept: the first
// lines of a crash say why.
const stderrBytes = 8 << 10

type envelope struct {
	Limits  Limits          `json:"limits"`
	Request json.RawMessage `json:"request"`
}

type answer struct {
	Response json.RawMessage `json:"response,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Run starts self with the one argument verb, hands it request and decodes its
// answer into response. An error that the work itself returned keeps its text.
// Where ctx ends first, Run returns its cause.
func Run(ctx context.Context, self, verb string, limits Limits, request, response any) error {
	raw, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the request for %s: %w", verb, err)
	}
	input, err := json.Marshal(envelope{Limits: limits, Request: raw})
	if err != nil {
		return fmt.Errorf("encode the request for %s: %w", verb, err)
	}

	limited, stop := context.WithTimeoutCause(ctx, limits.Timeout, fmt.Errorf("%w (%s)", ErrTimeout, limits.Timeout))
	defer stop()
	limited, fail := context.WithCancelCause(limited)
	defer fail(nil)

	stdout := &output{limit: limits.OutputBytes, full: func() {
		fail(fmt.Errorf("%w (%d MiB)", ErrOutput, limits.OutputBytes>>20))
	}}
	stderr := &head{limit: stderrBytes}
	cmd := exec.CommandContext(limited, self, verb)
	cmd.Env = environment()
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stdout = stdout
	cmd.Stderr = stderr
	// Where a grandchild held the pipes open, Wait would not return otherwise.
	cmd.WaitDelay = time.Second
	ownGroup(cmd)

	err = cmd.Run()
	if cause := context.Cause(limited); cause != nil {
		return cause
	}
	if err != nil {
		return explain(err, stderr.String(), limits)
	}
	return decode(stdout.buffer.Bytes(), verb, response)
}

func decode(data []byte, verb string, response any) error {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("%w: read the answer of %s: %w", ErrCrashed, verb, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if err := json.Unmarshal(a.Response, response); err != nil {
		return fmt.Errorf("%w: read the answer of %s: %w", ErrCrashed, verb, err)
	}
	return nil
}

// explain turns the way a child ended into one of the package's errors.
func explain(err error, stderr string, limits Limits) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("start the child process: %w", err)
	}
	switch {
	case exit.ExitCode() == exitMemory, outOfMemory(stderr):
		return fmt.Errorf("%w (%d MiB)", ErrMemory, limits.MemoryBytes>>20)
	case exit.ExitCode() == exitTimeout:
		return fmt.Errorf("%w (%s)", ErrTimeout, limits.Timeout)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	if first == "" {
		first = exit.String()
	}
	return fmt.Errorf("%w: %s", ErrCrashed, first)
}

// outOfMemory reports whether a crash is the Go runtime's own report that the
// system, that is RLIMIT_AS, refused it memory, or that a recursion had no end.
func outOfMemory(stderr string) bool {
	for _, s := range []string{"out of memory", "cannot allocate memory", "stack exceeds", "failed to create new OS thread"} {
		if strings.Contains(stderr, s) {
			return true
		}
	}
	return false
}

// environment is all that the child sees: a fixed time zone and locale, so that
// two machines render alike.
func environment() []string {
	env := []string{"TZ=UTC", "LC_ALL=C"}
	if runtime.GOOS == "windows" { // nothing starts without it
		env = append(env, "SYSTEMROOT="+os.Getenv("SYSTEMROOT"))
	}
	return env
}

// output collects up to limit bytes and then calls full.
type output struct {
	buffer bytes.Buffer
	limit  int64
	full   func()
}

func (o *output) Write(p []byte) (int, error) {
	if int64(o.buffer.Len()+len(p)) > o.limit {
		o.full()
		return 0, ErrOutput
	}
	return o.buffer.Write(p)
}

// head keeps the first limit bytes and drops the rest.
type head struct {
	strings.Builder
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); room > 0 {
		h.Builder.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
