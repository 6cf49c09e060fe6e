package helm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// Verb is the hidden sub-command that [Render] starts in a child process, and
// that must run [Child].
const Verb = "render-chart"

// DefaultKubeVersion is .Capabilities.KubeVersion where Options names none.
const DefaultKubeVersion = "1.37.0"

// Release names as in `helm template`.
const (
	DefaultReleaseName = "release-name"
	DefaultNamespace   = "default"
)

// Options say how a chart is rendered; the zero value renders it with its own
// values. The fields of values are those of Helm's flags, in Helm's order of
// precedence: files, --set-json, --set, --set-string, --set-file,
// --set-literal.
type Options struct {
	ValuesFiles []string `json:"-"`
	SetJSON     []string `json:"setJSON,omitempty"`
	Set         []string `json:"set,omitempty"`
	SetString   []string `json:"setString,omitempty"`
	SetFile     []string `json:"setFile,omitempty"`
	SetLiteral  []string `json:"setLiteral,omitempty"`

	// ReleaseName and Namespace are .Release.Name and .Release.Namespace.
	ReleaseName string `json:"releaseName,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	// KubeVersion is .Capabilities.KubeVersion, such as 1.37 or v1.36.2. A
	// chart that does not support it is an error; where it is empty, a chart
	// that does not support [DefaultKubeVersion] is a warning.
	KubeVersion string `json:"kubeVersion,omitempty"`
	// APIVersions are added to .Capabilities.APIVersions, such as
	// monitoring.coreos.com/v1.
	APIVersions []string `json:"apiVersions,omitempty"`
	// IncludeCRDs adds the files of crds/ as they are.
	IncludeCRDs bool `json:"includeCRDs,omitempty"`

	// Overlay is what files are to hold, by absolute path: it stands in for the
	// files of a chart folder and for values files, and may name some that are
	// not there yet. What is inside of an archive cannot be replaced.
	Overlay map[string][]byte `json:"overlay,omitempty"`

	Limits Limits `json:"limits"`
}

// Limits bound one rendering; a field that is zero is the default.
type Limits struct {
	// Timeout is wall-clock time, the start of the child included.
	Timeout time.Duration `json:"timeout"`
	// MemoryBytes is what the child process may hold.
	MemoryBytes int64 `json:"memoryBytes"`
	// OutputBytes is the sum of all rendered files.
	OutputBytes int64 `json:"outputBytes"`
	// Files is how many files a chart may have, subcharts included.
	Files int `json:"files"`
	// FileBytes is the size of one of them, and of a values file.
	FileBytes int64 `json:"fileBytes"`
	// TotalBytes is the size of all of them, decompressed.
	TotalBytes int64 `json:"totalBytes"`
	// Ratio is how many times larger than itself an archive may become.
	Ratio int64 `json:"ratio"`
}

// Default limits. The largest public charts have a few hundred files and some
// megabytes, mostly custom resource definitions; gzip makes YAML about ten
// times smaller, and 1,032 times is the most that it can do at all.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultMemoryBytes = 512 << 20
	DefaultOutputBytes = 64 << 20
	DefaultFiles       = 10_000
	DefaultFileBytes   = 10 << 20
	DefaultTotalBytes  = 100 << 20
	DefaultRatio       = 100
)

func (l Limits) withDefaults() Limits {
	orDefault(&l.Timeout, DefaultTimeout)
	orDefault(&l.MemoryBytes, DefaultMemoryBytes)
	orDefault(&l.OutputBytes, DefaultOutputBytes)
	orDefault(&l.Files, DefaultFiles)
	orDefault(&l.FileBytes, DefaultFileBytes)
	orDefault(&l.TotalBytes, DefaultTotalBytes)
	orDefault(&l.Ratio, DefaultRatio)
	return l
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Chart is a rendered chart.
type Chart struct {
	Name    string
	Version string
	// Documents are sorted by Template.
	Documents []Document
	// TestHooks is how many objects were left out because they only run when
	// somebody calls `helm test`.
	TestHooks int
	// Warnings are what Helm says about the chart and goes on, and which parts
	// of a schema were not checked.
	Warnings []string
}

// Document is one rendered file: YAML, of one or several documents.
type Document struct {
	// Template is the path inside the chart tree, by the charts' names:
	// templates/deploy.yaml, charts/redis/templates/x.yaml, crds/x.yaml.
	Template string
	// SourceFile is the file on disk, beginning with the path that Render was
	// given; "" where it is inside an archive.
	SourceFile string
	Content    []byte

	lines []int
}

// Line returns the line of the template that wrote a line of Content, both
// counted from 1, or 0 where that is not known.
func (d Document) Line(line int) int {
	if line < 1 || line > len(d.lines) {
		return 0
	}
	return d.lines[line-1]
}

// IsChart reports whether path is a folder with a Chart.yaml, or an archive
// (.tgz, .tar.gz) that holds one in its top folder.
func IsChart(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case info.IsDir():
		chart, err := os.Stat(filepath.Join(path, "Chart.yaml"))
		return err == nil && chart.Mode().IsRegular()
	case info.Mode().IsRegular() && isArchiveName(path):
		return holdsChart(path)
	}
	return false
}

// Render renders the chart at path in a child process: self is the executable
// to start, with the one argument [Verb]. What is wrong with the chart or its
// values is an [*Error]; it wraps child.ErrTimeout, child.ErrMemory or
// child.ErrOutput where a limit was reached, and [ErrLibrary] for a library
// chart.
func Render(ctx context.Context, self string, path string, o Options) (*Chart, error) {
	r, err := newRequest(path, o)
	if err != nil {
		return nil, err
	}
	answer, err := r.ask(ctx, self, r.Options.Limits.Timeout)
	if err != nil {
		return nil, limitError(ctx, path, err)
	}
	return answer.result()
}

// newRequest is what the child is asked for a chart. Values files are read here.
func newRequest(path string, o Options) (request, error) {
	o.Limits = o.Limits.withDefaults()
	r := request{Path: path, Options: o}
	for _, name := range o.ValuesFiles {
		content, err := o.valuesFile(name)
		if err != nil {
			return r, &Error{Chart: path, File: name, Message: err.Error(), err: err}
		}
		r.Values = append(r.Values, valuesFile{Name: name, Content: content})
	}
	return r, nil
}

// ask runs a child process for the request, which must answer in time.
func (r request) ask(ctx context.Context, self string, timeout time.Duration) (response, error) {
	var answer response
	err := child.Run(ctx, self, Verb, child.Limits{
		Timeout:     timeout,
		MemoryBytes: r.Options.Limits.MemoryBytes,
		// JSON holds the rendered bytes as base64, and their lines.
		OutputBytes: 2*r.Options.Limits.OutputBytes + 1<<20,
	}, r, &answer)
	return answer, err
}

// limitError says what a chart that broke a limit did, and what to do.
func limitError(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("render the chart %s: %w", path, err)
	}
	advice := ""
	switch {
	case errors.Is(err, child.ErrTimeout):
		advice = "; look for a range or an include without end"
	case errors.Is(err, child.ErrMemory), errors.Is(err, child.ErrOutput):
		advice = "; look for a template that repeats or includes itself"
	}
	return &Error{Chart: path, Message: fmt.Sprintf("rendering %s%s", err, advice), err: err}
}

// Child renders one chart: it reads [Render]'s request from in and writes its
// answer to out. It limits the process that it runs in, so that process must do
// nothing else.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	return child.Serve(ctx, in, out, render)
}
