package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

type netGraphFlags struct {
	netInquiry
	compare []string
	all     bool
}

func newNetGraph(env *Env) *cobra.Command {
	q := &netGraphFlags{}
	q.forms = []string{"html", "svg", "dot", "json"}
	c := &cobra.Command{
		Use:   "graph",
		Short: "Draw who may talk to whom",
		Long: `Graph draws workloads in their namespaces, who may talk to whom and by which ports, and
addresses outside the cluster at the rim: on the left those that send, on the right those
that receive. Workloads that may do and receive exactly the same are one node, which says
who they are; --all draws each by itself. What all workloads may do is drawn once, from a
node that stands for all of them. Services that are open to outside, Ingresses and Gateways
are nodes that lead to workloads, and who can use them is at the left: an edge tells whether
policies let that in.

The page (html) is one file that loads nothing: namespaces open and close, and an edge
tells the rules that allow it, with file and line. The picture (svg) is for documents, dot
is for Graphviz, json for other programs.

With -n only connections of a namespace are drawn, to and from others too. --compare draws
what has changed since another state: connections, workloads and ways in that are gained,
lost and kept.`,
		Example: `  # a cluster, as a page
  bulkhead net graph --output-file net.html

  # one namespace of files, as a picture
  bulkhead net graph -f deploy/ -n shop -o svg --output-file shop.svg

  # what policies change
  bulkhead net graph --compare deploy/ -f deploy/ -f policies/ --output-file policies.html`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return q.toFile(env, func(env *Env) error { return runNetGraph(c.Context(), env, q) })
		},
	}
	c.Flags().BoolVar(&q.all, "all", false, "draw each workload by itself")
	c.Flags().StringArrayVar(&q.compare, "compare", nil, "file, folder, chart or snapshot of the state before; repeatable")
	addNetFlags(c.Flags(), &q.netInquiry)
	return c
}

// pageForBrowser refuses to write a page to a terminal.
func (q *inquiry) pageForBrowser(env *Env) error {
	if _, shown := terminal(env.Stdout); shown && q.format == "html" {
		return usageError{errors.New("a page is for a browser and not for a terminal: name a file with --output-file, or another format with -o")}
	}
	return nil
}

func runNetGraph(ctx context.Context, env *Env, q *netGraphFlags) error {
	if err := q.pageForBrowser(env); err != nil {
		return err
	}
	var d *reach.Difference
	var unknown []string
	ways := &netWays{}
	title := "Who may talk to whom"
	parts := []reach.Part{reach.Kept}
	if len(q.compare) > 0 {
		compared, err := compareNetworks(ctx, env, &q.netInquiry, q.compare, q.files)
		if err != nil {
			return err
		}
		points := compared.points(q.in)
		ways.before, ways.after, ways.changes = points[0], points[1], entry.Compare(points[0], points[1])
		d, unknown = compared.Difference, compared.unknown
		title, parts = title+", compared with before", []reach.Part{reach.Gained, reach.Lost, reach.Kept}
	} else {
		c, w, err := q.cluster(ctx, env)
		if err != nil {
			return err
		}
		e := reach.New(c)
		ways.after = entry.New(w, e)
		d, unknown = reach.Compare(e, e), append(unread(c, w), unreadEntries(ways.after)...)
		if q.in != "" {
			ways.after = pointsIn(ways.after, q.in)
		}
	}
	if q.in != "" {
		title += ": namespace " + q.in
	}
	n := newNetDrawing(d, title)
	n.namespace, n.single, n.ways = q.in, q.all, ways
	n.unknown(unknown)
	for _, part := range parts {
		n.add(changesIn(d, part, q.in))
	}
	if err := q.draw(env.Stdout, n.picture()); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return no(strings.Join(unknown, "; "))
	}
	return nil
}
