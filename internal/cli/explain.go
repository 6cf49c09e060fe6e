package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

func newExplain(env *Env) *cobra.Command {
	policies := &ownPolicies{}
	c := &cobra.Command{
		Use:               "explain CONTROL",
		Short:             "Say what a control wants, why, and how to mend what it finds",
		Example:           "  bulkhead explain read-only-root-filesystem\n  bulkhead explain vap-replicas --policy policies/",
		Args:              exactly(1, "the name of a control"),
		ValidArgsFunction: completeControls,
		RunE: func(c *cobra.Command, args []string) error {
			if err := policies.read(c.Context(), env); err != nil {
				return err
			}
			all, err := catalog.Controls()
			if err != nil {
				return err
			}
			selected, err := policies.selectControls(all, catalog.Selection{Profile: "all", Only: args})
			if err != nil {
				return usageError{err}
			}
			return explain(env.Stdout, selected[0])
		},
	}
	addPolicyPaths(c.Flags(), policies)
	return c
}

func completeControls(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := catalog.Controls()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name+"\t"+c.Title)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func explain(w io.Writer, c *check.Control) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", c.Name, c.Title)
	fmt.Fprintf(&b, "Severity:   %s\nLayer:      %s\nSince:      %s\nFix:        %s\n", c.Severity, c.Layer, cmp.Or(c.Since, "your own"), c.FixSafety)
	if len(c.Subsumes) > 0 {
		fmt.Fprintf(&b, "Subsumes:   %s\n", strings.Join(c.Subsumes, ", "))
	}
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, indent(wrap(text, 78), "  "))
		}
	}
	section("WHY", c.Why)
	section("REMEDY", c.Remedy)
	section("THE FIX", c.FixNote)
	if len(c.Parameters) > 0 {
		fmt.Fprintf(&b, "\nPARAMETERS\n")
		for _, p := range c.Parameters {
			fmt.Fprintf(&b, "  %s (default %v)\n%s\n", p.Name, p.Default, indent(wrap(p.Description, 74), "      "))
		}
	}
	if len(c.References) > 0 {
		fmt.Fprintf(&b, "\nREFERENCES\n")
		for _, r := range c.References {
			fmt.Fprintf(&b, "  %s %s\n", r.Framework, r.ID)
		}
	}
	example := func(title string, texts []string) {
		if len(texts) == 0 {
			return // a policy that is no control file has none
		}
		fmt.Fprintf(&b, "\n%s\n%s\n", title, indent(strings.TrimSpace(strings.Join(texts, "---\n")), "  "))
	}
	example("BAD (# want: a finding points here)", c.Examples.Bad[:min(1, len(c.Examples.Bad))])
	example("GOOD", c.Examples.Good[:min(1, len(c.Examples.Good))])
	fmt.Fprintf(&b, "\nTo waive it where that is meant:\n  metadata:\n    annotations:\n      waive.bulkhead.dev/%s: \"REASON; owner=TEAM; expires=YYYY-MM-DD\"\n", c.Name)
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(text, prefix string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}

// wrap breaks text at spaces into lines of at most width bytes where it can.
func wrap(text string, width int) string {
	var b strings.Builder
	line := 0
	for _, word := range strings.Fields(text) {
		if line > 0 && line+1+len(word) > width {
			b.WriteByte('\n')
			line = 0
		} else if line > 0 {
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}
