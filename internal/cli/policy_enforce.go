package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/spf13/pflag"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/cluster"
	"bulkhead.dev/bulkhead/internal/rollout"
)

// enforceFlags are those of commands that change what a cluster enforces.
type enforceFlags struct {
	dryRun          string
	force           bool
	allowViolations bool
	format          string
}

// Values of --dry-run, with kubectl's meanings.
const (
	dryRunNone   = "none"
	dryRunServer = "server"
	dryRunClient = "client"
)

func addDryRunFlag(fs *pflag.FlagSet, f *enforceFlags) {
	fs.StringVar(&f.dryRun, "dry-run", dryRunNone, "none, server (the API server checks everything and stores nothing) or client (nothing is sent to be stored)")
}

// addChangeFlags adds the flags of commands that have policies act.
func addChangeFlags(fs *pflag.FlagSet, f *enforceFlags, s *scanFlags) {
	addDryRunFlag(fs, f)
	fs.BoolVar(&f.allowViolations, "allow-violations", false, "go on to deny where there are objects that would be refused; they stay, and cannot be created again")
	fs.BoolVar(&s.allowIncomplete, "allow-incomplete", false, "go on to deny where it could not be read what there is")
	fs.BoolVar(&f.force, "force-conflicts", false, "take over fields that other field managers own")
	fs.StringVarP(&f.format, "output", "o", "table", "table or json")
}

func (f *enforceFlags) check() error {
	if !slices.Contains([]string{dryRunNone, dryRunServer, dryRunClient}, f.dryRun) {
		return usageError{fmt.Errorf("--dry-run=%s: use none, server or client", f.dryRun)}
	}
	if f.format != "table" && f.format != "json" {
		return usageError{fmt.Errorf("unknown output format %q: use table or json", f.format)}
	}
	return nil
}

// enforcement is a cluster, and what of ours stands in it.
type enforcement struct {
	*scan   // nil where nothing is judged
	env     *Env
	flags   *enforceFlags
	config  *rest.Config
	served  int // minor version of Kubernetes 1
	cluster *rollout.Cluster
	state   *rollout.State
	heard   *apiWarnings
}

// newEnforcement reads what stands in the cluster, whose release is the one that
// controls are for.
func newEnforcement(ctx context.Context, env *Env, f *scanFlags, flags *enforceFlags) (*enforcement, error) {
	s, err := newScanOf(env, f)
	if err != nil {
		return nil, err
	}
	e, err := connectEnforcement(ctx, env, &f.live, flags)
	if err != nil {
		return nil, err
	}
	e.scan, s.minor = s, e.served
	return e, nil
}

func connectEnforcement(ctx context.Context, env *Env, live *liveFlags, flags *enforceFlags) (*enforcement, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	e := &enforcement{env: env, flags: flags, heard: &apiWarnings{}}
	var err error
	if e.config, _, err = live.connect(); errors.Is(err, errNoCluster) {
		return nil, usageError{errors.New("there is no kubeconfig: name the cluster with --kubeconfig FILE, the variable KUBECONFIG or ~/.kube/config")}
	} else if err != nil {
		return nil, err
	}
	if e.served, err = cluster.Version(ctx, e.config); err != nil {
		return nil, err
	}
	e.config.WarningHandler = e.heard
	client, err := dynamic.NewForConfig(e.config)
	if err != nil {
		return nil, usageError{fmt.Errorf("the kubeconfig is of no use: %w", err)}
	}
	e.cluster = rollout.NewCluster(client)
	if e.state, err = e.cluster.Read(ctx); err != nil {
		return nil, fmt.Errorf("what was applied before cannot be read: %w", err)
	}
	return e, nil
}

// predict says what policies of the controls would refuse of what a cluster holds.
// Where the step is deny, fixes are made first.
func (e *enforcement) predict(ctx context.Context, controls, fixes []*check.Control, o *admission.ExportOptions, podSecurity bool) (*rollout.Prediction, error) {
	if len(controls) == 0 {
		return &rollout.Prediction{}, nil
	}
	e.controls = controls
	p := newProgress(e.env)
	p.what = "kinds"
	defer p.done()
	snapshot, err := e.readCluster(ctx, p)
	if err != nil {
		return nil, err
	}
	evaluator, err := admission.Compile(controls, o.Parameters, e.minor)
	if err != nil {
		return nil, err
	}
	world := snapshot.Worlds[0]
	judge := rollout.Judge{Controls: controls, Evaluator: evaluator, Now: o.Now, Fixes: fixes, Parameters: o.Parameters}
	if podSecurity {
		judge.Represented = cluster.Represented(world)
	} else {
		judge.Annotations = o.Annotations
		for _, w := range o.Waivers {
			judge.Waivers = append(judge.Waivers, w.Waiver)
		}
	}
	return judge.Predict(ctx, world)
}

// carryOut plans the change, says what it means, and makes it.
func (e *enforcement) carryOut(ctx context.Context, wanted *rollout.Wanted, r *enforcementReport) error {
	plan, err := e.cluster.Plan(ctx, e.state, wanted, rollout.Options{Force: e.flags.force, Offline: e.flags.dryRun == dryRunClient})
	if err != nil {
		return err
	}
	r.DryRun = e.flags.dryRun
	r.Notes = append(r.Notes, e.heard.list()...)
	r.changes(plan.Changes)
	if err := e.before(r); err != nil {
		return err
	}
	if err := e.stop(r); err != nil {
		r.changes(nil)
		return errors.Join(e.after(r, 0), err)
	}
	if e.flags.dryRun != dryRunNone {
		return e.after(r, len(plan.Changes))
	}
	done, failure := e.cluster.Apply(ctx, plan)
	r.changes(done)
	if err := e.after(r, len(plan.Changes)); err != nil {
		return err
	}
	if failure != nil && len(done) > 0 {
		return fmt.Errorf("%d of %d changes were made, which are listed; the same command makes the rest: %w", len(done), len(plan.Changes), failure)
	}
	return failure
}

// stop is the reason not to go on to deny.
func (e *enforcement) stop(r *enforcementReport) error {
	objects := map[string]bool{}
	denied := false
	for _, refusal := range r.Refusals {
		if refusal.Rises && refusal.Step == rollout.Deny.String() {
			objects[refusal.Object.String()] = true
		}
	}
	for _, m := range r.Moves {
		denied = denied || m.To == rollout.Deny.String()
	}
	switch {
	case len(objects) > 0 && !e.flags.allowViolations:
		return outcomeError{exitFindings, fmt.Sprintf("bulkhead: deny would refuse %s of the cluster if they were created now; nothing was changed (--allow-violations goes on)",
			countOf(len(objects), "object", "objects"))}
	case denied && len(r.Unread) > 0 && !e.allowIncomplete:
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %s could not be read, so that what deny would refuse of them is not known; nothing was changed (--allow-incomplete goes on)",
			countOf(len(r.Unread), "kind", "kinds"))}
	}
	return nil
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// existing refuses names of namespaces that are not there, so that a slip of the pen
// is no step of its own.
func (e *enforcement) existing(names []string) error {
	for _, name := range names {
		if e.state.Namespaces[name] == nil {
			return usageError{fmt.Errorf("there is no namespace %q: see kubectl get namespaces", name)}
		}
	}
	return nil
}

// apiWarnings keeps the warnings that the API server gives, each once.
type apiWarnings struct {
	mu   sync.Mutex
	said map[string]bool
}

// maxWarnings bounds what is kept of them.
const maxWarnings = 50

// HandleWarningHeader implements rest.WarningHandler.
func (w *apiWarnings) HandleWarningHeader(code int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said == nil {
		w.said = map[string]bool{}
	}
	if code == 299 && len(w.said) < maxWarnings {
		w.said["the API server warns: "+text] = true
	}
}

func (w *apiWarnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.said))
}
