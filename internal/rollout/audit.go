package rollout

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Recorded is what an audit log says of requests that policies found fault with.
type Recorded struct {
	// Requests counts them by namespace, empty for what is in none, and control.
	Requests map[string]map[string]int
	// Skipped counts lines that are no audit events, or are too long.
	Skipped int
}

// failureAnnotation is the annotation in which the API server records, with the action
// Audit, what policies found: a list in JSON.
const failureAnnotation = "validation.policy.admission.k8s.io/validation_failure"

// maxEvent is how long a line of an audit log may be. An event at the level
// RequestResponse holds an object twice, of at most 1.5 MiB as it is stored.
const maxEvent = 16 << 20

// ReadAudit counts, in an audit log of the API server (one event a line, in JSON), the
// requests that the policies of the state found fault with, whatever became of them.
func (s *State) ReadAudit(ctx context.Context, log io.Reader) (*Recorded, error) {
	controls := map[string]string{}
	for _, p := range s.Policies {
		if !p.Mutating() {
			controls[p.Object.GetName()] = p.Control
		}
	}
	out := &Recorded{Requests: map[string]map[string]int{}}
	r := bufio.NewReaderSize(log, 64<<10)
	for ctx.Err() == nil {
		line, tooLong, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		if tooLong || len(bytes.TrimSpace(line)) > 0 && !s.count(line, controls, out) {
			out.Skipped++
		}
		if err != nil {
			return out, ctx.Err()
		}
	}
	return nil, ctx.Err()
}

// readLine reads a line and keeps no more of it than an event may have.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxEvent {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// count counts one event. It reports whether the line is one.
func (s *State) count(line []byte, controls map[string]string, out *Recorded) bool {
	// Nearly all lines are of no concern, and a JSON string may not hold that name in
	// any other way than an annotation's key does, but escaped.
	if !bytes.Contains(line, []byte(failureAnnotation)) {
		return bytes.HasPrefix(bytes.TrimSpace(line), []byte("{"))
	}
	var event struct {
		Stage     string `json:"stage"`
		ObjectRef struct {
			Resource, Namespace, Name string
		} `json:"objectRef"`
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(line, &event) != nil {
		return false
	}
	var failures []struct {
		Policy string `json:"policy"`
	}
	value := event.Annotations[failureAnnotation]
	if value == "" || event.Stage != "ResponseComplete" {
		return true
	}
	if json.Unmarshal([]byte(value), &failures) != nil {
		return false
	}
	namespace := event.ObjectRef.Namespace
	if namespace == "" && event.ObjectRef.Resource == "namespaces" {
		namespace = event.ObjectRef.Name
	}
	if namespace != "" && s.Namespaces[namespace] == nil {
		return true // it is gone
	}
	seen := map[string]bool{}
	for _, f := range failures {
		control, ours := controls[f.Policy]
		if !ours || seen[control] {
			continue
		}
		seen[control] = true
		if out.Requests[namespace] == nil {
			out.Requests[namespace] = map[string]int{}
		}
		out.Requests[namespace][control]++
	}
	return true
}
