package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

func newRBAC(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "rbac",
		Short: "Ask who may do what",
		Long: `Rbac answers questions about roles and bindings, as the authorizer of the API server
answers them: of files, charts and snapshots that -f names, or of the cluster of the
kubeconfig.`,
		Example: `  bulkhead rbac who-can get secrets
  bulkhead rbac can sa/shop/web -f deploy/
  bulkhead rbac escalations`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newWhoCan(env), newCan(env), newEscalations(env), newRBACFix(env), newRBACGraph(env), newRBACGenerate(env), newRBACCheck(env), newRBACLint(env), newRBACDiff(env))
	return c
}

// inquiry is a question about an input.
type inquiry struct {
	scanFlags
	files  []string
	format string
	// forms are those of the answer, the first by default; where there are none, they are
	// questionFormats.
	forms      []string
	outputFile string
	// minor is the release of the input: 1.minor.
	minor int
}

// questionFormats are the forms of an answer.
var questionFormats = []string{"table", "json", "yaml"}

func addInquiryFlags(fs *pflag.FlagSet, q *inquiry) {
	fs.SortFlags = false
	fs.StringArrayVarP(&q.files, "filename", "f", nil, "file, folder, chart or snapshot to ask of instead of the cluster, or - for standard input; repeatable")
	if q.forms == nil {
		q.forms = questionFormats
	} else {
		addOutputFile(fs, q)
	}
	fs.StringVarP(&q.format, "output", "o", q.forms[0], strings.Join(q.forms, ", "))
	addChartFlags(fs, &q.helm)
	fs.StringVar(&q.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addClusterFlags(fs, &q.live)
}

// world reads the input of the question: one world of all that was named. More are
// kinds to read beside those of RBAC.
func (q *inquiry) world(ctx context.Context, env *Env, more ...model.GroupKind) (*model.World, error) {
	if !slices.Contains(q.forms, q.format) {
		return nil, usageError{fmt.Errorf("unknown output format %q: use %s", q.format, strings.Join(q.forms, ", "))}
	}
	if q.profile = "all"; q.layers == nil {
		q.layers = []string{string(finding.LayerRBAC)}
	}
	s, err := newScanOf(env, &q.scanFlags)
	if err != nil {
		return nil, err
	}
	s.moreKinds = more
	read := s.readLive // of a cluster only the namespace that is asked about is read
	if len(q.files) > 0 {
		read, s.namespace = s.readPaths, "" // to files, -n would say where objects are that do not
	}
	snapshot, err := read(ctx, q.files)
	if err != nil {
		return nil, err
	}
	q.minor = s.minor
	for _, p := range snapshot.Problems {
		fmt.Fprintf(env.Stderr, "bulkhead: %s:%d: %s\n", p.Location.File, p.Location.Line, report.Printable(p.Message))
	}
	// What could not be read may be anything that the answer depends on.
	var unread []model.Unobserved
	for _, p := range snapshot.Problems {
		for _, gk := range append(rbac.Kinds(), more...) {
			unread = append(unread, model.Unobserved{GroupKind: gk, Reason: p.Location.File + " could not be read"})
		}
	}
	return joinWorlds(snapshot.Worlds, unread...), nil
}

// joinWorlds takes worlds together: a role of one input may be bound in another. Beside
// what they lack, unread is missing.
func joinWorlds(worlds []*model.World, unread ...model.Unobserved) *model.World {
	if len(worlds) == 1 && len(unread) == 0 {
		return worlds[0]
	}
	var objects []*model.Object
	o := model.WorldOptions{Complete: true, Unobserved: unread}
	for _, w := range worlds {
		objects = append(objects, w.Objects...)
		o.Complete, o.Live = o.Complete && w.Complete, o.Live || w.Live
		o.Unobserved = append(o.Unobserved, w.Coverage()...)
	}
	return model.NewWorld(objects, o)
}

// access reads the input and says what of it grants nothing.
func (q *inquiry) access(ctx context.Context, env *Env, more ...model.GroupKind) (*rbac.Access, *model.World, error) {
	w, err := q.world(ctx, env, more...)
	if err != nil {
		return nil, nil, err
	}
	a := rbac.AccessOf(w)
	for _, p := range a.Problems() {
		fmt.Fprintf(env.Stderr, "bulkhead: %s grants nothing: %s\n", report.Printable(p.Object.String()), report.Printable(p.Reason))
	}
	return a, w, nil
}

// answer writes what was found, in a form for machines.
func answer(w io.Writer, format string, v any) error {
	if format == "yaml" {
		data, err := yaml.Marshal(v)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// no is the answer to a yes/no question, or that nothing is known.
func no(unknown string) error {
	if unknown != "" {
		return outcomeError{exitIncomplete, "bulkhead: the answer is incomplete: " + unknown}
	}
	return outcomeError{exitFindings, ""}
}

// grantJSON is a grant as machines read it.
type grantJSON struct {
	Binding  string            `json:"binding,omitempty"`
	Role     string            `json:"role,omitempty"`
	Written  string            `json:"writtenIn,omitempty"`
	Rule     int               `json:"rule"`
	Location *finding.Location `json:"location,omitempty"`
}

func newGrantJSON(g rbac.Grant) grantJSON {
	if g.Binding == nil {
		return grantJSON{Binding: "none: " + masters}
	}
	out := grantJSON{Binding: g.Binding.String(), Role: g.Role.String(), Rule: g.Rule, Location: g.At}
	if *g.Written != *g.Role {
		out.Written = g.Written.String()
	}
	return out
}

const masters = "system:masters is let through before RBAC is asked"

// chain says in words by which binding and rule something is granted.
func chain(g rbac.Grant) string {
	if g.Binding == nil {
		return masters
	}
	text := fmt.Sprintf("%s %s -> %s %s, rule %d", g.Binding.Kind, g.Binding.Name, g.Role.Kind, g.Role.Name, g.Rule+1)
	if *g.Written != *g.Role {
		text += " of " + g.Written.Name
	}
	if g.At != nil {
		text += fmt.Sprintf(" (%s:%d)", g.At.File, g.At.Line)
	}
	return text
}
