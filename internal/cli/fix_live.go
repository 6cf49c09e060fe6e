package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/apply"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/model"
)

// fixLiveFlags are those of a fix of a cluster.
type fixLiveFlags struct {
	on             bool
	apply          bool
	forceConflicts bool
}

// fixFileFlags mean nothing for a cluster.
var fixFileFlags = slices.Concat(fileFlags, []string{"generated", "values-file", "edit-templates", "output-patch"})

func addFixLiveFlags(fs *pflag.FlagSet, f *fixFlags) {
	fs.BoolVar(&f.cluster.on, "live", false, "fix the objects of the cluster of the kubeconfig: print what to apply, and change nothing")
	fs.BoolVar(&f.cluster.apply, "apply", false, "with --live: change the objects, after a server-side dry run")
	fs.BoolVar(&f.cluster.forceConflicts, "force-conflicts", false, "with --live: take over fields that other managers own, as kubectl apply --server-side does")
	addLiveFlags(fs, &f.scanFlags)
}

// checkInput refuses flags that mean nothing for what is fixed.
func (f *fixFlags) checkInput(c *cobra.Command, paths []string) error {
	names, of := slices.Concat(f.live.names, []string{"apply", "force-conflicts"}), "a fix of a cluster; add --live"
	if f.cluster.on {
		names, of = fixFileFlags, "a fix of files; leave out --live"
	}
	for _, name := range names {
		if c.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s is for %s\nSee bulkhead fix --help", name, of)}
		}
	}
	switch {
	case f.cluster.on && len(paths) > 0:
		return usageError{errors.New("--live fixes the cluster: name no paths with it\nSee bulkhead fix --help")}
	case f.cluster.apply && f.dryRun:
		return usageError{errors.New("--apply makes a dry run of its own: leave out one of --apply and --dry-run\nSee bulkhead fix --help")}
	}
	if f.cluster.on && f.namespace != "" && !f.live.allNamespaces && len(f.onlyNamespaces) == 0 {
		f.onlyNamespaces = []string{f.namespace}
	}
	return nil
}

// liveRepair is a fix of a cluster. What files are to a fix of files are here
// objects: each stands in as the API server has it, or would have it.
type liveRepair struct {
	*repair
	cluster  *apply.Cluster
	name     string
	snapshot *model.Snapshot
	world    *model.World
	// represented is what others speak for, before anything was changed: the pods of a
	// Deployment that is changed are those of the next rollout.
	represented map[*model.Object]bool

	mu sync.Mutex
	// read are objects as the API server has them.
	read map[*model.Object]map[string]any
	// tries are changes that were worked out, by object and edits.
	tries map[string]*try
	// objects are those that a change was tried of, by their path.
	objects map[string]*model.Object
}

// try is a change of one object, and what came of it.
type try struct {
	object *model.Object
	patch  *apply.Patch
	// version is that of the object which the patch is for.
	version string
	// kept is the object with the change, as a scan keeps it.
	kept []byte
	err  error
}

func runFixLive(ctx context.Context, env *Env, f *fixFlags) error {
	r, err := newRepair(env, f)
	if err != nil {
		return err
	}
	config, name, err := f.live.connect()
	if err != nil {
		return err
	}
	l := &liveRepair{repair: r, name: name, read: map[*model.Object]map[string]any{}, tries: map[string]*try{}, objects: map[string]*model.Object{}}
	if l.cluster, err = apply.Connect(config); err != nil {
		return err
	}
	l.cluster.Force = f.cluster.forceConflicts
	task := r.task(nil)
	task.Scan, task.Plain, task.Root = l.assess, l.plain, nil
	out, err := r.run(ctx, task)
	if out == nil || err != nil {
		return err
	}
	return l.finish(ctx, out)
}

// asks reports whether the API server is asked what it would make of changes.
func (l *liveRepair) asks() bool { return l.fixFlags.dryRun || l.fixFlags.cluster.apply }

// assess judges the cluster, with some objects standing in.
func (l *liveRepair) assess(ctx context.Context, standIns fix.Files) (*fix.Assessment, error) {
	s := l.scan
	p := newProgress(s.env)
	p.what = "kinds"
	defer p.done()
	if l.world == nil {
		var err error
		if l.snapshot, err = s.readCluster(ctx, p); err != nil {
			return nil, err
		}
		l.world = l.snapshot.Worlds[0]
		l.represented = cluster.Represented(l.world)
	}
	w, err := l.with(standIns)
	if err != nil {
		return nil, err
	}
	out, err := l.judge(ctx, w, p)
	if err != nil {
		return nil, err
	}
	return assessmentOf(l.snapshot, out), nil
}

// with is the world of the cluster with the objects that stand in.
func (l *liveRepair) with(standIns fix.Files) (*model.World, error) {
	changed := map[*model.Object]*model.Object{}
	for path, data := range standIns {
		var content map[string]any
		if err := utiljson.Unmarshal(data, &content); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		o := l.objects[path]
		changed[o] = o.With(content)
	}
	if len(changed) == 0 {
		return l.world, nil
	}
	return l.world.Replaced(changed), nil
}

func (l *liveRepair) judge(ctx context.Context, w *model.World, p *progress) (*check.Outcome, error) {
	s := l.scan
	o, err := s.runOptions(p)
	if err != nil {
		return nil, err
	}
	if o.Selected, err = s.selected(); err != nil {
		return nil, err
	}
	o.Represented = func(*model.World) map[*model.Object]bool { return l.represented }
	runner, err := check.NewRunner(o)
	if err != nil {
		return nil, err
	}
	if err := runner.Judge(ctx, w); err != nil {
		return nil, err
	}
	named, err := s.namedWaivers(ctx)
	if err != nil {
		return nil, err
	}
	waivers, err := s.waiversOf(append([]*model.World{w}, named...))
	if err != nil {
		return nil, err
	}
	out := runner.Outcome()
	waivers.Apply(out, time.Now())
	return out, ctx.Err()
}

// concurrentChanges is how many objects the API server is asked about at once.
const concurrentChanges = 4

// plain works out the changes of objects. They stand in as the API server would have
// them, if that is asked.
func (l *liveRepair) plain(ctx context.Context, _ string, changes []fix.Change) (*fix.Result, error) {
	tries := make([]*try, len(changes))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(concurrentChanges)
	for i := range changes {
		g.Go(func() (err error) {
			tries[i], err = l.try(within, &changes[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result := &fix.Result{Files: map[string][]byte{}, Refused: map[int]string{}}
	for i, t := range tries {
		if t.err != nil {
			result.Refused[i] = t.err.Error()
			continue
		}
		result.Files[pathOf(t.object)] = t.kept
	}
	return result, nil
}

// pathOf tells objects of a cluster apart.
func pathOf(o *model.Object) string {
	return strings.Join([]string{o.GroupKind.String(), o.Namespace, o.Name}, "/")
}

// try works out a change, once. An error means that all was ended.
func (l *liveRepair) try(ctx context.Context, c *fix.Change) (*try, error) {
	edits, err := json.Marshal(c.Edits)
	if err != nil {
		return nil, err
	}
	key := pathOf(c.Object) + "\x00" + string(edits)
	l.mu.Lock()
	t := l.tries[key]
	l.objects[pathOf(c.Object)] = c.Object
	l.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = &try{object: c.Object}
	t.err = l.workOut(ctx, c, t)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries[key] = t
	return t, nil
}

func (l *liveRepair) workOut(ctx context.Context, c *fix.Change, t *try) error {
	o := c.Object
	if err := l.changeable(o, c.Edits); err != nil {
		return err
	}
	live, err := l.liveOf(ctx, o)
	if err != nil {
		return err
	}
	t.version, _ = model.Get(live, "metadata", "resourceVersion").(string)
	after, err := finding.Apply(live, c.Edits)
	if err != nil {
		return err
	}
	if t.patch, err = l.cluster.Patch(ctx, o.Ref(), live, after, c.Edits); err != nil {
		return err
	}
	if l.asks() {
		if after, err = l.cluster.Send(ctx, o.Ref(), t.patch, "", true); err != nil {
			return err
		}
	}
	t.kept, err = json.Marshal(keptOf(o, after))
	return err
}

// liveOf is an object as the API server has it now, without its nulls. It must be
// what was judged.
func (l *liveRepair) liveOf(ctx context.Context, o *model.Object) (map[string]any, error) {
	l.mu.Lock()
	live := l.read[o]
	l.mu.Unlock()
	if live != nil {
		return live, nil
	}
	content, err := l.cluster.Get(ctx, o.Ref())
	if err != nil {
		return nil, err
	}
	live = model.WithoutNulls(content)
	if !asJudged(o, live) {
		return nil, fmt.Errorf("%w; run the fix again", apply.ErrChanged)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read[o] = live
	return live, nil
}

// keptOf is what a scan keeps of an object.
func keptOf(o *model.Object, content map[string]any) map[string]any {
	return cluster.Kept(o.GroupKind, runtime.DeepCopyJSON(content))
}

// asJudged reports whether an object is what was judged, but for what controllers
// write meanwhile.
func asJudged(o *model.Object, live map[string]any) bool {
	judged, now := runtime.DeepCopyJSON(model.WithoutNulls(o.Content)), keptOf(o, live)
	for _, content := range []map[string]any{judged, now} {
		delete(content, "status")
		meta, _ := content["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		// The number of its template, which the controller of a Deployment counts.
		delete(annotations, "deployment.kubernetes.io/revision")
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	return reflect.DeepEqual(judged, now)
}

// changeable says why an object is not to be changed, or cannot be.
func (l *liveRepair) changeable(o *model.Object, edits []finding.Edit) error {
	if _, maker := l.world.ControllerOf(o); maker != "" {
		if node, ok := strings.CutPrefix(maker, "Node/"); ok {
			return fmt.Errorf("it shows a static pod: change its manifest on the node %s", node)
		}
		return fmt.Errorf("%s makes it, and would make it again as it is: change that, or what adds to it", maker)
	}
	if o.Get("metadata", "deletionTimestamp") != nil {
		return errors.New("it is being deleted")
	}
	for _, e := range edits {
		switch {
		case o.GroupKind == (model.GroupKind{Kind: "Pod"}) && !changesOfPod(e.Path):
			return errors.New("almost nothing of a running pod can be changed: delete it, and create it again from its manifest with the change")
		case o.GroupKind == (model.GroupKind{Group: "batch", Kind: "Job"}) && strings.HasPrefix(e.Path, "/spec/template"):
			return errors.New("the template of a Job cannot be changed: delete it, and create it again from its manifest with the change")
		}
	}
	return nil
}

// changesOfPod reports whether the API server lets a field of a running pod be
// changed (k8s.io/kubernetes, pkg/apis/core/validation, ValidatePodUpdate).
func changesOfPod(pointer string) bool {
	for _, pattern := range []string{"/metadata/labels*", "/metadata/annotations*", "/spec/containers/*/image", "/spec/initContainers/*/image",
		"/spec/activeDeadlineSeconds", "/spec/terminationGracePeriodSeconds"} {
		if prefix, longer := strings.CutSuffix(pattern, "*"); longer && strings.HasPrefix(pointer, prefix) {
			return true
		}
		if ok, _ := filepath.Match(pattern, pointer); ok {
			return true
		}
	}
	return false
}

// chosen are the changes that were proven, what a namespace demands of others last.
func (l *liveRepair) chosen(out *fix.Outcome) []*try {
	var chosen []*try
	for path, kept := range out.Files {
		for _, t := range l.tries {
			if t.err == nil && pathOf(t.object) == path && string(t.kept) == string(kept) {
				chosen = append(chosen, t)
				break
			}
		}
	}
	rank := func(t *try) int {
		if t.object.Kind == "Namespace" {
			return 1
		}
		return 0
	}
	slices.SortFunc(chosen, func(a, b *try) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.object.Namespace, b.object.Namespace), cmp.Compare(pathOf(a.object), pathOf(b.object)))
	})
	return chosen
}
