package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/generate"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netGenerate is what policies are asked for.
type netGenerate struct {
	netInquiry
	flows, namespaces, apiServer, nodes []string
	manifests, denyOnly, dns, force     bool
	public, dir                         string
}

// netGenerateFormats are the forms of policies.
var netGenerateFormats = []string{"yaml", "json"}

func newNetGenerate(env *Env) *cobra.Command {
	q := &netGenerate{}
	q.forms = netGenerateFormats
	c := &cobra.Command{
		Use:   "generate [INTENTS.yaml...]",
		Short: "Write network policies that let through what is wanted, and prove it",
		Long: `Generate writes NetworkPolicies: a default denial for each namespace, both ways, and a
policy for each workload with what it needs. What that is comes from files of kind
NetworkCheck (allow, only, tiers, internetOnlyBy, dns), from flows that were seen
(--flows), or, where neither is given, from the manifests themselves: Services that
variables, arguments and ConfigMaps name, what Services, Ingresses and Gateways expose,
webhooks, and what Prometheus scrapes. DNS is always let through.

Policies that are there stay as they are, and what they let through needs no new rule;
those of an earlier run are replaced. What cannot be derived is listed on standard error,
and never guessed.

What is written is proven: everything that is wanted passes, nothing else is open beyond
what policies of others let through, and each rule is needed. The exit code is 0 where that
is so, 1 where something of it is not, 2 where a file is wrong, and 3 where something is
not known.`,
		Example: `  # from the manifests
  bulkhead net generate -f deploy/ > policies.yaml
  bulkhead net generate -f deploy/ --output-dir deploy/policies

  # from what the team intends, and from flows of Hubble
  bulkhead net generate network.yaml -f deploy/
  hubble observe --since 24h -o json | bulkhead net generate --flows - -n shop

  # from flows of any other source: a line for each
  echo '{"from": "shop/Deployment/web", "to": "shop/Deployment/db", "port": 5432}' > flows.jsonl
  bulkhead net generate --flows flows.jsonl -f deploy/

  # the safe first step, and what it would break
  bulkhead net generate --namespace-default-deny -f deploy/`,
		RunE: func(c *cobra.Command, args []string) error {
			return q.toFile(env, func(env *Env) error { return runNetGenerate(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	addInquiryFlags(fs, &q.inquiry)
	fs.StringSliceVarP(&q.namespaces, "namespace", "n", nil, "namespaces to write policies for (default all with workloads, but those of the system)")
	addCNIFlag(fs, &q.netInquiry)
	fs.StringArrayVar(&q.flows, "flows", nil, "file of flows that were seen, one JSON object a line, as Hubble writes them or {\"from\", \"to\", \"port\", \"protocol\"}; - for standard input; repeatable")
	fs.BoolVar(&q.manifests, "manifests", false, "derive from manifests beside intents and flows")
	fs.BoolVar(&q.denyOnly, "namespace-default-deny", false, "write the default denials and DNS only, and list what they would break")
	fs.BoolVar(&q.dns, "dns", true, "let all pods resolve names")
	fs.StringSliceVar(&q.apiServer, "api-server", nil, "block of addresses that the API server is in, such as 10.0.0.1/32")
	fs.StringSliceVar(&q.nodes, "nodes", nil, "block of addresses that nodes are in, for pods in the network of their node")
	fs.StringVar(&q.public, "world", "addresses", "what public addresses in flows are let through as: addresses, one by one, or internet")
	fs.StringVar(&q.dir, "output-dir", "", "write a file for each namespace here")
	fs.BoolVar(&q.force, "force", false, "replace files of --output-dir that somebody else wrote")
	return c
}

// check refuses flags that are wrong, or that do not go together.
func (q *netGenerate) check(paths []string) error {
	for _, block := range slices.Concat(q.apiServer, q.nodes) {
		if _, err := netip.ParsePrefix(block); err != nil {
			return usageError{fmt.Errorf("%q is no block of addresses: write 10.0.0.0/16, or 10.0.0.1/32 for one", block)}
		}
	}
	if q.public != "addresses" && q.public != "internet" {
		return usageError{fmt.Errorf("--world is %q: use addresses or internet", q.public)}
	}
	if q.dir != "" && q.outputFile != "" {
		return usageError{errors.New("--output-dir and --output-file are two places for the same: leave one out")}
	}
	if q.dir != "" && q.format != "yaml" {
		return usageError{errors.New("--output-dir writes YAML: leave out -o")}
	}
	stdin := 0
	for _, name := range slices.Concat(paths, q.flows, q.files) {
		if name == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return usageError{errors.New("standard input can be read once: name - for one of intents, flows and -f")}
	}
	return nil
}

func runNetGenerate(ctx context.Context, env *Env, q *netGenerate, paths []string) error {
	if err := q.check(paths); err != nil {
		return err
	}
	var assertions []*intent.Assertion
	if len(paths) > 0 {
		objects, err := readKind(ctx, env, paths, intent.Kind)
		if err != nil {
			return err
		}
		for _, o := range objects {
			of, err := intent.Parse(o, "")
			if err != nil {
				return usageError{shown{err}}
			}
			assertions = append(assertions, of...)
		}
	}
	profile, err := reach.ParseProfile(q.cni)
	if err != nil {
		return usageError{err}
	}
	q.layers = []string{string(finding.LayerNetwork)}
	w, err := q.world(ctx, env, slices.Concat(reach.Kinds(), entry.Kinds(), generate.Kinds())...)
	if err != nil {
		return err
	}
	c := reach.NewCluster(w, profile)
	sayProblems(env, c)
	g := &generation{netGenerate: q, env: env, world: w, cluster: c, assertions: assertions}
	if err := g.run(); err != nil {
		return err
	}
	return g.write()
}

// generation is one run.
type generation struct {
	*netGenerate
	env        *Env
	world      *model.World
	cluster    *reach.Cluster
	assertions []*intent.Assertion

	in      []string
	set     *generate.Set
	proof   *generate.Proof
	intents []intent.Result
	breaks  []generate.Failure
	flowsOf *generate.Flows
	// unread says which sources could not all be read.
	unread []string
}

// run makes the policies, and proves them.
func (g *generation) run() error {
	if g.in = slices.Clone(g.namespaces); len(g.in) == 0 {
		g.in = generate.DefaultNamespaces(g.cluster)
	}
	slices.Sort(g.in)
	if g.in = slices.Compact(g.in); len(g.in) == 0 {
		return usageError{errors.New("there is no workload to write policies for, but for those of the system; name a namespace with -n if these are meant")}
	}
	for _, ns := range g.in {
		if wrong := validation.IsDNS1123Label(ns); len(wrong) > 0 { // it becomes the name of a file
			return usageError{fmt.Errorf("%q is no name of a namespace: %s", report.Printable(ns), wrong[0])}
		}
		if !slices.ContainsFunc(g.cluster.Pods, func(p *reach.Pod) bool { return p.Namespace == ns }) {
			return usageError{fmt.Errorf("there is no workload in namespace %s", ns)}
		}
	}
	wanted, err := g.derive()
	if err != nil {
		return err
	}
	names := g.names()
	request := &generate.Request{Cluster: g.cluster, World: g.world, Namespaces: g.in, Nodes: g.nodes}
	all := wanted
	if all.Add(names); g.denyOnly {
		request.Wants = names.Wants
	} else {
		request.Wants = all.Wants
	}
	request.Assumed, request.Notes = all.Assumed, all.Notes
	if g.set, err = generate.Generate(request); err != nil {
		return err
	}
	if g.proof, err = g.set.Prove(); err != nil {
		return err
	}
	if g.denyOnly {
		if g.breaks, err = g.set.Breaks(wanted.Wants); err != nil {
			return err
		}
		return nil
	}
	if len(g.assertions) > 0 {
		after, err := g.set.After()
		if err != nil {
			return err
		}
		g.intents = intent.Prove(reach.New(after), g.world, g.assertions, unseen(g.world))
	}
	return nil
}

// derive asks the sources.
func (g *generation) derive() (out generate.Derived, err error) {
	if len(g.assertions) > 0 {
		out.Add(generate.FromIntents(g.world, reach.New(g.cluster), g.assertions, g.in))
	}
	if len(g.flows) > 0 {
		flows := generate.NewFlows(g.cluster, generate.FlowOptions{Internet: g.public == "internet", APIServer: g.apiServer, Nodes: g.nodes})
		for _, path := range g.flows {
			if err := g.readFlows(flows, path); err != nil {
				return out, usageError{err}
			}
		}
		g.flowsOf = flows
		out.Add(flows.Derived())
	}
	if g.manifests || len(g.assertions)+len(g.flows) == 0 {
		out.Add(generate.FromManifests(g.world, g.cluster, generate.ManifestOptions{Namespaces: g.in, APIServer: g.apiServer}))
		for _, u := range g.world.Coverage() {
			if slices.Contains(slices.Concat(entry.Kinds(), generate.Kinds()), u.GroupKind) {
				g.unread = append(g.unread, fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
			}
		}
	}
	return out, nil
}

func (g *generation) readFlows(flows *generate.Flows, path string) error {
	if path == "-" {
		return flows.Read(g.env.Stdin, "standard input")
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read flows: %w", err)
	}
	defer file.Close()
	return flows.Read(file, path)
}

// names are what resolves names, but where a team says that nothing leaves a namespace.
func (g *generation) names() (out generate.Derived) {
	if !g.dns {
		return out
	}
	var in []string
	for _, ns := range g.in {
		if a := silenced(g.assertions, ns); a != nil {
			out.Notes = append(out.Notes, generate.Note{Evidence: generate.Evidence{Text: "names are not resolved there, as " + a.Name, At: a.At}, About: ns})
			continue
		}
		in = append(in, ns)
	}
	out.Add(generate.FromResolver(g.world, g.cluster, in))
	return out
}

// silenced is the assertion that says that nothing leaves a namespace.
func silenced(assertions []*intent.Assertion, namespace string) *intent.Assertion {
	for _, a := range assertions {
		if a.Form == intent.Isolated && a.Egress && a.In == namespace && len(a.Except) == 0 {
			return a
		}
	}
	return nil
}

// write writes the policies and what is found of them, and says the outcome.
func (g *generation) write() error {
	var err error
	switch {
	case g.dir != "":
		err = g.writeDir()
	case g.format == "json":
		err = answer(g.env.Stdout, "json", g.json())
	default:
		var text bytes.Buffer
		if err = generate.WriteYAML(&text, g.set.Policies); err == nil {
			_, err = io.Copy(g.env.Stdout, &text)
		}
	}
	if err != nil {
		return err
	}
	g.report(g.env.Stderr)
	return g.outcome()
}
