package kustomize

import "errors"

// request is what the parent asks of the child.
type request struct {
	Dir     string  `json:"dir"`
	Options Options `json:"options"`
}

// response is the child's answer: a result, or what is wrong.
type response struct {
	Result *wireResult `json:"result,omitempty"`
	Error  *Error      `json:"error,omitempty"`
}

type wireResult struct {
	Documents []wireDocument `json:"documents"`
	Consumed  []string       `json:"consumed"`
	Warnings  []string       `json:"warnings,omitempty"`
}

type wireDocument struct {
	File    string   `json:"file"`
	Line    int      `json:"line,omitempty"`
	Patches []string `json:"patches,omitempty"`
	Content []byte   `json:"content"`
	// Places is one pair for each line of Content: which of Files, and the line.
	Files  []string `json:"files,omitempty"`
	Places [][2]int `json:"places,omitempty"`
}

// respond wraps the outcome of a build for the way to the parent.
func respond(r *Result, err error) (response, error) {
	var e *Error
	switch {
	case errors.As(err, &e):
		return response{Error: e}, nil
	case err != nil:
		return response{}, err
	}
	w := &wireResult{Consumed: r.Consumed, Warnings: r.Warnings}
	for _, d := range r.Documents {
		document := wireDocument{File: d.File, Line: d.Line, Patches: d.Patches, Content: d.Content}
		number := map[string]int{}
		for _, p := range d.places {
			if _, known := number[p.File]; !known {
				number[p.File] = len(document.Files)
				document.Files = append(document.Files, p.File)
			}
			document.Places = append(document.Places, [2]int{number[p.File], p.Line})
		}
		w.Documents = append(w.Documents, document)
	}
	return response{Result: w}, nil
}

// result is the inverse of respond.
func (r response) result() (*Result, error) {
	if r.Error != nil {
		return nil, r.Error
	}
	if r.Result == nil {
		return nil, errors.New("build a kustomization: the child process sent neither a result nor an error")
	}
	out := &Result{Consumed: r.Result.Consumed, Warnings: r.Result.Warnings}
	for _, w := range r.Result.Documents {
		d := Document{File: w.File, Line: w.Line, Patches: w.Patches, Content: w.Content}
		for _, p := range w.Places {
			if p[0] < 0 || p[0] >= len(w.Files) {
				return nil, errors.New("build a kustomization: the child process sent a place in no file")
			}
			d.places = append(d.places, Place{File: w.Files[p[0]], Line: p[1]})
		}
		out.Documents = append(out.Documents, d)
	}
	return out, nil
}
