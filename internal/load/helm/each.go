package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// Rendering is what a chart comes to with some of its values changed.
type Rendering struct {
	// Documents are sorted by Template; their lines are not known. Equal contents
	// of several renderings are one and the same slice.
	Documents []Document
	// Err is why this rendering failed, as of [Render].
	Err error
}

// The time that [RenderEach] may take, as a multiple of the limit for a single
// rendering: one more for so many renderings, up to a maximum.
const (
	eachPerTimeout  = 10
	eachMostTimeout = 10
)

// slow is how much longer than the chart as it is one rendering may take, and
// slowFrom is what it may take at least.
const (
	slow     = 20
	slowFrom = 2 * time.Second
)

// RenderEach renders the chart at path once for each of overrides, which are
// merged over the values of the options as one more values file would be: null
// deletes. The chart is read once, by one child process; another is started
// where a rendering breaks a limit, for those behind it. The result has a
// rendering for each override. An error means that there is none at all.
//
// All renderings together may take ten times the time limit and write as much
// as one.
func RenderEach(ctx context.Context, self, path string, o Options, overrides []map[string]any) ([]Rendering, error) {
	r, err := newRequest(path, o)
	if err != nil {
		return nil, err
	}
	e := &each{request: r, self: self, out: make([]Rendering, len(overrides)), left: r.Options.Limits.OutputBytes}
	for _, override := range overrides {
		raw, err := json.Marshal(override)
		if err != nil {
			return nil, fmt.Errorf("render the chart %s with other values: %w", path, err)
		}
		e.overrides = append(e.overrides, raw)
	}
	most := r.Options.Limits.Timeout * time.Duration(min(eachMostTimeout, 1+len(overrides)/eachPerTimeout))
	e.deadline = time.Now().Add(most)
	e.late = fmt.Errorf("%w (%s for %d renderings)", child.ErrTimeout, most, len(overrides))
	if err := e.renderRange(ctx, 0, len(overrides)); err != nil {
		return nil, err
	}
	return e.out, nil
}

// each is one call of RenderEach.
type each struct {
	request   request
	self      string
	overrides []json.RawMessage
	out       []Rendering
	deadline  time.Time
	late      error
	// left is how many bytes may still be rendered.
	left int64
}

// renderRange renders the overrides of [from, to).
func (e *each) renderRange(ctx context.Context, from, to int) error {
	for from < to {
		left := time.Until(e.deadline)
		if left <= 0 || e.left <= 0 {
			e.fail(from, to, e.exhausted(left))
			return ctx.Err()
		}
		r := e.request
		r.Each, r.EachBytes = e.overrides[from:to], e.left
		answer, err := r.ask(ctx, e.self, left)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("render the chart %s: %w", r.Path, err)
		case err != nil && to-from > 1 && !errors.Is(err, child.ErrTimeout):
			// One of them crashed the child, and it is not known which.
			middle := from + (to-from)/2
			if err := e.renderRange(ctx, from, middle); err != nil {
				return err
			}
			from = middle
			continue
		case err != nil:
			e.fail(from, to, limitError(ctx, r.Path, err))
			return nil
		case answer.Error != nil:
			_, err := answer.result()
			return err
		}
		done, size, err := answer.Each.into(e.out[from:to], r.Path)
		if err != nil {
			return err
		}
		from, e.left = from+done, e.left-size
		if errors.Is(e.out[from-1].Err, errTotal) {
			e.left = 0
		}
	}
	return nil
}

func (e *each) exhausted(left time.Duration) error {
	if left <= 0 {
		return e.late
	}
	return fmt.Errorf("%w (%d MiB)", errTotal, e.request.Options.Limits.OutputBytes>>20)
}

// errTotal is where all renderings of one call write more than one may.
var errTotal = fmt.Errorf("%w in all", child.ErrOutput)

func (e *each) fail(from, to int, err error) {
	for i := from; i < to; i++ {
		e.out[i].Err = err
	}
}

// wireEach is the child's answer to a request for several renderings: of as
// many as it came to.
type wireEach struct {
	// Contents are all that was rendered, each once.
	Contents   [][]byte        `json:"contents"`
	Documents  []wireShared    `json:"documents"`
	Renderings []wireRendering `json:"renderings"`
}

// wireShared is a document that several renderings may have.
type wireShared struct {
	Template   string `json:"template"`
	SourceFile string `json:"sourceFile,omitempty"`
	Content    int    `json:"content"`
}

type wireRendering struct {
	Documents []int  `json:"documents,omitempty"`
	Error     *Error `json:"error,omitempty"`
	Library   bool   `json:"library,omitempty"`
	// TooSlow and TooLarge say that a limit was reached.
	TooSlow  bool `json:"tooSlow,omitempty"`
	TooLarge bool `json:"tooLarge,omitempty"`
}

// into takes the answer apart and returns how many renderings it has, and of
// how many bytes.
func (w *wireEach) into(out []Rendering, path string) (done int, size int64, err error) {
	if w == nil || len(w.Renderings) == 0 || len(w.Renderings) > len(out) {
		return 0, 0, errors.New("render a chart: the child process sent no renderings")
	}
	documents := make([]Document, len(w.Documents))
	for i, d := range w.Documents {
		if d.Content < 0 || d.Content >= len(w.Contents) {
			return 0, 0, errors.New("render a chart: the child process sent a document without content")
		}
		documents[i] = Document{Template: d.Template, SourceFile: d.SourceFile, Content: w.Contents[d.Content]}
	}
	for _, content := range w.Contents {
		size += int64(len(content))
	}
	for i, r := range w.Renderings {
		out[i].Err = r.err(path)
		for _, d := range r.Documents {
			if d < 0 || d >= len(documents) {
				return 0, 0, errors.New("render a chart: the child process sent a rendering without its documents")
			}
			out[i].Documents = append(out[i].Documents, documents[d])
		}
	}
	return len(w.Renderings), size, nil
}

func (r wireRendering) err(path string) error {
	switch {
	case r.TooSlow:
		return &Error{Chart: path, Message: "rendering " + child.ErrTimeout.Error(), err: child.ErrTimeout}
	case r.TooLarge:
		return &Error{Chart: path, Message: "rendering " + errTotal.Error(), err: errTotal}
	case r.Error == nil:
		return nil
	case r.Library:
		r.Error.err = ErrLibrary
	}
	return r.Error
}

// collector gathers renderings for the way to the parent.
type collector struct {
	wireEach
	contents  map[string]int
	documents map[wireShared]int
	left      int64
}

// add adds a rendering and reports whether there is room for more.
func (c *collector) add(documents []Document, err error) (room bool, fault error) {
	var e *Error
	switch {
	case errors.As(err, &e):
		c.Renderings = append(c.Renderings, wireRendering{Error: e, Library: errors.Is(err, ErrLibrary)})
		return true, nil
	case err != nil:
		return false, err
	}
	var r wireRendering
	for _, d := range documents {
		content, ok := c.contents[string(d.Content)]
		if !ok {
			if c.left -= int64(len(d.Content)); c.left < 0 {
				c.Renderings = append(c.Renderings, wireRendering{TooLarge: true})
				return false, nil
			}
			content = len(c.Contents)
			c.contents[string(d.Content)] = content
			c.Contents = append(c.Contents, d.Content)
		}
		shared := wireShared{d.Template, d.SourceFile, content}
		i, ok := c.documents[shared]
		if !ok {
			i = len(c.Documents)
			c.documents[shared] = i
			c.Documents = append(c.Documents, shared)
		}
		r.Documents = append(r.Documents, i)
	}
	c.Renderings = append(c.Renderings, r)
	return true, nil
}

// renderEach does a request for several renderings, in the child. It ends early
// where one of them takes too long, because that one cannot be stopped.
func (r request) renderEach(ctx context.Context, started time.Time) (response, error) {
	t, err := r.loadTree()
	if err != nil {
		return respond(nil, err)
	}
	values, err := r.mergeValues()
	if err != nil {
		return respond(nil, err)
	}
	c := &collector{contents: map[string]int{}, documents: map[wireShared]int{}, left: r.EachBytes}
	// What the chart takes as it is tells what is slow.
	patience := r.Options.Limits.Timeout
	_, _ = t.renderWithin(ctx, values, nil, patience)
	patience = min(patience, max(slowFrom, slow*time.Since(started)))
	for _, override := range r.Each {
		documents, err := t.renderWithin(ctx, values, override, patience)
		if errors.Is(err, child.ErrTimeout) {
			c.Renderings = append(c.Renderings, wireRendering{TooSlow: true})
			break
		}
		room, err := c.add(documents, err)
		if err != nil {
			return response{}, err
		}
		if !room {
			break
		}
	}
	return response{Each: &c.wireEach}, nil
}

// renderWithin renders a copy of the tree, with override merged over values. It
// leaves the rendering to itself where that takes longer than patience.
func (t *tree) renderWithin(ctx context.Context, values map[string]any, override []byte, patience time.Duration) ([]Document, error) {
	type outcome struct {
		documents []Document
		err       error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if fault := recover(); fault != nil {
				o.err = t.request.errorf("rendering was stopped by a fault of the library: %v", fault)
			}
			done <- o
		}()
		o.documents, o.err = t.renderOnce(ctx, values, override)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.documents, o.err
	case <-timer.C:
		return nil, child.ErrTimeout
	}
}

func (t *tree) renderOnce(ctx context.Context, values map[string]any, override []byte) ([]Document, error) {
	if override != nil {
		over, err := loadValues(override) // as a values file, numbers too
		if err != nil {
			return nil, t.request.errorf("the changed values: %s", err)
		}
		values = loader.MergeMaps(values, over)
	}
	own := &tree{chart: copyChart(t.chart), files: t.files, request: t.request}
	_, rendered, err := own.run(ctx, values)
	if err != nil {
		return nil, err
	}
	var c Chart
	own.collect(&c, rendered, nil)
	return c.Documents, nil
}

// copyChart copies what rendering changes of a chart: its dependencies, which
// the values choose, and its values, which come from dependencies as well.
func copyChart(c *chart.Chart) *chart.Chart {
	metadata := *c.Metadata
	metadata.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		if d != nil {
			one := *d
			d = &one
		}
		metadata.Dependencies = append(metadata.Dependencies, d)
	}
	out := &chart.Chart{Raw: c.Raw, Metadata: &metadata, Lock: c.Lock, Templates: slices.Clone(c.Templates),
		Values: maps.Clone(c.Values), Schema: c.Schema, Files: c.Files}
	for _, sub := range c.Dependencies() {
		out.AddDependency(copyChart(sub))
	}
	return out
}
