package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/persona"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

type generateFlags struct {
	format, check, kubernetesVersion string
	example                          bool
}

// generateFormats are the forms of what is generated; a table and pictures tell of it only.
var generateFormats = []string{"yaml", "json", "table", "dot", "svg", "html"}

func newRBACGenerate(env *Env) *cobra.Command {
	f := &generateFlags{}
	c := &cobra.Command{
		Use:   "generate PERSONAS.yaml",
		Short: "Make roles and bindings of who does what",
		Long: `Generate makes roles and bindings of a file that says who does what in an organisation:
teams with their namespaces, and who in them is viewer, developer, operator, auditor or
admin; who is operator or auditor of everything; and who breaks the glass.

Every permission is named: there is no star but in break-glass. Before anything is
written it is analysed: each subject may do what its personas list and nothing else, and
nobody but admins and break-glass holds a permission by which one acts as somebody else.
What asks for such a permission is refused, with the file and line.

The roles go to standard output, for kubectl apply, and a line for each persona to
standard error. With --check a file is written that bulkhead rbac check holds a cluster
against.`,
		Example: `  # start from an example
  bulkhead rbac generate --example > personas.yaml

  # look at it, apply it, and see later whether it still holds
  bulkhead rbac generate personas.yaml -o table
  bulkhead rbac generate personas.yaml --check access.yaml | kubectl apply -f -
  bulkhead rbac check access.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			if f.example {
				_, err := io.WriteString(env.Stdout, persona.Example)
				return err
			}
			if len(args) != 1 {
				return usageError{errors.New("name one file of kind Personas, or - for standard input; --example prints one\nSee bulkhead rbac generate --help")}
			}
			return runRBACGenerate(c.Context(), env, f, args[0])
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.format, "output", "o", generateFormats[0], strings.Join(generateFormats, ", "))
	fs.StringVar(&f.check, "check", "", "write the file for bulkhead rbac check here")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to prove it for (default 1.%d)", kubernetesMinor))
	fs.BoolVar(&f.example, "example", false, "print a file to start from")
	return c
}

func runRBACGenerate(ctx context.Context, env *Env, f *generateFlags, path string) error {
	if !slices.Contains(generateFormats, f.format) {
		return usageError{fmt.Errorf("unknown output format %q: use %s", f.format, strings.Join(generateFormats, ", "))}
	}
	minor, err := parseMinor(f.kubernetesVersion)
	if err != nil {
		return err
	}
	objects, err := readKind(ctx, env, []string{path}, persona.Kind)
	if err != nil {
		return err
	}
	if len(objects) > 1 {
		return usageError{fmt.Errorf("%s has %d objects of kind %s: make one of them, so that they are proven together", path, len(objects), persona.Kind.Kind)}
	}
	file, err := persona.Parse(objects[0])
	if err != nil {
		return usageError{shown{err}}
	}
	set, err := persona.Generate(file)
	if err != nil {
		return err
	}
	if err := set.Prove(ctx, minor); err != nil {
		return usageError{shown{err}}
	}
	for _, note := range set.Notes {
		fmt.Fprintf(env.Stderr, "bulkhead: note: %s\n", report.Printable(note))
	}
	if err := writeSet(env.Stdout, f.format, set); err != nil {
		return err
	}
	if f.check != "" {
		if err := replaceFile(f.check, func(w io.Writer) error { return answer(w, "yaml", set.Check.Content()) }); err != nil {
			return err
		}
	}
	if f.format == "table" {
		return writeSummaries(env.Stdout, set, true)
	}
	return writeSummaries(env.Stderr, set, false)
}

// readKind reads files that hold objects of one kind and nothing else.
func readKind(ctx context.Context, env *Env, paths []string, kind model.GroupKind) ([]*model.Object, error) {
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: paths, Stdin: env.Stdin, Self: env.Self})
	if err != nil {
		return nil, usageError{err}
	}
	if len(snapshot.Problems) > 0 {
		p := snapshot.Problems[0]
		return nil, usageError{fmt.Errorf("%s:%d: %s", p.Location.File, p.Location.Line, report.Printable(p.Message))}
	}
	var out []*model.Object
	for _, w := range snapshot.Worlds {
		for _, o := range w.Objects {
			if o.GroupKind != kind {
				l := o.Locate(nil)
				return nil, usageError{fmt.Errorf("%s:%d: is of kind %s: give files with %s %s only", l.File, l.Line, report.Printable(o.Kind), finding.APIVersion, kind.Kind)}
			}
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return nil, usageError{fmt.Errorf("%s has no object of kind %s (%s)", strings.Join(paths, ", "), kind.Kind, finding.APIVersion)}
	}
	return out, nil
}

func writeSet(w io.Writer, format string, set *persona.Set) error {
	switch format {
	case "table":
		return nil
	case "dot", "svg", "html":
		a := rbac.AccessOf(model.NewWorld(set.Objects, model.WorldOptions{Complete: true}))
		return (&inquiry{format: format}).draw(w, drawAccess(a, focus{title: "Who does what"}))
	case "json":
		items := make([]any, 0, len(set.Objects))
		for _, o := range set.Objects {
			items = append(items, o.Content)
		}
		return answer(w, format, map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	var out bytes.Buffer
	for i, o := range set.Objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := writeYAML(&out, o.Content); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeSummaries writes a sentence for each persona, of what was proven, and if wanted
// what it counts.
func writeSummaries(w io.Writer, set *persona.Set, list bool) error {
	var out strings.Builder
	for i, s := range set.Summaries {
		if list && i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "%s\n", report.Printable(summary(s)))
		for _, a := range s.Can {
			if list {
				fmt.Fprintf(&out, "  %s\n", report.Printable(a.String()))
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func summary(s persona.Summary) string {
	p := s.Persona
	who := fmt.Sprintf("%s (%s)", p.Title(), subjectNames(p.Subjects))
	switch {
	case p.Role.BoundTo != "":
		return fmt.Sprintf("%s can do everything, by the role %s", who, p.Role.BoundTo)
	case p.ClusterWide():
		return fmt.Sprintf("%s can do these %d things in the whole cluster, and becomes nobody else", who, s.InCluster)
	}
	text := fmt.Sprintf("%s can do these %d things in %s and nothing cluster-wide", who, s.InNamespace, strings.Join(p.Namespaces, ", "))
	if p.Role.Powerful {
		return text + ", and becomes any service account there"
	}
	return text + ", and becomes nobody else"
}

// maxSubjects is how many subjects of a persona a line names.
const maxSubjects = 3

func subjectNames(subjects []rbac.Subject) string {
	var names []string
	for _, s := range subjects[:min(maxSubjects, len(subjects))] {
		if s.Kind == rbacv1.ServiceAccountKind {
			names = append(names, s.String())
			continue
		}
		names = append(names, strings.ToLower(s.Kind)+" "+s.Name)
	}
	if more := len(subjects) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
