package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

type graphFlags struct {
	inquiry
	groups                []string
	escalations, defaults bool
}

func newRBACGraph(env *Env) *cobra.Command {
	q := &graphFlags{inquiry: inquiry{forms: []string{"html", "svg", "dot", "json"}}}
	c := &cobra.Command{
		Use:   "graph [SUBJECT]",
		Short: "Draw who is bound to what, and what that reaches",
		Long: `Graph draws subjects, the roles that they are bound to and what these reach, by
namespace. A role stands where it is bound: one that is bound in two namespaces is drawn
in both, since what it reaches from there are different things.

The page (html) is one file that loads nothing: namespaces open and close, an edge or a
node tells its binding, role and rule, with file and line. The picture (svg) is for
documents, dot is for Graphviz, json for other programs.

With a SUBJECT only what it may do is drawn, with -n only what is bound in a namespace
and what its service accounts are bound to. --escalations draws as well who can become
whom, up to cluster admin.`,
		Example: `  # everything in a cluster, as a page
  bulkhead rbac graph --output-file rbac.html

  # one namespace, one subject
  bulkhead rbac graph -n shop -o svg --output-file shop.svg
  bulkhead rbac graph sa/shop/web --escalations --output-file web.html

  # of files, drawn by Graphviz
  bulkhead rbac graph -f deploy/ -o dot | dot -Tpdf -o rbac.pdf`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("name one subject, or none for all: jane, Group/dev or sa/shop/web\nSee bulkhead rbac graph --help")}
			}
			return q.toFile(env, func(env *Env) error { return runGraph(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	fs.BoolVar(&q.escalations, "escalations", false, "draw who can become whom, too")
	fs.BoolVar(&q.defaults, "defaults", false, "draw the bindings that every cluster has, too")
	fs.StringArrayVar(&q.groups, "in-group", nil, "a group that SUBJECT is in; repeatable")
	fs.StringVarP(&q.namespace, "namespace", "n", "", "what is bound in this namespace, and what its service accounts are bound to")
	addInquiryFlags(fs, &q.inquiry)
	fs.StringVar(&q.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge --escalations for (default that of the cluster; of files 1.%d)", kubernetesMinor))
	return c
}

func runGraph(ctx context.Context, env *Env, q *graphFlags, args []string) error {
	f := focus{title: "Who may do what", namespace: q.namespace, defaults: q.defaults}
	if len(args) > 0 {
		s, err := rbac.ParseSubject(args[0])
		if err != nil {
			return usageError{err}
		}
		f.subject, f.title = &s, fmt.Sprintf("What %s can do", s)
	} else if len(q.groups) > 0 {
		return usageError{errors.New("--in-group says what groups a SUBJECT is in: name one")}
	}
	if f.namespace != "" {
		f.title += " in namespace " + f.namespace
	}
	if _, shown := terminal(env.Stdout); shown && q.format == "html" {
		return usageError{errors.New("a page is for a browser and not for a terminal: name a file with --output-file, or another format with -o")}
	}
	kinds := []model.GroupKind{serviceAccountKind}
	if q.escalations {
		kinds = rbac.EscalationKinds()
	}
	a, w, err := q.access(ctx, env, kinds...)
	if err != nil {
		return err
	}
	if f.subject != nil {
		who := rbac.IdentityOf(*f.subject)
		who.Groups = append(who.Groups, q.groups...)
		f.permissions = a.Permissions(who)
	}
	unknown := a.Unobserved(f.namespace)
	if unknown == "" && f.namespace == "" {
		unknown = unknownSomewhere(a, w)
	}
	f.unknown = []string{unknown}
	if q.escalations {
		if err := f.escalate(a, q.minor, q.groups); err != nil {
			return err
		}
	}
	if err := q.draw(env.Stdout, drawAccess(a, f)); err != nil {
		return err
	}
	if i := slices.IndexFunc(f.unknown, func(why string) bool { return why != "" }); i >= 0 {
		return no(f.unknown[i])
	}
	return nil
}

// escalate finds who of those in focus can become whom.
func (f *focus) escalate(a *rbac.Access, minor int, groups []string) error {
	e, err := a.Escalations(minor)
	if err != nil {
		return err
	}
	var why []string
	if f.subject != nil {
		f.escalations, why = e.From(*f.subject, groups)
	} else {
		f.escalations, why = e.ToAdmin(), e.Unknown()
		f.escalations = slices.DeleteFunc(f.escalations, func(x rbac.Escalation) bool {
			return f.namespace != "" && x.From.Namespace != f.namespace && x.From.Name != "system:serviceaccounts:"+f.namespace
		})
	}
	f.unknown = append(f.unknown, why...)
	return nil
}

// pictures are the forms of an answer that are drawn.
var pictures = []string{"dot", "svg", "html"}

// reportPictures are those of an answer whose page is a report.
var reportPictures = []string{"dot", "svg"}

// withPictures are the forms of an answer that can be drawn as well.
func withPictures() []string { return slices.Concat(questionFormats, pictures) }

func addOutputFile(fs *pflag.FlagSet, q *inquiry) {
	fs.StringVar(&q.outputFile, "output-file", "", "file to write to instead of standard output")
}

// drawn reports whether the answer is to be drawn.
func (q *inquiry) drawn() bool { return slices.Contains(pictures, q.format) }

// draw writes a drawing.
func (q *inquiry) draw(w io.Writer, d *graph.Drawing) error {
	return writeDrawing(w, q.format, d)
}

func writeDrawing(w io.Writer, format string, d *graph.Drawing) error {
	switch format {
	case "dot":
		return graph.WriteDOT(w, d)
	case "svg":
		return graph.WriteSVG(w, d)
	case "html":
		return graph.WriteHTML(w, d)
	}
	return answer(w, format, drawingJSON{finding.APIVersion, "Drawing", d})
}

type drawingJSON struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	*graph.Drawing
}

// toFile runs what writes an answer, to the file that was asked for, if any: as a whole,
// or not at all where there is none.
func (q *inquiry) toFile(env *Env, run func(*Env) error) error {
	if q.outputFile == "" {
		return run(env)
	}
	var out bytes.Buffer
	into := *env
	into.Stdout = &out
	err := run(&into)
	if out.Len() == 0 {
		return err
	}
	if failed := replaceFile(q.outputFile, func(w io.Writer) error { _, err := w.Write(out.Bytes()); return err }); failed != nil {
		return failed
	}
	return err
}
