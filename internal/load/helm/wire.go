package helm

import (
	"encoding/json"
	"errors"
)

// request is what the parent asks of the child.
type request struct {
	Path    string       `json:"path"`
	Options Options      `json:"options"`
	Values  []valuesFile `json:"values,omitempty"`
	// Each asks for one rendering for each of these values, see [RenderEach].
	Each []json.RawMessage `json:"each,omitempty"`
	// EachBytes is how much all of them may write.
	EachBytes int64 `json:"eachBytes,omitempty"`
	// Effective asks for the values instead, see [Values].
	Effective bool `json:"effective,omitempty"`
}

// valuesFile is a values file that the parent has read: it may be a pipe, which
// the child does not have.
type valuesFile struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

// response is the child's answer: a chart, or what is wrong with it.
type response struct {
	Chart   *wireChart `json:"chart,omitempty"`
	Error   *Error     `json:"error,omitempty"`
	Library bool       `json:"library,omitempty"`

	Each      *wireEach       `json:"each,omitempty"`
	Effective json.RawMessage `json:"effective,omitempty"`
}

type wireChart struct {
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Documents []wireDocument `json:"documents"`
	TestHooks int            `json:"testHooks,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
}

type wireDocument struct {
	Template   string `json:"template"`
	SourceFile string `json:"sourceFile,omitempty"`
	Content    []byte `json:"content"`
	Lines      []int  `json:"lines,omitempty"`
}

// respond wraps the outcome of a rendering for the way to the parent.
func respond(c *Chart, err error) (response, error) {
	var e *Error
	switch {
	case errors.As(err, &e):
		return response{Error: e, Library: errors.Is(err, ErrLibrary)}, nil
	case err != nil:
		return response{}, err
	}
	w := &wireChart{Name: c.Name, Version: c.Version, TestHooks: c.TestHooks, Warnings: c.Warnings}
	for _, d := range c.Documents {
		w.Documents = append(w.Documents, wireDocument{d.Template, d.SourceFile, d.Content, d.lines})
	}
	return response{Chart: w}, nil
}

// result is the inverse of respond.
func (r response) result() (*Chart, error) {
	if r.Error != nil {
		if r.Library {
			r.Error.err = ErrLibrary
		}
		return nil, r.Error
	}
	if r.Chart == nil {
		return nil, errors.New("render a chart: the child process sent neither a chart nor an error")
	}
	w := r.Chart
	c := &Chart{Name: w.Name, Version: w.Version, TestHooks: w.TestHooks, Warnings: w.Warnings}
	for _, d := range w.Documents {
		c.Documents = append(c.Documents, Document{d.Template, d.SourceFile, d.Content, d.Lines})
	}
	return c, nil
}
