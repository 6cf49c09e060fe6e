package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/model"
)

// Options say what to read of a cluster.
type Options struct {
	// Name is how the result names the cluster.
	Name string
	// Kinds are what is read; Namespace always is.
	Kinds []model.GroupKind
	// Namespace is the only one that is read; empty is all. What belongs to the whole
	// cluster is read either way.
	Namespace string
	// Across are kinds of which a judgement of one namespace reads all: where only one
	// namespace is read, they are unobserved.
	Across []model.GroupKind
	// Withheld are kinds that are not to be read, with the reason.
	Withheld map[model.GroupKind]string
	// PodTemplates are custom resources that carry a pod, beside the known ones.
	PodTemplates []model.PodTemplate
	// Progress is told how many of the kinds are read; nil for none. It is called by
	// many goroutines.
	Progress func(done, total int)
}

// ErrNothing means that there is a cluster, and nothing of it could be read.
var ErrNothing = errors.New("nothing could be read")

var (
	namespaceKind = model.GroupKind{Kind: "Namespace"}
	podKind       = model.GroupKind{Kind: "Pod"}
	secretKind    = model.GroupKind{Kind: "Secret"}
)

// concurrentLists bounds how many kinds are read at once, and with it how much is
// asked of the API server.
const concurrentLists = 4

// Version is the minor version of Kubernetes 1 that the API server is of.
func Version(ctx context.Context, config *rest.Config) (int, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	v, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return 0, unreachable(ctx, config, err)
	}
	// Some providers write a minor version as 33+.
	var minor int
	if _, err := fmt.Sscanf(v.Minor, "%d", &minor); err != nil || v.Major != "1" {
		return 0, fmt.Errorf("%s says that it is of version %q, which is none of Kubernetes 1", config.Host, v.GitVersion)
	}
	return minor, nil
}

// Read reads a cluster into a snapshot with one world. What could not be read is
// unobserved in that world; an error means that there is nothing at all.
func Read(ctx context.Context, config *rest.Config, o Options) (*model.Snapshot, error) {
	if problems := validation.IsDNS1123Label(o.Namespace); o.Namespace != "" && len(problems) > 0 {
		return nil, fmt.Errorf("%q is no name of a namespace: %s", o.Namespace, problems[0])
	}
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(config))
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig is of no use: %w", err)
	}
	served, err := discover(ctx, config)
	if err != nil {
		return nil, err
	}
	r := &reader{Options: o, client: client, templates: newTemplates(o.PodTemplates)}
	r.Kinds = slices.DeleteFunc(slices.Clone(o.Kinds), func(gk model.GroupKind) bool { return gk == namespaceKind })
	r.plan(served)
	if err := r.namespaces(ctx, served); err != nil {
		return nil, err
	}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	return r.snapshot(ctx)
}

// reader reads the kinds of one cluster.
type reader struct {
	Options
	client    rest.Interface
	templates *templates
	lists     []*list
	done      atomic.Int64
	lost      connection

	mu         sync.Mutex
	unobserved []model.Unobserved
}

func (r *reader) miss(gk model.GroupKind, namespace, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unobserved = append(r.unobserved, model.Unobserved{GroupKind: gk, Namespace: namespace, Reason: reason})
}

// plan decides which kinds are listed. Pods come last: they are held against the
// templates of what makes them as they arrive.
func (r *reader) plan(served *served) {
	slices.SortFunc(r.Kinds, func(a, b model.GroupKind) int {
		return cmp.Or(order(a)-order(b), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
	})
	for _, gk := range slices.Compact(r.Kinds) {
		if reason, ok := r.Withheld[gk]; ok {
			r.miss(gk, "", reason)
			continue
		}
		res, reason := served.find(gk)
		switch {
		case reason != "":
			r.miss(gk, "", reason)
		case res == nil: // there are none
		case r.Namespace != "" && slices.Contains(r.Across, gk):
			r.miss(gk, "", fmt.Sprintf("those of other namespaces than %s were not read", r.Namespace))
		default:
			r.lists = append(r.lists, &list{resource: *res})
		}
	}
}

func order(gk model.GroupKind) int {
	if gk == podKind {
		return 1
	}
	return 0
}

// namespaces reads the Namespace objects: all, or the only one.
func (r *reader) namespaces(ctx context.Context, served *served) error {
	res, reason := served.find(namespaceKind)
	if res == nil {
		r.miss(namespaceKind, "", cmp.Or(reason, "the API server does not serve it"))
		return nil
	}
	l := &list{resource: *res}
	if r.Namespace == "" {
		r.lists = slices.Insert(r.lists, 0, l)
		return nil
	}
	content, err := r.get(ctx, res, r.Namespace)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isNotFound(err):
		return fmt.Errorf("there is no namespace %q on %s: see kubectl get namespaces", r.Namespace, r.Name)
	case err != nil:
		r.miss(namespaceKind, "", describe(err))
		return nil
	}
	l.keep(content)
	l.read = true
	r.lists = slices.Insert(r.lists, 0, l)
	return nil
}

// all reads every kind, a few at a time, and pods when the rest is there.
func (r *reader) all(ctx context.Context) error {
	pods := slices.IndexFunc(r.lists, func(l *list) bool { return l.GroupKind == podKind })
	first := r.lists
	if pods >= 0 {
		first = r.lists[:pods]
	}
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(concurrentLists)
	for _, l := range first {
		g.Go(func() error { return r.list(within, l, nil) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, l := range first {
		r.templates.add(l.objects)
	}
	r.templates.share(first)
	for _, l := range r.lists[len(first):] {
		if err := r.list(ctx, l, r.templates.sharePod); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// list reads one kind and says what is missing of it. An error means that the scan
// was ended.
func (r *reader) list(ctx context.Context, l *list, arrived func(*model.Object) bool) error {
	defer func() {
		if n := r.done.Add(1); r.Progress != nil {
			r.Progress(int(n), len(r.lists))
		}
	}()
	if l.read {
		return nil
	}
	l.arrived = arrived
	err := r.lost.err()
	if err == nil {
		err = r.pages(ctx, l)
		r.lost.note(err)
	}
	l.same = nil
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		l.read = true
		return nil
	}
	reason := describe(err)
	if len(l.objects) > 0 {
		reason = fmt.Sprintf("only %d were read: %s", len(l.objects), reason)
	}
	r.miss(l.GroupKind, "", reason)
	return nil
}

// snapshot makes a world of what was read.
func (r *reader) snapshot(ctx context.Context) (*model.Snapshot, error) {
	var objects []*model.Object
	read := false
	for _, l := range r.lists {
		objects = append(objects, l.objects...)
		read = read || l.read
	}
	if !read {
		reason := "no kind was to be read"
		if len(r.unobserved) > 0 {
			reason = r.unobserved[0].Reason
		}
		return nil, fmt.Errorf("%w of %s: %s", ErrNothing, r.Name, reason)
	}
	if r.Namespace != "" {
		r.elsewhere(objects)
	}
	w := model.NewWorld(objects, model.WorldOptions{Live: true, PodTemplates: r.PodTemplates, Unobserved: r.unobserved})
	return &model.Snapshot{Worlds: []*model.World{w}, Inputs: []string{r.Name}}, ctx.Err()
}
