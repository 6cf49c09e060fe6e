// Package archive writes a snapshot to a file and reads it again: gzip around JSON
// lines, so that neither side holds more than one object beyond what it keeps.
//
//	{"apiVersion":"bulkhead.dev/v1","kind":"Snapshot","created":"...","source":"...","tool":"..."}
//	{"world":{"live":true,"unobserved":[{"kind":"Secret","reason":"forbidden"}]}}
//	{"object":{"apiVersion":"v1",...},"redacted":true,"verdicts":{"no-credentials-in-env":{"violations":[...]}}}
//	...
//	{"end":{"objects":1234}}
//
// A snapshot leaves the cluster that it was taken of, so no secret value is in it:
// see Redact. What controls said of values that are left out is recorded with the
// object instead.
package archive

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Kind is the kind of the first line of an archive.
const Kind = "Snapshot"

// Header says what was recorded, when and by what.
type Header struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Created    time.Time `json:"created"`
	// Source is the cluster, or the paths, as the user named them.
	Source string `json:"source"`
	Tool   string `json:"tool"`
	// Controls are those that judged the objects, each with its mark.
	Controls map[string]string `json:"controls"`
}

// Verdicts are those of one object by control, of what was left out of it.
type Verdicts = map[string]model.Recorded

// line is one line after the header; one of its fields is set.
type line struct {
	World  *world         `json:"world,omitempty"`
	Object map[string]any `json:"object,omitempty"`
	Notes
	End *end `json:"end,omitempty"`
}

type world struct {
	Root       string       `json:"root,omitempty"`
	Live       bool         `json:"live,omitempty"`
	Complete   bool         `json:"complete,omitempty"`
	Unobserved []unobserved `json:"unobserved,omitempty"`
}

type unobserved struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Reason    string `json:"reason"`
}

type end struct {
	Objects int `json:"objects"`
}

// Bounds of what is read. The API server takes objects of 3 MiB.
const (
	maxLine    = 16 << 20
	maxObjects = 5_000_000
	maxTotal   = 16 << 30
)

// Writer writes an archive, world by world.
type Writer struct {
	gzip    *gzip.Writer
	json    *json.Encoder
	objects int
}

// NewWriter begins an archive.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.APIVersion, h.Kind = finding.APIVersion, Kind
	z := gzip.NewWriter(w)
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		return nil, err
	}
	return &Writer{gzip: z, json: e}, nil
}

// World begins a world. Its objects follow.
func (w *Writer) World(of *model.World) error {
	out := world{Root: of.Root, Live: of.Live, Complete: of.Complete && !of.Live}
	for _, u := range of.Coverage() {
		out.Unobserved = append(out.Unobserved, unobserved{u.Group, u.Kind, u.Namespace, u.Reason})
	}
	return w.json.Encode(line{World: &out})
}

// Notes are what is recorded with an object; model.Record says what they mean.
type Notes struct {
	Redacted    bool     `json:"redacted,omitempty"`
	Represented bool     `json:"represented,omitempty"`
	Verdicts    Verdicts `json:"verdicts,omitempty"`
}

// Object writes one object of the world, as Redact leaves it.
func (w *Writer) Object(content map[string]any, n Notes) error {
	w.objects++
	return w.json.Encode(line{Object: content, Notes: n})
}

// Close ends the archive: without its last line it is known to be cut short.
func (w *Writer) Close() error {
	return errors.Join(w.json.Encode(line{End: &end{w.objects}}), w.gzip.Close())
}

// Archive is what was read.
type Archive struct {
	Header
	Worlds []World
}

// World is a world to be made of its objects.
type World struct {
	Options model.WorldOptions
	Objects []*model.Object
}

// Is reports whether a file that begins with data may be an archive: gzip, which
// no manifest is.
func Is(data []byte) bool { return len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b }

// Read reads an archive. An error says what is wrong with it; what stands before
// that place is returned as well.
func Read(r io.Reader) (*Archive, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("it is no snapshot: %w", err)
	}
	limited := &io.LimitedReader{R: z, N: maxTotal}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	a := &Archive{}
	if !lines.Scan() && lines.Err() != nil {
		return nil, fmt.Errorf("it is damaged: %w", lines.Err())
	}
	if json.Unmarshal(lines.Bytes(), &a.Header) != nil || a.Kind != Kind {
		return nil, errors.New("it is no snapshot: make one with bulkhead snapshot")
	}
	if a.APIVersion != finding.APIVersion {
		return nil, fmt.Errorf("it is a snapshot of version %q, and this program reads %s", a.APIVersion, finding.APIVersion)
	}
	objects := 0
	for n := 2; lines.Scan(); n++ {
		done, err := a.line(lines.Bytes(), &objects)
		if err != nil {
			if !lines.Scan() && lines.Err() != nil {
				break // the line is not whole
			}
			return a, fmt.Errorf("line %d: %w", n, err)
		}
		if done {
			return a, nil
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return a, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
	case limited.N <= 0:
		return a, fmt.Errorf("it holds more than %d GiB", maxTotal>>30)
	case err != nil:
		return a, fmt.Errorf("it is damaged: %w", err)
	}
	return a, errors.New("it is cut short: its last line is missing; take the snapshot again")
}

// line takes in one line, and reports whether it was the last.
func (a *Archive) line(data []byte, objects *int) (bool, error) {
	var l line
	if err := utiljson.Unmarshal(data, &l); err != nil {
		return false, fmt.Errorf("malformed JSON: %w", err)
	}
	switch {
	case l.End != nil:
		if l.End.Objects != *objects {
			return false, fmt.Errorf("%d objects were recorded, and %d are there", l.End.Objects, *objects)
		}
		return true, nil
	case l.World != nil:
		a.Worlds = append(a.Worlds, l.World.world(a.Controls))
		return false, nil
	case l.Object == nil || len(a.Worlds) == 0:
		return false, errors.New("it is neither a world nor an object of one")
	}
	if *objects++; *objects > maxObjects {
		return false, fmt.Errorf("it holds more than %d objects", maxObjects)
	}
	o, ok := model.NewObject(l.Object, nil, model.Source{})
	if !ok {
		return false, errors.New("an object has no apiVersion and kind")
	}
	w := &a.Worlds[len(a.Worlds)-1]
	w.Objects = append(w.Objects, o)
	if l.Redacted {
		w.Options.Record.Redacted[o] = true
	}
	if l.Represented {
		w.Options.Record.Represented[o] = true
	}
	if len(l.Verdicts) > 0 {
		w.Options.Record.Verdicts[o] = l.Verdicts
	}
	return false, nil
}

func (w *world) world(controls map[string]string) World {
	o := model.WorldOptions{Root: w.Root, Live: w.Live, Complete: w.Complete,
		Record: &model.Record{Controls: controls, Redacted: map[*model.Object]bool{}, Represented: map[*model.Object]bool{}, Verdicts: map[*model.Object]Verdicts{}}}
	for _, u := range w.Unobserved {
		o.Unobserved = append(o.Unobserved, model.Unobserved{GroupKind: model.GroupKind{Group: u.Group, Kind: u.Kind}, Namespace: u.Namespace, Reason: u.Reason})
	}
	return World{Options: o}
}
