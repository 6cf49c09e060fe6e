package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

func newNet(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "net",
		Short: "Ask who may talk to whom",
		Long: `Net answers questions about the network: which pods, nodes and addresses may talk to
which, under NetworkPolicies and the policies of both tiers, of files, charts and
snapshots that -f names, or of the cluster of the kubeconfig.`,
		Example: `  bulkhead net map
  bulkhead net can shop/Deployment/web shop/Deployment/db:5432 -f deploy/`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newNetMap(env), newNetCan(env), newNetCheck(env), newNetDiff(env), newNetGraph(env), newNetGenerate(env))
	c.AddCommand(newNetExplain(env))
	c.AddCommand(newNetLint(env), newNetBlast(env))
	return c
}

// netInquiry is a question about the network of an input.
type netInquiry struct {
	inquiry
	cni string
	// in is the namespace that is asked about: all are read, as each may reach it.
	in string
}

func addNetFlags(fs *pflag.FlagSet, q *netInquiry) {
	addInquiryFlags(fs, &q.inquiry)
	fs.StringVarP(&q.in, "namespace", "n", "", "namespace to ask about")
	addCNIFlag(fs, q)
}

func addCNIFlag(fs *pflag.FlagSet, q *netInquiry) {
	fs.StringVar(&q.cni, "cni", reach.Upstream.Name, "network plugin to judge for, where plugins differ: "+strings.Join(reach.ProfileNames(), ", "))
}

// cluster reads the input, and says what of it counts for nothing or is not understood.
func (q *netInquiry) cluster(ctx context.Context, env *Env) (*reach.Cluster, *model.World, error) {
	profile, err := reach.ParseProfile(q.cni)
	if err != nil {
		return nil, nil, usageError{err}
	}
	w, err := q.networkWorld(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	c := reach.NewCluster(w, profile)
	sayProblems(env, c)
	return c, w, nil
}

// networkWorld reads the input.
func (q *netInquiry) networkWorld(ctx context.Context, env *Env) (*model.World, error) {
	q.layers = []string{string(finding.LayerNetwork)}
	return q.world(ctx, env, slices.Concat(reach.Kinds(), entry.Kinds())...)
}

// sayProblems says what counts for nothing.
func sayProblems(env *Env, c *reach.Cluster) {
	for _, p := range c.Problems {
		at := p.Object.String()
		if p.At != nil {
			at = fmt.Sprintf("%s:%d: %s", p.At.File, p.At.Line, at)
		}
		fmt.Fprintf(env.Stderr, "bulkhead: %s counts for nothing: %s\n", report.Printable(at), report.Printable(p.Reason))
	}
}

// unread says what of the network could not be read; empty where all of it was.
func unread(c *reach.Cluster, w *model.World) (out []string) {
	for _, u := range w.Coverage() {
		if slices.Contains(reach.Kinds(), u.GroupKind) {
			out = append(out, fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
		}
	}
	for _, o := range c.Unknown {
		out = append(out, notUnderstood(o))
	}
	return out
}

func notUnderstood(o *model.Object) string {
	if o.Group == "policy.networking.k8s.io" {
		return fmt.Sprintf("%s is not valid, and what a network plugin makes of it is not defined", o.Ref())
	}
	return fmt.Sprintf("%s is a policy of a network plugin, which is not understood", o.Ref())
}
