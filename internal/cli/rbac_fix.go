package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

type rbacFixFlags struct {
	inquiry
	allow                    []string
	allowFile                string
	limit                    time.Duration
	write                    bool
	outputPatch              string
	generated, editTemplates bool
}

func newRBACFix(env *Env) *cobra.Command {
	f := &rbacFixFlags{inquiry: inquiry{forms: withPictures()}}
	c := &cobra.Command{
		Use:   "fix",
		Short: "Find the least to take away so that nobody else becomes cluster admin",
		Long: `Fix finds which subjects to take out of bindings, and which verbs out of roles, so that
nobody becomes cluster admin but those that --allow names and those that are powerful in
every cluster. Of all such changes it takes those that break least: each counts one, and
one more for each permission that a subject loses by it and has by nothing else. Where
the search ends before that is certain, it says how much less there may be.

Nothing is taken from those who are allowed, and no object is changed that Kubernetes or
the platform puts back.

The changes are printed as a patch of the files, or as kubectl commands for a cluster or
a snapshot; --write changes the files. Before that, who becomes cluster admin is computed
again from the changed files, or objects.

The exit code is 0 where nobody is left, 1 where somebody becomes cluster admin even so,
and 3 where there may be more, because something could not be read.`,
		Example: `  # of the cluster: what to run, and why
  bulkhead rbac fix --allow Group/platform-admins > fix.sh

  # of files: the patch, and then the change
  bulkhead rbac fix -f deploy/ --allow jane --allow sa/ops/deployer
  bulkhead rbac fix -f deploy/ --allow-file admins.txt --write`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.toFile(env, func(env *Env) error { return runRBACFix(c.Context(), env, f) })
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.allow, "allow", nil, "who may become cluster admin: jane, Group/admins or sa/NAMESPACE/NAME; repeatable")
	fs.StringVar(&f.allowFile, "allow-file", "", "file that lists them, one a line; what follows # is a comment")
	fs.DurationVar(&f.limit, "time-limit", time.Minute, "how long to look for changes that break less; 0 for as long as it takes")
	fs.BoolVar(&f.write, "write", false, "change the files")
	fs.StringVar(&f.outputPatch, "output-patch", "", "write the patch, or the commands, to this file")
	fs.BoolVar(&f.generated, "generated", false, "change files too that say they are generated")
	fs.BoolVar(&f.editTemplates, "edit-templates", false, "change templates of charts where a field is plain text there")
	addInquiryFlags(fs, &f.inquiry)
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to judge for (default that of the cluster; of files 1.%d)", kubernetesMinor))
	return c
}

// rbacRepair is a cut, and what it comes to in files and commands.
type rbacRepair struct {
	*rbacFixFlags
	env     *Env
	repair  *repair
	allowed []rbac.Subject
	access  *rbac.Access
	// after is what is left with the changes.
	after *rbac.Access
	cut   *rbac.Cut
	// roots are what objects are rendered from; those that stored has are of a cluster or
	// a snapshot.
	roots  map[*model.Object]string
	stored map[*model.Object]bool

	// changed are files with the changes.
	changed fix.Files
	notes   []string
	// byHand says of objects why they cannot be changed by a patch or a command.
	byHand map[*model.Object]string
	// left become cluster admin after the changes that could be written.
	left []rbac.Escalation
}

func runRBACFix(ctx context.Context, env *Env, f *rbacFixFlags) error {
	r := &rbacRepair{rbacFixFlags: f, env: env, roots: map[*model.Object]string{}, stored: map[*model.Object]bool{},
		changed: fix.Files{}, byHand: map[*model.Object]string{}}
	var err error
	if r.allowed, err = f.allowList(); err != nil {
		return err
	}
	if f.write && len(f.files) == 0 {
		return usageError{errors.New("--write changes files: name them with -f; for a cluster the commands are printed")}
	}
	w, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.access = rbac.AccessOf(w)
	for _, p := range r.access.Problems() {
		fmt.Fprintf(env.Stderr, "bulkhead: %s grants nothing: %s\n", report.Printable(p.Object.String()), report.Printable(p.Reason))
	}
	if r.cut, err = r.access.Cut(ctx, rbac.CutTask{Version: f.minor, Allowed: r.allowed, Limit: f.limit}); err != nil {
		return err
	}
	if i := slices.IndexFunc(r.cut.Changes, func(c rbac.CutChange) bool { return r.stored[c.Object] }); f.write && i >= 0 {
		return usageError{fmt.Errorf("--write changes files, and %s stands in none: leave it out, and run what is printed", r.cut.Changes[i].Object.Ref())}
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	if err := r.prove(ctx); err != nil {
		return err
	}
	if err := r.publish(ctx); err != nil {
		return err
	}
	switch {
	case len(r.cut.Unknown) > 0:
		return no(strings.Join(r.cut.Unknown, "; "))
	case len(r.left) > 0:
		return no("")
	}
	return nil
}

// maxAllowFile bounds a list of subjects, in bytes.
const maxAllowFile = 4 << 20

// allowList reads who may become cluster admin.
func (f *rbacFixFlags) allowList() ([]rbac.Subject, error) {
	names := f.allow
	if f.allowFile != "" {
		file, err := os.Open(f.allowFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("--allow-file: %w", err)}
		}
		defer file.Close()
		lines := bufio.NewScanner(io.LimitReader(file, maxAllowFile))
		for lines.Scan() {
			text, _, _ := strings.Cut(lines.Text(), "#")
			if text = strings.TrimSpace(text); text != "" {
				names = append(names, text)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, usageError{fmt.Errorf("--allow-file %s: %w", f.allowFile, err)}
		}
	}
	var out []rbac.Subject
	for _, name := range names {
		s, err := rbac.ParseSubject(name)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, s)
	}
	return out, nil
}

// read reads the input as one world, and remembers where each object came from.
func (r *rbacRepair) read(ctx context.Context) (*model.World, error) {
	f := r.rbacFixFlags
	if err := f.checkFormat(); err != nil {
		return nil, err
	}
	f.profile, f.layers = "all", []string{string(finding.LayerRBAC)}
	s, err := newScanOf(r.env, &f.scanFlags)
	if err != nil {
		return nil, err
	}
	s.moreKinds = rbac.EscalationKinds()
	if r.env.MoreMemory != nil {
		r.env.MoreMemory()
	}
	r.repair = &repair{fixFlags: &fixFlags{generated: f.generated, editTemplates: f.editTemplates}, scan: s, paths: f.files, namedValues: f.helm.ValuesFiles}
	snapshot, err := r.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	f.minor = s.minor
	for _, p := range snapshot.Problems {
		fmt.Fprintf(r.env.Stderr, "bulkhead: %s:%d: %s\n", p.Location.File, p.Location.Line, report.Printable(p.Message))
	}
	for _, w := range snapshot.Worlds {
		for _, o := range w.Objects {
			r.roots[o], r.stored[o] = w.Root, isStored(w, o)
		}
	}
	return joinWorlds(snapshot.Worlds), nil
}

// isStored reports whether an object was read from a cluster or a snapshot, and not from
// a file in which it could be changed.
func isStored(w *model.World, o *model.Object) bool { return w.Live || o.Source.File == "" }

func (r *rbacRepair) snapshot(ctx context.Context) (*model.Snapshot, error) {
	if len(r.files) == 0 {
		return r.repair.scan.readLive(ctx, nil)
	}
	r.repair.scan.namespace = "" // to files, -n would say where objects are that do not
	return r.repair.scan.readPaths(ctx, r.files)
}

func (f *rbacFixFlags) checkFormat() error {
	if slices.Contains(f.forms, f.format) {
		return nil
	}
	return usageError{fmt.Errorf("unknown output format %q: use %s", f.format, strings.Join(f.forms, ", "))}
}
