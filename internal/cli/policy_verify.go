package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/userpolicy/verify"
)

func newPolicyTest(env *Env) *cobra.Command {
	var format, kubernetesVersion string
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the tests that policies bring along",
		Long: `Test runs the examples of control files: a bad one must have a finding at each line
that ends in "# want" and at no other, and its fix must mend it; a good one must have
none. And it runs Gatekeeper's suites (kind: Suite), as gator verify does: the objects of
their cases are judged as they are written.

It exits with 1 where a test fails, and with 2 where there is none.`,
		Example: `  bulkhead policy test policies/
  bulkhead policy test policies/replicas.yaml policies/owner/suite.yaml -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			minor, err := parseMinor(kubernetesVersion)
			if err != nil {
				return err
			}
			return runPolicyTest(c.Context(), env, args, format, minor)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	c.Flags().StringVar(&kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default 1.%d)", kubernetesMinor))
	return c
}

// testReport is what policy test says, as JSON.
type testReport struct {
	Tests   []verify.Result `json:"tests"`
	Passed  int             `json:"passed"`
	Failed  int             `json:"failed"`
	Skipped int             `json:"skipped"`
}

func runPolicyTest(ctx context.Context, env *Env, paths []string, format string, minor int) error {
	if format != "table" && format != "json" {
		return usageError{fmt.Errorf("unknown output format %q: use table or json", format)}
	}
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: paths, Stdin: env.Stdin, Self: env.Self})
	if err != nil {
		return usageError{err}
	}
	r := testReport{Tests: []verify.Result{}}
	for _, p := range snapshot.Problems {
		r.Tests = append(r.Tests, verify.Result{Location: p.Location, Test: "file " + p.Location.File, Outcome: verify.Failed, Message: p.Message})
	}
	for _, w := range snapshot.Worlds {
		results, err := verify.Run(ctx, w.Objects, verify.Options{Minor: minor, Decode: decodeManifests, Read: readManifests})
		if err != nil {
			return err
		}
		r.Tests = append(r.Tests, results...)
	}
	for _, t := range r.Tests {
		switch t.Outcome {
		case verify.Passed:
			r.Passed++
		case verify.Failed:
			r.Failed++
		case verify.Skipped:
			r.Skipped++
		}
	}
	if len(r.Tests) == 0 {
		return usageError{fmt.Errorf("there is no test in %s: it may be a Control with examples, or a Suite", strings.Join(paths, ", "))}
	}
	if err := r.write(env.Stdout, format); err != nil {
		return err
	}
	if r.Failed > 0 {
		return outcomeError{exitFindings, ""}
	}
	return nil
}

var outcomeWords = map[verify.Outcome]string{verify.Passed: "ok  ", verify.Failed: "FAIL", verify.Skipped: "skip"}

func (r *testReport) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	for _, t := range r.Tests {
		line := fmt.Sprintf("%s  %s:%d  %s", outcomeWords[t.Outcome], t.Location.File, t.Location.Line, t.Test)
		if t.Message != "" {
			line += ": " + t.Message
		}
		if _, err := fmt.Fprintln(w, report.Printable(strings.Join(strings.Fields(strings.TrimPrefix(line, " ")), " "))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.Passed, r.Failed, r.Skipped)
	return err
}

// readManifests reads the manifests of a file that a test names.
func readManifests(path string) ([]*model.Object, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, load.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > load.MaxFileSize {
		return nil, fmt.Errorf("%s has more than %d bytes", path, load.MaxFileSize)
	}
	return decodeManifests(path, data)
}

func decodeManifests(path string, data []byte) ([]*model.Object, error) {
	f := manifest.NewDecoder().Decode(model.Source{File: path}, data)
	var problems []error
	for _, p := range f.Problems {
		problems = append(problems, errors.New(placeOf(p)))
	}
	return f.Objects, errors.Join(problems...)
}

func placeOf(p finding.Problem) string {
	return fmt.Sprintf("%s:%d: %s", p.Location.File, p.Location.Line, p.Message)
}
