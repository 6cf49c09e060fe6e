package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// Verb is the hidden sub-command that [Render] starts in a child process, and
// that must run [Child].
const Verb = "build-kustomization"

// Options bound what a build may read and cost.
type Options struct {
	// Boundary is the tree that symbolic links may not lead out of: what the
	// user gave to scan. Where it is empty, it is the kustomization's folder.
	Boundary string `json:"boundary,omitempty"`
	// Overlay is content by absolute path that stands in for a file's own, or
	// for a file that is not there yet; its folder must be. Links, the boundary
	// and the limits are the same for it as for files.
	Overlay map[string][]byte `json:"overlay,omitempty"`
	// ContentOnly leaves out of the documents what their content came from, which
	// takes a build of its own to find.
	ContentOnly bool   `json:"contentOnly,omitempty"`
	Limits      Limits `json:"limits"`
}

// Limits bound one build; a field that is zero is the default.
type Limits struct {
	// Timeout is wall-clock time, the start of the child included.
	Timeout time.Duration `json:"timeout"`
	// MemoryBytes is what the child process may hold.
	MemoryBytes int64 `json:"memoryBytes"`
	// OutputBytes is the sum of all objects.
	OutputBytes int64 `json:"outputBytes"`
	// Files is how many files one build may read, Kustomizations how many of
	// them may be kustomizations.
	Files          int `json:"files"`
	Kustomizations int `json:"kustomizations"`
	// FileBytes is the size of one file, TotalBytes of all of them.
	FileBytes  int64 `json:"fileBytes"`
	TotalBytes int64 `json:"totalBytes"`
}

// Default limits. kustomize takes time with the square of the number of objects:
// some 20 seconds for 2,000 of them in an overlay.
const (
	DefaultTimeout        = 60 * time.Second
	DefaultMemoryBytes    = 512 << 20
	DefaultOutputBytes    = 64 << 20
	DefaultFiles          = 10_000
	DefaultKustomizations = 1_000
	DefaultFileBytes      = 10 << 20
	DefaultTotalBytes     = 100 << 20
)

// Kustomization files, and the configuration of generators and transformers,
// are parsed outside of the child process, so there is less room for them: for
// one, and for all that belong to one build.
const (
	kustomizationBytes  = 512 << 10
	kustomizationsBytes = 4 << 20
)

func (l Limits) withDefaults() Limits {
	orDefault(&l.Timeout, DefaultTimeout)
	orDefault(&l.MemoryBytes, DefaultMemoryBytes)
	orDefault(&l.OutputBytes, DefaultOutputBytes)
	orDefault(&l.Files, DefaultFiles)
	orDefault(&l.Kustomizations, DefaultKustomizations)
	orDefault(&l.FileBytes, DefaultFileBytes)
	orDefault(&l.TotalBytes, DefaultTotalBytes)
	return l
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Result is a built kustomization.
type Result struct {
	// Documents are the objects in kustomize's order.
	Documents []Document
	// Consumed is every file that the build read, the kustomization files
	// among them, sorted. They mean nothing on their own.
	Consumed []string
	Warnings []string
}

// Document is one object.
type Document struct {
	// File is the base file that the object came from, or the kustomization
	// file that generated it; Line is where it begins there, 0 if not known.
	File string
	Line int
	// Patches are the files of the patches that changed it, in their order.
	Patches []string
	// Content is one YAML document.
	Content []byte

	places []Place
}

// Place is a line of a file, counted from 1; 0 is a line that is not known.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Locate returns the place that a line of Content, counted from 1, came from: a
// patch where one set it, otherwise the base. Where that is not known, as for a
// label that a transformer added, it is File and Line.
func (d Document) Locate(line int) Place {
	if line >= 1 && line <= len(d.places) && d.places[line-1].Line > 0 {
		return d.places[line-1]
	}
	return Place{File: d.File, Line: d.Line}
}

// kustomizationFile returns the path of the kustomization file in dir, or "".
// More than one is an error, as in kustomize.
func (g ground) kustomizationFile(dir string) (string, error) {
	found := ""
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if mode, err := g.mode(path); err != nil || mode.IsDir() {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%s and %s are both kustomization files; keep one", filepath.Base(found), name)
		}
		found = path
	}
	return found, nil
}

// IsKustomization reports whether dir holds a kustomization file. A file of
// that name that declares another API group, such as Flux's Kustomization, is
// an object and no such file.
func IsKustomization(dir string) bool {
	path, err := ground{}.kustomizationFile(dir)
	if err != nil {
		return true // Render says what is wrong
	}
	if path == "" {
		return false
	}
	apiVersion, _ := ground{}.typeOf(path)
	group, _, _ := strings.Cut(apiVersion, "/")
	return apiVersion == "" || group == "kustomize.config.k8s.io"
}

// IsComponent reports whether dir holds a kustomization of kind Component:
// patches for others to include, which means nothing on its own.
func IsComponent(dir string) bool { return ground{}.isComponent(dir) }

func (g ground) isComponent(dir string) bool {
	path, err := g.kustomizationFile(dir)
	if err != nil || path == "" {
		return false
	}
	_, kind := g.typeOf(path)
	return kind == "Component"
}

func (g ground) typeOf(path string) (apiVersion, kind string) {
	data, err := g.read(path, kustomizationBytes)
	if err != nil {
		return "", ""
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if yaml.Unmarshal(data, &head) != nil {
		return "", ""
	}
	return head.APIVersion, head.Kind
}

// readRegular reads a regular file of at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d KiB", limit>>10)
	}
	return data, nil
}

// Render builds the kustomization in dir in a child process: self is the
// executable to start, with the one argument [Verb]. What is wrong with the
// kustomization is an [*Error], or several that errors.Join joined; where a
// limit was reached it wraps child.ErrTimeout, child.ErrMemory or
// child.ErrOutput. Paths in the result begin as dir does.
func Render(ctx context.Context, self, dir string, o Options) (*Result, error) {
	o.Limits = o.Limits.withDefaults()
	sources, err := Inspect(dir, o)
	if err != nil {
		return nil, err
	}
	var answer response
	err = child.Run(ctx, self, Verb, child.Limits{
		Timeout:     o.Limits.Timeout,
		MemoryBytes: o.Limits.MemoryBytes,
		// JSON holds the objects as base64, and their places.
		OutputBytes: 4*o.Limits.OutputBytes + 1<<20,
	}, request{Dir: dir, Options: o}, &answer)
	if err != nil {
		return nil, limitError(ctx, dir, sources, err)
	}
	return answer.result()
}

// limitError says what a build that broke a limit did, and what to do.
func limitError(ctx context.Context, dir string, sources *Sources, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("build the kustomization %s: %w", dir, err)
	}
	advice := ""
	if errors.Is(err, child.ErrTimeout) || errors.Is(err, child.ErrMemory) || errors.Is(err, child.ErrOutput) {
		advice = "; look for anchors that expand each other, or bases that are taken in over and over"
	}
	return &Error{
		Dir: dir, File: sources.Files[0],
		Message: child.OneLine(fmt.Sprintf("the build %s%s", err, advice)), err: err,
	}
}

// Child builds one kustomization: it reads [Render]'s request from in and
// writes its answer to out. It limits the process that it runs in, so that
// process must do nothing else.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	return child.Serve(ctx, in, out, build)
}
