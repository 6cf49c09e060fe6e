package cli

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

type netDiffFlags struct {
	netInquiry
	twoStates
}

func newNetDiff(env *Env) *cobra.Command {
	f := &netDiffFlags{}
	f.forms = slices.Concat([]string{"table", "wide", "json", "yaml", "md", "csv"}, pictures)
	c := &cobra.Command{
		Use:   "diff {OLD NEW | PATH... --live}",
		Short: "Tell which connections and ways in are gained, and which are lost",
		Long: `Diff compares who may talk to whom, not lines: a policy under another name, or a rule
that is split in two, is no difference. OLD and NEW are files, folders, charts or
snapshots. Connections of workloads that are new, or gone, are told apart from those
between workloads that are in both. One of each lot is explained: by which rules it is
allowed, and what stops it in the other state. -o wide names all workloads and addresses of
each lot, and -o csv has a line for each pair.

Ways in are Services, Ingresses, Gateways and ports of nodes by which addresses outside of
the cluster get to workloads: one is gained where more addresses do, by another port or to
another workload. Where one of the states does not say whether policies stop it, it is told
as not known.

With --live the paths are compared with the cluster of the kubeconfig, as if they were
applied to it: objects of theirs replace those of the cluster, and all others stay. The
same happens where OLD is a snapshot of a cluster and NEW is files.

Exit codes: 1 where what --fail-on names has happened, 3 where something could not be
read without which there may be more, or where what --fail-on names may have happened to a
way in, otherwise 0.`,
		Example: `  # what does this branch open, and what does it break?
  git worktree add ../main main
  bulkhead net diff ../main/deploy deploy

  # a comment for the pull request, which fails where a connection is gained
  bulkhead net diff ../main/deploy deploy -o md --fail-on gained > comment.md

  # what would applying it change in the cluster, as a page
  bulkhead net diff deploy/ --live -o html --output-file diff.html`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.twoStates.check(c, args, &f.inquiry, failGained, failLost); err != nil {
				return err
			}
			return f.toFile(env, func(env *Env) error { return runNetDiff(c.Context(), env, f, args) })
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.twoStates.addFlags(fs, &f.inquiry, "exit with 1 where a connection or a way in is gained, or where one is lost (default none)")
	fs.StringVarP(&f.in, "namespace", "n", "", "only connections of this namespace")
	addCNIFlag(fs, &f.netInquiry)
	return c
}

// comparedNetworks are two states of a network, and how they differ.
type comparedNetworks struct {
	*reach.Difference
	worlds [2]*model.World
	// unknown is what could not be read.
	unknown []string
}

// compareNetworks reads two states of a network, and compares them. Without older paths
// the first is the cluster of the kubeconfig.
func compareNetworks(ctx context.Context, env *Env, q *netInquiry, older, newer []string) (*comparedNetworks, error) {
	profile, err := reach.ParseProfile(q.cni)
	if err != nil {
		return nil, usageError{err}
	}
	var worlds [2]*model.World
	for i, paths := range [][]string{older, newer} {
		one := *q
		one.files = paths
		if worlds[i], err = one.networkWorld(ctx, env); err != nil {
			return nil, err
		}
	}
	switch {
	case worlds[0].Live == worlds[1].Live:
	case worlds[1].Live:
		return nil, usageError{fmt.Errorf("%s is a cluster and %s is not: name the cluster first, to see what the files would change in it", strings.Join(newer, ", "), strings.Join(older, ", "))}
	default:
		worlds[1] = appliedToNetwork(worlds[0], worlds[1])
	}
	var engines [2]*reach.Engine
	var unknown []string
	for i, w := range worlds {
		c := reach.NewCluster(w, profile)
		if i == 1 {
			sayProblems(env, c)
		}
		unknown = append(unknown, unread(c, w)...)
		engines[i] = reach.New(c)
	}
	return &comparedNetworks{reach.Compare(engines[0], engines[1]), worlds, compacted(unknown)}, nil
}

func compacted(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// points are the ways in of both states, those of a namespace if one is named. What of them
// could not be read is added to what is unknown.
func (c *comparedNetworks) points(namespace string) (out [2]*entry.Points) {
	for i, e := range []*reach.Engine{c.Before, c.After} {
		out[i] = entry.New(c.worlds[i], e)
		c.unknown = append(c.unknown, unreadEntries(out[i])...)
		if namespace != "" {
			out[i] = pointsIn(out[i], namespace)
		}
	}
	c.unknown = compacted(c.unknown)
	return out
}

// appliedToNetwork is a cluster once files are applied to it. Pods that run stay, but for
// those that would be made anew with other labels or ports, or in another network.
func appliedToNetwork(cluster, files *model.World) *model.World {
	replaced, old := map[model.ID]*model.Object{}, map[model.ID]*model.Object{}
	for _, o := range files.Objects {
		replaced[o.ID()] = o
	}
	for _, o := range cluster.Objects {
		old[o.ID()] = o
	}
	anew := func(o *model.Object) bool {
		for range 8 { // as for the pods of a cluster: a bound, should owners form a ring
			owner, managed := o.Controller()
			if !managed {
				return false
			}
			if now := replaced[owner.ID]; now != nil {
				return !sameOnNetwork(old[owner.ID], now)
			}
			if o = old[owner.ID]; o == nil {
				return false
			}
		}
		return false
	}
	objects := slices.Clone(files.Objects)
	for i, o := range objects {
		objects[i] = withStatus(o, old[o.ID()])
	}
	for _, o := range cluster.Objects {
		if replaced[o.ID()] == nil && !anew(o) {
			objects = append(objects, o)
		}
	}
	return model.NewWorld(objects, model.WorldOptions{Live: true, Unobserved: slices.Concat(cluster.Coverage(), files.Coverage())})
}

// withStatus is a Service with the status that it has in the cluster, which says whether the
// address of its load balancer is a private one: applying a file does not change it.
func withStatus(o, was *model.Object) *model.Object {
	status, written := o.Content["status"], o.Content["status"] != nil
	if was != nil {
		status = was.Content["status"]
	}
	if o.GroupKind != (model.GroupKind{Kind: "Service"}) || was == nil || status == nil || written || o.Text("spec", "type") != was.Text("spec", "type") {
		return o
	}
	out := *o
	out.Content = maps.Clone(o.Content)
	out.Content["status"] = status
	return &out
}

// sameOnNetwork reports whether policies cannot tell apart the pods that two objects make.
func sameOnNetwork(a, b *model.Object) bool {
	if a == nil || a.Pod() == nil || b.Pod() == nil {
		return false
	}
	ports := func(o *model.Object) (out []any) {
		for c := range o.Pod().Containers() {
			ports, _ := c.Content["ports"].([]any)
			for _, port := range ports {
				out = append(out, portGiven(port))
			}
		}
		return append(out, model.Get(o.Pod().Spec, "hostNetwork"))
	}
	return maps.Equal(a.Pod().Labels(), b.Pod().Labels()) && reflect.DeepEqual(ports(a), ports(b))
}

// portGiven is a port of a container with the protocol that the API server gives it.
func portGiven(port any) any {
	content, ok := port.(map[string]any)
	if !ok || content["protocol"] != nil {
		return port
	}
	out := maps.Clone(content)
	out["protocol"] = "TCP"
	return out
}

// netDiff is what a comparison has found.
type netDiff struct {
	*reach.Difference
	// lots are what is gained and then what is lost, between workloads of both states and
	// then of those that are new or gone.
	lots []netLot
	// ways are those in that are gained or lost, points all ways in of both states.
	ways    []entry.Change
	points  [2]*entry.Points
	unknown []string
	names   map[reach.Part]*setNames
	// said counts the changes that were explained.
	said int
	// wide names and explains all.
	wide bool
}

// netLot are changes of one kind.
type netLot struct {
	part    reach.Part
	fresh   bool
	changes []reach.Change
}

func runNetDiff(ctx context.Context, env *Env, f *netDiffFlags, args []string) error {
	if err := f.pageForBrowser(env); err != nil {
		return err
	}
	older, newer := []string(nil), args
	if !f.live {
		older, newer = args[:1], args[1:]
	}
	compared, err := compareNetworks(ctx, env, &f.netInquiry, older, newer)
	if err != nil {
		return err
	}
	d := sortNetDiff(compared.Difference, f.in)
	d.points = compared.points(f.in)
	d.ways, d.unknown = entry.Compare(d.points[0], d.points[1]), compared.unknown
	switch f.format {
	case "table":
		err = d.writeText(env.Stdout)
	case "wide":
		err = d.everyOne().writeText(env.Stdout)
	case "md":
		err = d.writeMarkdown(env.Stdout)
	case "csv":
		err = d.writeCSV(env)
	case "json", "yaml":
		err = answer(env.Stdout, f.format, d.json())
	default:
		err = f.draw(env.Stdout, d.drawing(f.in))
	}
	switch {
	case err != nil:
		return err
	case len(d.unknown) > 0:
		return no(strings.Join(d.unknown, "; "))
	case slices.ContainsFunc(f.failOn, d.is):
		return no("")
	}
	if why := d.perhapsWays(f.failOn); why != "" {
		return no(why)
	}
	return nil
}

// sortNetDiff makes lots of what has changed.
func sortNetDiff(compared *reach.Difference, namespace string) *netDiff {
	d := &netDiff{Difference: compared, names: map[reach.Part]*setNames{
		reach.Gained: newSetNames(compared.After.Workloads()), reach.Lost: newSetNames(compared.Before.Workloads())}}
	for _, part := range []reach.Part{reach.Gained, reach.Lost} {
		var old, fresh []reach.Change
		for _, c := range changesIn(compared, part, namespace) {
			o, n := c.Fresh()
			old, fresh = append(old, o...), append(fresh, n...)
		}
		d.lots = append(d.lots, netLot{part, false, old}, netLot{part, true, fresh})
	}
	slices.SortStableFunc(d.lots, func(a, b netLot) int {
		switch {
		case a.fresh == b.fresh:
			return 0
		case a.fresh:
			return 1
		}
		return -1
	})
	return d
}

// changesIn are the changes of which some end is in a namespace; all where it is empty.
func changesIn(d *reach.Difference, part reach.Part, namespace string) (out []reach.Change) {
	for _, c := range d.Changes(part) {
		if namespace == "" {
			out = append(out, c)
		} else {
			out = append(out, c.Within(namespace)...)
		}
	}
	return out
}

// failParts are what --fail-on names.
var failParts = map[string]reach.Part{failGained: reach.Gained, failLost: reach.Lost, "none": reach.Kept}

// is reports whether what --fail-on names has happened.
func (d *netDiff) is(what string) bool {
	return d.countWays(failParts[what], true) > 0 ||
		slices.ContainsFunc(d.lots, func(l netLot) bool { return l.part == failParts[what] && len(l.changes) > 0 })
}

// count is how many connections are gained or lost, of both states and of workloads that
// are new or gone.
func (d *netDiff) count(part reach.Part, fresh bool) (n int) {
	for _, l := range d.lots {
		if l.part == part && l.fresh == fresh {
			for _, c := range l.changes {
				n += c.Connections()
			}
		}
	}
	return n
}
