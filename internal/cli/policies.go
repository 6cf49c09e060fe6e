package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/userpolicy"
)

// ownPolicies name policies of the user's own.
type ownPolicies struct {
	paths  []string
	user   string
	groups []string

	set *userpolicy.Set // nil where there are none
	// compile makes an evaluator of controls of the set, beside another one.
	compile func([]*check.Control, check.ObjectEvaluator, userpolicy.Options) (*userpolicy.Evaluator, error)
	options userpolicy.Options
}

func addOwnPolicies(fs *pflag.FlagSet, f *ownPolicies) {
	addPolicyPaths(fs, f)
	fs.StringVar(&f.user, "policy-user", "", "for policies that ask who creates an object: this user")
	fs.StringSliceVar(&f.groups, "policy-group", nil, "the same: groups that the user is in")
}

func addPolicyPaths(fs *pflag.FlagSet, f *ownPolicies) {
	fs.StringArrayVar(&f.paths, "policy", nil, "file or folder with policies of your own: controls, ValidatingAdmissionPolicies, Gatekeeper's templates and constraints; repeatable")
}

// read reads the policies that the flags name. A problem with one of them is an error: a
// scan without it would say something else than was meant.
func (f *ownPolicies) read(ctx context.Context, env *Env) error {
	if f.user == "" && len(f.groups) > 0 {
		return usageError{fmt.Errorf("--policy-group is for a user: name it with --policy-user")}
	}
	if len(f.paths) == 0 {
		return nil
	}
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: f.paths, Stdin: env.Stdin, Self: env.Self})
	if err != nil {
		return usageError{fmt.Errorf("read the policies: %w", err)}
	}
	if len(snapshot.Problems) > 0 {
		p := snapshot.Problems[0]
		return usageError{fmt.Errorf("read the policies: %s:%d: %s", p.Location.File, p.Location.Line, p.Message)}
	}
	all, err := catalog.Controls()
	if err != nil {
		return err
	}
	var objects []*model.Object
	for _, w := range snapshot.Worlds {
		objects = append(objects, w.Objects...)
	}
	if f.set, err = userpolicy.Read(ctx, objects, namesOf(all)); err != nil {
		return usageError{fmt.Errorf("read the policies: %w", shown{err})}
	}
	f.compile = func(own []*check.Control, others check.ObjectEvaluator, o userpolicy.Options) (*userpolicy.Evaluator, error) {
		return f.set.Compile(ctx, own, others, o)
	}
	if len(f.set.Controls) == 0 {
		return usageError{fmt.Errorf("there is no policy in %s: it may be a Control, a ValidatingAdmissionPolicy or a Gatekeeper ConstraintTemplate with constraints", strings.Join(f.paths, ", "))}
	}
	for _, note := range f.set.Notes {
		fmt.Fprintf(env.Stderr, "bulkhead: note: %s\n", report.Printable(note))
	}
	f.options.Authorizer = rolesOf // a live cluster answers itself
	if f.user != "" {
		f.options.User = requester(f.user, f.groups)
	}
	return nil
}

// shown is an error with text of a file in it, fit for a terminal: compilers quote what
// they refuse, line by line.
type shown struct{ error }

func (e shown) Unwrap() error { return e.error }

func (e shown) Error() string {
	const most = 4 << 10
	text := e.error.Error()
	if len(text) > most {
		text = text[:most] + "..."
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = report.Printable(strings.ReplaceAll(l, "\t", "  "))
	}
	return strings.Join(lines, "\n")
}

// requester is a user with the groups that the API server adds.
func requester(name string, groups []string) user.Info {
	if namespace, _, err := serviceaccount.SplitUsername(name); err == nil {
		groups = append(serviceaccount.MakeGroupNames(namespace), groups...)
	}
	if !slices.Contains(groups, user.AllAuthenticated) && name != user.Anonymous {
		groups = append(groups, user.AllAuthenticated)
	}
	return &user.DefaultInfo{Name: name, Groups: groups}
}

func namesOf(controls []*check.Control) []string {
	names := make([]string, len(controls))
	for i, c := range controls {
		names[i] = c.Name
	}
	return names
}

// own are the user's controls; none where no policies were named.
func (f *ownPolicies) own() []*check.Control {
	if f.set == nil {
		return nil
	}
	return f.set.Controls
}

// selectControls chooses controls of the catalogue as the profile says, and all of the
// user's own: they were named by their files.
func (f *ownPolicies) selectControls(all []*check.Control, s catalog.Selection) ([]*check.Control, error) {
	if f.set == nil {
		return catalog.Select(all, s)
	}
	own := f.own()
	named := func(name string) bool { return slices.Contains(namesOf(own), name) }
	only, skip := s.Only, s.Skip
	mine := slices.DeleteFunc(slices.Clone(own), func(c *check.Control) bool {
		return slices.Contains(skip, c.Name) || len(only) > 0 && !slices.Contains(only, c.Name) ||
			len(s.Layers) > 0 && !slices.Contains(s.Layers, string(c.Layer))
	})
	if s.Severity != "" {
		least, err := finding.ParseSeverity(s.Severity)
		if err != nil {
			return nil, err
		}
		mine = slices.DeleteFunc(mine, func(c *check.Control) bool { return severityOf(c, s.Settings) < least })
	}
	s.Only = slices.DeleteFunc(slices.Clone(only), named)
	s.Skip = slices.DeleteFunc(slices.Clone(skip), named)
	if len(only) > 0 && len(s.Only) == 0 && len(mine) > 0 {
		return mine, nil
	}
	chosen, err := catalog.Select(all, s)
	return append(chosen, mine...), err
}

// severityOf is the highest severity that a control has anywhere.
func severityOf(c *check.Control, settings *check.Settings) finding.Severity {
	severity := c.Severity
	if v, ok := settings.Severities[c.Name]; ok {
		severity = v
	}
	for _, n := range settings.Namespaces {
		severity = max(severity, n.Severities[c.Name])
	}
	return severity
}

// policyProblems adds to what could not be read the policies that act on nothing as they
// were given, and what a record lacks for the others.
func (s *scan) policyProblems(snapshot *model.Snapshot) error {
	if s.policies.set == nil {
		return nil
	}
	snapshot.Problems = append(snapshot.Problems, s.policies.set.Problems...)
	all, err := catalog.Controls()
	if err != nil {
		return err
	}
	templates, err := s.config.templates()
	if err != nil {
		return err
	}
	snapshot.Problems = append(snapshot.Problems, s.policies.unrecorded(snapshot, all, templates)...)
	return nil
}

// compile makes an evaluator of controls, those of the catalogue and the user's own.
func (s *scan) compile(controls []*check.Control, p check.Parameters, minor int) (check.ObjectEvaluator, error) {
	own, others := s.policies.set.Split(controls)
	e, err := admission.Compile(others, p, minor)
	if err != nil || len(own) == 0 {
		return e, err
	}
	o := s.policies.options
	o.Minor = minor
	return s.policies.compile(own, e, o)
}
