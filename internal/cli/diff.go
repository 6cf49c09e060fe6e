package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/report"
)

func newDiff(env *Env) *cobra.Command {
	var format, failOn string
	live := &diffLiveFlags{}
	c := &cobra.Command{
		Use:   "diff {OLD NEW | PATH... --live}",
		Short: "Compare two stored results, or manifests with a cluster",
		Long: `Diff says which findings are new in the second result, which are fixed and which
could not be judged again. Findings are told by fingerprints, so a moved line or
a reordered list changes nothing.

With --live the manifests of the paths and the cluster of the kubeconfig are judged
by the same controls, and the findings of objects that both have are compared. Only
in the cluster (+) is what somebody changed there; only in the manifests (-) is what
they would bring. A control about what else there is, such as a missing policy, may
find in the cluster what the manifests cannot tell (~).

Exit codes: 1 where a finding at or above --fail-on is new, or only in the cluster,
3 where something could not be compared, otherwise 0.`,
		Example: `  bulkhead diff main.json branch.json
  bulkhead diff main.json branch.json -o json --fail-on medium

  # did somebody change the cluster?
  bulkhead diff deploy/ --live
  bulkhead diff charts/shop --values prod.yaml --live -n shop --context prod --fail-on high`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := live.checkInput(c, args); err != nil {
				return err
			}
			threshold, never, err := parseFailOn(failOn)
			if err != nil {
				return err
			}
			if live.on {
				return runDiffLive(c.Context(), env, live, args, format, threshold, never)
			}
			older, err := readResult(env, args[0])
			if err != nil {
				return err
			}
			newer, err := readResult(env, args[1])
			if err != nil {
				return err
			}
			changes := check.Diff(older, newer)
			if err := writeChanges(env.Stdout, format, changes); err != nil {
				return err
			}
			if !never && reaches(changes.Added, threshold) {
				return outcomeError{exitFindings, ""}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	c.Flags().StringVar(&failOn, "fail-on", "low", "exit with 1 for findings that are new, or only in the cluster, of at least this severity, or none")
	addDiffLiveFlags(c.Flags(), live)
	return c
}

// changes is the JSON form of a diff.
type changes struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Added      []finding.Finding `json:"added"`
	Fixed      []finding.Finding `json:"fixed"`
	Unjudged   []finding.Finding `json:"unjudged"`
	Unchanged  int               `json:"unchanged"`
}

func writeChanges(w io.Writer, format string, c check.Changes) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(changes{finding.APIVersion, "ScanDiff", orEmpty(c.Added), orEmpty(c.Fixed), orEmpty(c.Unjudged), len(c.Unchanged)})
	case "table":
		for _, part := range []struct {
			sign     string
			findings []finding.Finding
		}{{"+", c.Added}, {"-", c.Fixed}, {"?", c.Unjudged}} {
			for _, f := range part.findings {
				place := ""
				if f.Location != nil {
					place = fmt.Sprintf("  %s:%d", f.Location.File, f.Location.Line)
				}
				fmt.Fprintln(w, report.Printable(fmt.Sprintf("%s %-8s %s  %s  %s%s", part.sign, f.Severity, f.Object, f.Control, f.Message, place)))
			}
		}
		_, err := fmt.Fprintf(w, "%d new (+), %d fixed (-), %d not judged again (?), %d unchanged\n", len(c.Added), len(c.Fixed), len(c.Unjudged), len(c.Unchanged))
		return err
	}
	return unknownFormat(format)
}

func orEmpty(fs []finding.Finding) []finding.Finding {
	if fs == nil {
		return []finding.Finding{}
	}
	return fs
}

// parseFailOn reads a severity, or none.
func parseFailOn(text string) (threshold finding.Severity, never bool, err error) {
	if text == "none" {
		return 0, true, nil
	}
	threshold, err = finding.ParseSeverity(text)
	if err != nil {
		return 0, false, usageError{fmt.Errorf("--fail-on: %w, or none", err)}
	}
	return threshold, false, nil
}

// reaches reports whether a failure that nobody waived has at least a severity.
func reaches(fs []finding.Finding, threshold finding.Severity) bool {
	for _, f := range fs {
		if f.Verdict == finding.Fail && f.Waived == nil && f.Severity >= threshold {
			return true
		}
	}
	return false
}
