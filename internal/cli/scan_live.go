package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/userpolicy"
)

// liveFlags are those of a scan of a cluster, kubectl's own among them.
type liveFlags struct {
	kube          *genericclioptions.ConfigFlags
	allNamespaces bool
	selector      string
	noSecrets     bool
	// names are the flags that mean nothing for files.
	names []string
}

// fileFlags mean nothing for a cluster.
var fileFlags = []string{"complete", "values", "set", "set-string", "set-file", "set-json"}

// addLiveFlags adds kubectl's flags, with kubectl's meanings. -n is not among them:
// scan has it for files as well.
func addLiveFlags(fs *pflag.FlagSet, f *scanFlags) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = false
	own.BoolVarP(&f.live.allNamespaces, "all-namespaces", "A", false, "read every namespace of the cluster, whatever -n says")
	own.StringVarP(&f.live.selector, "selector", "l", "", "judge only objects of the cluster with these labels, as kubectl has it: key=value,other!=value")
	own.BoolVar(&f.live.noSecrets, "no-secrets", false, "do not list Secrets of the cluster; controls that need them are unknown")
	addClusterFlags(own, &f.live)
	own.VisitAll(func(flag *pflag.Flag) { f.live.names = append(f.live.names, flag.Name) })
	fs.AddFlagSet(own)
}

// addClusterFlags adds kubectl's flags that say which cluster, and as whom.
func addClusterFlags(fs *pflag.FlagSet, f *liveFlags) {
	f.kube = genericclioptions.NewConfigFlags(true)
	f.kube.Namespace, f.kube.CacheDir = nil, nil
	f.kube.AddFlags(fs)
}

// checkInput refuses flags that mean nothing for what is scanned.
func (f *scanFlags) checkInput(c *cobra.Command, paths []string) error {
	f.command = commandOf(c)
	names, of := f.live.names, "a cluster, which is scanned where no path is named"
	if len(paths) == 0 {
		names, of = fileFlags, "files; name them"
	}
	for _, name := range names {
		if c.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s is for a scan of %s\nSee %s --help", name, of, c.CommandPath())}
		}
	}
	if len(paths) == 0 && f.namespace != "" && !f.live.allNamespaces && len(f.onlyNamespaces) == 0 {
		f.onlyNamespaces = []string{f.namespace}
	}
	return nil
}

// commandOf is a command as advice repeats it.
func commandOf(c *cobra.Command) report.Command {
	program := c.Root().CommandPath()
	out := report.Command{Program: program, Verb: strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), program))}
	if c.Flags().Lookup("filename") != nil {
		out.InputFlag = "-f"
	}
	return out
}

var errNoCluster = errors.New("there is no path and no kubeconfig: name the files, folders or charts to scan (- for standard input), " +
	"or the cluster with --kubeconfig FILE, the variable KUBECONFIG or ~/.kube/config\nSee bulkhead scan --help")

// connect returns how to reach the cluster of the kubeconfig, and its name.
func (f *liveFlags) connect() (*rest.Config, string, error) {
	// What is wrong is said once, by this program.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	raw, err := f.kube.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, "", usageError{fmt.Errorf("the kubeconfig cannot be read: %w; name another with --kubeconfig FILE", err)}
	}
	name := cmp.Or(*f.kube.Context, raw.CurrentContext)
	if len(raw.Clusters) == 0 && *f.kube.APIServer == "" {
		if _, err := rest.InClusterConfig(); err != nil {
			return nil, "", usageError{errNoCluster}
		}
	}
	config, err := f.kube.ToRESTConfig()
	if err != nil {
		return nil, "", usageError{fmt.Errorf("the kubeconfig names no cluster that can be asked: %w; see kubectl config get-contexts", err)}
	}
	// As many as kubectl; the API server shares itself out by priority and fairness.
	config.QPS, config.Burst = 50, 300
	config.UserAgent = "bulkhead/" + version()
	config.WarningHandler = rest.NoWarnings{}
	if name == "" {
		return config, config.Host, nil
	}
	return config, "context " + name, nil
}

// selected says which objects have the labels of --selector; nil without one.
func (s *scan) selected() (func(*model.Object) bool, error) {
	selector, err := labels.Parse(s.live.selector)
	if err != nil {
		return nil, usageError{fmt.Errorf("--selector: %w", err)}
	}
	if selector.Empty() {
		return nil, nil
	}
	return func(o *model.Object) bool { return o != nil && selector.Matches(labels.Set(o.Labels())) }, nil
}

// judgeCluster reads the cluster of the kubeconfig and judges it.
func (s *scan) judgeCluster(ctx context.Context) (*model.Snapshot, *check.Outcome, error) {
	selected, err := s.selected()
	if err != nil {
		return nil, nil, err
	}
	p := newProgress(s.env)
	p.what = "kinds"
	defer p.done()
	snapshot, err := s.readCluster(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	runner, err := s.newRunner(p, selected)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range snapshot.Worlds {
		if err := runner.Judge(userpolicy.InWorld(ctx, w), w); err != nil {
			return nil, nil, err
		}
	}
	return snapshot, runner.Outcome(), ctx.Err()
}

// readCluster reads the cluster of the kubeconfig. Its release is the one to judge
// for, unless another is asked for.
func (s *scan) readCluster(ctx context.Context, p *progress) (*model.Snapshot, error) {
	config, name, err := s.live.connect()
	if err != nil {
		return nil, err
	}
	if s.kubernetesVersion == "" {
		if s.minor, err = cluster.Version(ctx, config); err != nil {
			return nil, err
		}
	}
	if err := s.policies.inCluster(ctx, config); err != nil {
		return nil, err
	}
	templates, err := s.config.templates()
	if err != nil {
		return nil, err
	}
	o := cluster.Options{Name: name, Kinds: append(clusterKinds(s.controls, templates), slices.Concat(s.policies.reads(), s.moreKinds)...), Across: acrossNamespaces,
		PodTemplates: templates, Progress: p.read}
	if !s.live.allNamespaces {
		o.Namespace = s.namespace
	}
	if s.live.noSecrets {
		o.Withheld = map[model.GroupKind]string{{Kind: "Secret"}: "left out by --no-secrets"}
	}
	snapshot, err := cluster.Read(ctx, config, o)
	if errors.Is(err, cluster.ErrNothing) {
		err = fmt.Errorf("%w; bulkhead rbac-for prints the role that a scan needs", err)
	}
	if err != nil {
		return nil, err
	}
	for _, w := range snapshot.Worlds {
		if reason := w.Unobserved(check.WaiverKind, ""); reason != "" {
			snapshot.Problems = append(snapshot.Problems, finding.Problem{Location: finding.Location{File: name},
				Message: "its waivers could not be read, so that none of them counts: " + reason})
		}
	}
	return snapshot, nil
}

// acrossNamespaces are kinds that matter to objects of other namespaces: a route
// says which Gateway serves it.
var acrossNamespaces = []model.GroupKind{
	{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"},
	{Group: "gateway.networking.k8s.io", Kind: "GRPCRoute"},
}

// clusterKinds are the kinds that a scan of a cluster reads. What the group
// extensions once held is served, and stored, in other groups.
func clusterKinds(controls []*check.Control, templates []model.PodTemplate) []model.GroupKind {
	kinds := append(check.Kinds(controls, podKindsOf(templates)), model.GroupKind{Kind: "Namespace"}, check.WaiverKind)
	return slices.DeleteFunc(kinds, func(gk model.GroupKind) bool { return gk.Group == "extensions" })
}

func podKindsOf(templates []model.PodTemplate) []model.GroupKind {
	var out []model.GroupKind
	for _, t := range templates {
		out = append(out, t.GroupKind)
	}
	return out
}

// represented lists what in a cluster another object speaks for. In files nothing
// is made by a controller.
func represented(w *model.World) map[*model.Object]bool {
	switch r := w.Record(); {
	case r != nil:
		return r.Represented
	case !w.Live:
		return nil
	}
	return cluster.Represented(w)
}
