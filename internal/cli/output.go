package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/report"
)

// output is one report that was asked for: -o json=FILE, or -o json for stdout.
type output struct{ format, file string }

// parseOutputs reads -o. Beside reports it may name pictures, where there are any.
func parseOutputs(values []string, pictures ...string) ([]output, error) {
	if len(values) == 0 {
		values = []string{"table"}
	}
	var outputs []output
	stdout := ""
	for _, v := range values {
		format, file, named := strings.Cut(v, "=")
		if err := report.Check(format); err != nil && !slices.Contains(pictures, format) {
			return nil, usageError{err}
		}
		switch {
		case named && file == "":
			return nil, usageError{fmt.Errorf("-o %s names no file: write -o %s=FILE", v, format)}
		case !named && stdout != "":
			return nil, usageError{fmt.Errorf("both %s and %s would go to standard output: write -o %s=FILE for one", stdout, format, format)}
		case !named:
			stdout = format
		}
		outputs = append(outputs, output{format, file})
	}
	return outputs, nil
}

func wants(outputs []output, format string) bool {
	for _, o := range outputs {
		if o.format == format {
			return true
		}
	}
	return false
}

// write writes every report. A file is replaced as a whole or not at all. Pictures are
// drawn, which only who offers them asks for.
func write(env *Env, outputs []output, r *finding.Result, options report.Options, draw func() *graph.Drawing) error {
	width, isTerminal := terminal(env.Stdout)
	for _, o := range outputs {
		options := options
		options.Width = width
		fill := func(w io.Writer) error {
			if report.Check(o.format) != nil {
				return writeDrawing(w, o.format, draw())
			}
			return report.Write(w, o.format, r, options)
		}
		if o.file == "" {
			options.Color = isTerminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
			if err := fill(env.Stdout); err != nil {
				return err
			}
			continue
		}
		options.Width = 0
		if err := replaceFile(o.file, fill); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file as a whole or not at all. What is no regular file, such
// as /dev/null or a named pipe, is written to and stays what it is.
func replaceFile(path string, fill func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeThrough(path, fill)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	if err := fill(temporary); err != nil {
		temporary.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := temporary.Chmod(0o644); err != nil {
		temporary.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeThrough writes to a device or a pipe.
func writeThrough(path string, fill func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(fill(file), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
