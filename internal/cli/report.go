package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/report"
)

func formatNames() string {
	var names []string
	for _, f := range report.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func newReport(env *Env) *cobra.Command {
	var outputs []string
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Write a stored result in another format",
		Long:  "Report reads what scan wrote with -o json or -o yaml (- for standard input) and writes it\nin other formats, the same as the scan would have.",
		Example: `  bulkhead report result.json -o html=report.html
  bulkhead report result.json -o sarif=bulkhead.sarif -o table`,
		Args: exactly(1, "the file of a result"),
		RunE: func(_ *cobra.Command, args []string) error {
			parsed, err := parseOutputs(outputs)
			if err != nil {
				return err
			}
			r, err := readResult(env, args[0])
			if err != nil {
				return err
			}
			return write(env, parsed, r, report.Options{}, nil)
		},
	}
	c.Flags().StringArrayVarP(&outputs, "output", "o", nil, "report format, or FORMAT=FILE; repeatable: "+formatNames())
	return c
}

// exactly wants n arguments; what says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s wants %s, got %d arguments\nSee %s --help", c.CommandPath(), what, len(args), c.CommandPath())}
		}
		return nil
	}
}

func readResult(env *Env, path string) (*finding.Result, error) {
	in := env.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("read the result: %w", err)}
		}
		defer file.Close()
		in = file
	}
	r, err := report.Read(in)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return r, nil
}
