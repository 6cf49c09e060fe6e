package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// graceAfterTimeout is how long after its deadline a child whose parent did not
// kill it, because the parent itself is gone, ends itself.
const graceAfterTimeout = time.Second

// watchEvery is how often the child compares its memory with its limit.
const watchEvery = 5 * time.Millisecond

// softShare of the memory limit is where the garbage collector starts to work
// harder, so that garbage alone does not reach the limit.
const softShare = 0.75

// Serve reads one request from in, works on it and writes the answer to out.
// It bounds the whole process, and ends it with an exit code of its own where
// a limit is reached: call it from a process that does nothing else. The
// returned error concerns in and out; an error of work goes into the answer,
// and so does its panic.
func Serve[Request, Response any](
	ctx context.Context, in io.Reader, out io.Writer,
	work func(context.Context, Request) (Response, error),
) error {
	var e envelope
	if err := json.NewDecoder(in).Decode(&e); err != nil {
		return fmt.Errorf("read the request: %w (this command is run by bulkhead itself)", err)
	}
	var request Request
	if err := json.Unmarshal(e.Request, &request); err != nil {
		return fmt.Errorf("read the request: %w (this command is run by bulkhead itself)", err)
	}
	if err := bound(e.Limits); err != nil {
		return err
	}
	var a answer
	response, err := guard(ctx, request, work)
	if err != nil {
		a.Error = err.Error()
	} else if a.Response, err = json.Marshal(response); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// guard turns a panic of the libraries on odd input into an error.
func guard[Request, Response any](
	ctx context.Context, request Request, work func(context.Context, Request) (Response, error),
) (response Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("was stopped by a fault of the library: %v", r)
		}
	}()
	return work(ctx, request)
}

// bound puts the limits on this process.
func bound(l Limits) error {
	if l.Timeout <= 0 || l.MemoryBytes <= 0 || l.OutputBytes <= 0 {
		return errors.New("read the request: a limit is missing")
	}
	http.DefaultTransport = noNetwork{}
	http.DefaultClient.Transport = noNetwork{}
	debug.SetMemoryLimit(int64(float64(l.MemoryBytes) * softShare))
	if err := limitAddressSpace(l.MemoryBytes); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	time.AfterFunc(l.Timeout+graceAfterTimeout, func() { os.Exit(exitTimeout) })
	go watchMemory(l.MemoryBytes)
	return nil
}

// watchMemory ends the process when it holds more than limit bytes. What is on
// the heap may be garbage, so a collection has the last word: what it marked is
// in use.
func watchMemory(limit int64) {
	sample := []metrics.Sample{
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	for range time.Tick(watchEvery) {
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()+sample[1].Value.Uint64()) <= limit {
			continue
		}
		runtime.GC()
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()+sample[2].Value.Uint64()) > limit {
			os.Exit(exitMemory)
		}
	}
}

// noNetwork refuses every request of the libraries in the child.
type noNetwork struct{}

func (noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("nothing is fetched while rendering: %s %s refused", r.Method, r.URL.Redacted())
}
