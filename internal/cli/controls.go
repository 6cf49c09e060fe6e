package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

func newControls(env *Env) *cobra.Command {
	var format string
	var selection catalog.Selection
	c := &cobra.Command{
		Use:   "controls",
		Short: "List the controls",
		Example: `  bulkhead controls
  bulkhead controls --profile nsa-cisa -o json
  bulkhead controls --layer rbac --severity high`,
		Args: noArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			all, err := catalog.Controls()
			if err != nil {
				return err
			}
			if all, err = catalog.Select(all, selection); err != nil {
				return usageError{err}
			}
			return listControls(env.Stdout, format, all)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "table", "table, wide, json, yaml or name")
	c.Flags().StringVar(&selection.Profile, "profile", "all", "controls of one profile")
	c.Flags().StringSliceVar(&selection.Layers, "layer", nil, "controls of these layers: "+layerNames())
	c.Flags().StringVar(&selection.Severity, "severity", "", "controls of at least this severity")
	return c
}

func listControls(w io.Writer, format string, controls []*check.Control) error {
	rules := make([]any, len(controls))
	for i, c := range controls {
		rules[i] = c.Rule
	}
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(rules)
	case "yaml":
		b, err := yaml.Marshal(rules)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case "name":
		for _, c := range controls {
			fmt.Fprintln(w, c.Name)
		}
		return nil
	case "table", "wide":
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tSEVERITY\tLAYER\tFIX\tTITLE")
		for _, c := range controls {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Name, c.Severity, c.Layer, c.FixSafety, c.Title)
		}
		return t.Flush()
	}
	return usageError{fmt.Errorf("unknown output format %q: use table, wide, json, yaml or name", format)}
}
