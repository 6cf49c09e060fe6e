package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

type rbacDiffFlags struct {
	inquiry
	twoStates
	// problems counts the inputs that could not be read.
	problems int
}

// What --fail-on of rbac diff may name.
const (
	failGained     = "gained"
	failLost       = "lost"
	failEscalation = "gained-escalation"
)

func newRBACDiff(env *Env) *cobra.Command {
	f := &rbacDiffFlags{inquiry: inquiry{forms: []string{"table", "json", "yaml", "md", "dot", "svg", "html"}}}
	c := &cobra.Command{
		Use:   "diff {OLD NEW | PATH... --live}",
		Short: "Tell what each subject may do more, or less, than before",
		Long: `Diff compares what subjects may do, not lines: a binding under another name, a rule
that is split in two or a role that is replaced by one that grants the same are no
difference. OLD and NEW are files, folders, charts or snapshots. Each permission that is
gained is told with the binding and the rule that give it, each one that is lost with
those that gave it. What the members of a group gain by it is told of the group.

Those who become cluster admin and could not before come first, with the steps; then
those who become somebody else by what they gain.

With --live the paths are compared with the cluster of the kubeconfig, as if they were
applied to it: roles and bindings of theirs replace those of the cluster, and all others
stay. The same happens where OLD is a snapshot of a cluster and NEW is files.

Exit codes: 1 where what --fail-on names has happened, 3 where something could not be
read without which there may be more, otherwise 0.`,
		Example: `  # what does this branch grant?
  git worktree add ../main main
  bulkhead rbac diff ../main/deploy deploy

  # a comment for the pull request, which fails where somebody becomes cluster admin
  bulkhead rbac diff ../main/deploy deploy -o md --fail-on gained-escalation > comment.md

  # what would applying it change in the cluster?
  bulkhead rbac diff deploy/ --live --context prod

  # between two snapshots
  bulkhead rbac diff monday.snapshot friday.snapshot -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.twoStates.check(c, args, &f.inquiry, failGained, failLost, failEscalation); err != nil {
				return err
			}
			return f.toFile(env, func(env *Env) error { return runRBACDiff(c.Context(), env, f, args) })
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.twoStates.addFlags(fs, &f.inquiry, "exit with 1 where a permission is gained, where one is lost, or for a gained-escalation (default none)")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge escalations for (default that of the cluster; of files 1.%d)", kubernetesMinor))
	return c
}

// read reads one of the two as one world: a role of one input may be bound in another.
// What cannot be read of it may hold a binding, so that it is counted.
func (f *rbacDiffFlags) read(ctx context.Context, env *Env, q *inquiry) (*model.World, error) {
	q.profile, q.layers = "all", []string{string(finding.LayerRBAC)}
	s, err := newScanOf(env, &q.scanFlags)
	if err != nil {
		return nil, err
	}
	s.moreKinds = rbac.EscalationKinds()
	read := s.readLive
	if len(q.files) > 0 {
		read = s.readPaths
	}
	snapshot, err := read(ctx, q.files)
	if err != nil {
		return nil, err
	}
	q.minor = s.minor
	for _, p := range snapshot.Problems {
		fmt.Fprintf(env.Stderr, "bulkhead: %s:%d: %s\n", p.Location.File, p.Location.Line, report.Printable(p.Message))
	}
	f.problems += len(snapshot.Problems)
	var objects []*model.Object
	o := model.WorldOptions{}
	for _, w := range snapshot.Worlds {
		if len(snapshot.Worlds) == 1 {
			return w, nil
		}
		objects = append(objects, w.Objects...)
		o.Live = o.Live || w.Live
		o.Unobserved = append(o.Unobserved, w.Coverage()...)
	}
	return model.NewWorld(objects, o), nil
}

// worlds reads what is compared: OLD and NEW, or a cluster before and after the paths
// are applied.
func (f *rbacDiffFlags) worlds(ctx context.Context, env *Env, args []string) (before, after *model.World, err error) {
	older, newer := f.inquiry, f.inquiry
	older.files, newer.files = args[:1], args[1:]
	if f.live {
		older.files, newer.files = nil, args
	}
	if before, err = f.read(ctx, env, &older); err != nil {
		return nil, nil, err
	}
	if f.minor = older.minor; f.live {
		newer.kubernetesVersion = fmt.Sprintf("1.%d", f.minor)
	}
	if after, err = f.read(ctx, env, &newer); err != nil {
		return nil, nil, err
	}
	switch {
	case before.Live == after.Live:
		return before, after, nil
	case after.Live:
		return nil, nil, usageError{fmt.Errorf("%s is a cluster and %s is not: name the cluster first, to see what the files would change in it", args[1], args[0])}
	}
	before, after = applied(before, after)
	return before, after, nil
}

// applied is a cluster before and after files are applied to it. In both the labels of
// aggregated roles are followed, as a controller does once the files are there.
func applied(cluster, files *model.World) (before, after *model.World) {
	type identity struct {
		model.GroupKind
		namespace, name string
	}
	of := func(o *model.Object) identity { return identity{o.GroupKind, o.Namespace, o.Name} }
	replaced := map[identity]bool{}
	for _, o := range files.Objects {
		replaced[of(o)] = true
	}
	objects := slices.Clone(files.Objects)
	for _, o := range cluster.Objects {
		if !replaced[of(o)] {
			objects = append(objects, o)
		}
	}
	options := model.WorldOptions{Complete: true, Unobserved: cluster.Coverage()}
	return model.NewWorld(cluster.Objects, options), model.NewWorld(objects, options)
}

// accessDiff is everything that a comparison has found.
type accessDiff struct {
	before, after *rbac.Access
	changes       []rbac.SubjectChange
	escalations   rbac.EscalationDiff
	unknown       []string
}

func runRBACDiff(ctx context.Context, env *Env, f *rbacDiffFlags, args []string) error {
	before, after, err := f.worlds(ctx, env, args)
	if err != nil {
		return err
	}
	d, err := compareAccess(before, after, f.minor)
	if err != nil {
		return err
	}
	if f.problems > 0 {
		d.unknown = append(d.unknown, plural(f.problems, "input could not be read", "inputs could not be read"))
	}
	for _, p := range d.after.Problems() {
		fmt.Fprintf(env.Stderr, "bulkhead: %s grants nothing: %s\n", report.Printable(p.Object.String()), report.Printable(p.Reason))
	}
	switch f.format {
	case "table":
		err = d.writeText(env.Stdout)
	case "md":
		err = d.writeMarkdown(env.Stdout)
	case "dot", "svg", "html":
		err = f.draw(env.Stdout, drawAccessDiff(d.before, d.after, "What a change grants"))
	default:
		err = answer(env.Stdout, f.format, d.json())
	}
	switch {
	case err != nil:
		return err
	case len(d.unknown) > 0:
		return no(strings.Join(d.unknown, "; "))
	case slices.ContainsFunc(f.failOn, d.is):
		return no("")
	}
	return nil
}

func compareAccess(before, after *model.World, minor int) (*accessDiff, error) {
	d := &accessDiff{before: rbac.AccessOf(before), after: rbac.AccessOf(after)}
	d.changes = rbac.Diff(d.before, d.after)
	could, err := d.before.Escalations(minor)
	if err != nil {
		return nil, err
	}
	can, err := d.after.Escalations(minor)
	if err != nil {
		return nil, err
	}
	d.escalations = rbac.DiffEscalations(could, can, d.changes)
	d.unknown = slices.Concat(could.Unknown(), can.Unknown())
	if n := d.escalations.Unfollowed; n > 0 {
		d.unknown = append(d.unknown, fmt.Sprintf("whom %s become was not looked at", plural(n, "more subject can", "more subjects can")))
	}
	slices.Sort(d.unknown)
	d.unknown = slices.Compact(d.unknown)
	return d, nil
}

// is reports whether what --fail-on names has happened.
func (d *accessDiff) is(what string) bool {
	escalation := len(d.escalations.Gained)+len(d.escalations.Becomes) > 0
	switch what {
	case failEscalation:
		return escalation
	case failGained:
		return escalation || slices.ContainsFunc(d.changes, func(c rbac.SubjectChange) bool { return len(c.Gained) > 0 })
	case failLost:
		return slices.ContainsFunc(d.changes, func(c rbac.SubjectChange) bool { return len(c.Lost) > 0 })
	}
	return false
}

// count is how many subjects gain and lose permissions.
func (d *accessDiff) count() (gain, lose int) {
	for _, c := range d.changes {
		if len(c.Gained) > 0 {
			gain++
		}
		if len(c.Lost) > 0 {
			lose++
		}
	}
	return gain, lose
}
