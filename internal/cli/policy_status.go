package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/rollout"
)

func newRolloutStatus(env *Env) *cobra.Command {
	f := &rolloutFlags{}
	c := &cobra.Command{
		Use:   "status [NAMESPACE...]",
		Short: "Say which namespace is at which step, and what the next would refuse",
		Long: `Status lists the namespaces with their step and, of the objects in them, how many the
policies would refuse if they were created now. With names it lists those objects,
and what is wrong with them.`,
		Example: `  bulkhead policy rollout status
  bulkhead policy rollout status shop
  bulkhead policy rollout status -o json`,
		RunE: func(c *cobra.Command, args []string) error { return runRolloutStatus(c.Context(), env, f, args) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.enforce.dryRun = dryRunNone
	addJudgingFlags(fs, f)
	fs.StringVarP(&f.enforce.format, "output", "o", "table", "table or json")
	addClusterFlags(fs, &f.live)
	return c
}

// rolloutStatus is the JSON form of a status.
type rolloutStatus struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Places     []placeState `json:"places"`
	// Refusals are objects that would be refused if they were created now.
	Refusals []enforcementRefusal `json:"refusals"`
	// Recorded are requests of the audit log that policies found fault with.
	Recorded []enforcementRecord `json:"recorded,omitempty"`
	Unread   []finding.Unmet     `json:"unread,omitempty"`
	Notes    []string            `json:"notes,omitempty"`
}

// placeState is where a namespace, all others, or the whole cluster stand.
type placeState struct {
	Namespace string `json:"namespace,omitempty"`
	Others    bool   `json:"others,omitempty"`
	Cluster   bool   `json:"cluster,omitempty"`
	Step      string `json:"step"`
	// Own says that the step is the namespace's own, and not that of all others.
	Own bool `json:"own"`
	// Next is the step after it; empty at deny.
	Next string `json:"next,omitempty"`
	// Objects are so many that some policy would refuse if they were created now, and
	// Policies so many that would refuse one.
	Objects  int `json:"objects"`
	Policies int `json:"policies"`
}

func runRolloutStatus(ctx context.Context, env *Env, f *rolloutFlags, names []string) error {
	e, err := newEnforcement(ctx, env, &f.scanFlags, &f.enforce)
	if err != nil {
		return err
	}
	if len(e.state.Policies) == 0 {
		return usageError{errNothingApplied}
	}
	if err := e.existing(names); err != nil {
		return err
	}
	r := newEnforcementReport()
	prediction, err := e.predictApplied(ctx, f, r)
	if err != nil {
		return err
	}
	recorded, err := e.readAudit(ctx, f.auditLog, r)
	if err != nil {
		return err
	}
	r.recorded(recorded, func(namespace string) bool { return len(names) == 0 || slices.Contains(names, namespace) })
	status := e.status(prediction, names)
	status.Recorded = r.Recorded
	status.Notes, status.Unread = r.Notes, prediction.Unread
	if f.enforce.format == "json" {
		return writeJSON(env.Stdout, status)
	}
	r.Unread = prediction.Unread
	e.explain(r)
	return status.write(env.Stdout, len(names) > 0)
}

// status says where the named namespaces stand; without names all do, and what else
// has a step.
func (e *enforcement) status(p *rollout.Prediction, names []string) *rolloutStatus {
	out := &rolloutStatus{APIVersion: finding.APIVersion, Kind: "PolicyRollout", Places: []placeState{}, Refusals: []enforcementRefusal{}}
	steps := &e.state.Steps
	objects, policies := map[string]map[string]bool{}, map[string]map[string]bool{}
	count := func(m map[string]map[string]bool, namespace, what string) {
		if m[namespace] == nil {
			m[namespace] = map[string]bool{}
		}
		m[namespace][what] = true
	}
	for _, f := range p.Refusals {
		namespace := f.Object.InNamespace()
		if f.Waived || len(names) > 0 && !slices.Contains(names, namespace) {
			continue
		}
		count(objects, namespace, f.Object.String())
		count(policies, namespace, f.Control)
		out.Refusals = append(out.Refusals, enforcementRefusal{Control: f.Control, Object: f.Object,
			Step: steps.Of(namespace).String(), Message: f.Message, Unjudged: f.Unjudged})
	}
	add := func(s placeState, step rollout.Step) {
		s.Step = step.String()
		if step != rollout.Deny {
			s.Next = step.Next().String()
		}
		if !s.Others {
			s.Objects, s.Policies = len(objects[s.Namespace]), len(policies[s.Namespace])
		}
		out.Places = append(out.Places, s)
	}
	listed := names
	if len(names) == 0 {
		all := map[string]bool{}
		for name := range e.state.Namespaces {
			all[name] = true
		}
		for name := range steps.Named {
			all[name] = true
		}
		listed = slices.Collect(maps.Keys(all))
	}
	for _, name := range slices.Sorted(slices.Values(listed)) {
		_, own := steps.Named[name]
		add(placeState{Namespace: name, Own: own}, steps.Of(name))
	}
	if len(names) == 0 {
		add(placeState{Others: true, Own: true}, steps.Others)
		add(placeState{Cluster: true, Own: true}, steps.Cluster)
	}
	return out
}

// write writes a table, and the objects that would be refused where they are wanted.
func (s *rolloutStatus) write(out io.Writer, details bool) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tSTEP\tNEXT\tWOULD REFUSE")
	for _, p := range s.Places {
		name, step := report.Printable(p.Namespace), p.Step
		switch {
		case p.Others:
			name = "(all others)"
		case p.Cluster:
			name = "(whole cluster)"
		case !p.Own:
			step += "*"
		}
		next := p.Next
		if next == "" {
			next = "-"
		}
		refused := "-"
		if p.Objects > 0 {
			refused = fmt.Sprintf("%s, by %s", countOf(p.Objects, "object", "objects"), countOf(p.Policies, "policy", "policies"))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, step, next, refused)
	}
	_ = w.Flush() // into memory
	if slices.ContainsFunc(s.Places, func(p placeState) bool { return !p.Own }) {
		b.WriteString("* as all others\n")
	}
	if details && len(s.Refusals) > 0 {
		b.WriteString("\n")
		for _, f := range s.Refusals {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Control, report.Printable(f.Object.String()), report.Printable(f.Message))
		}
		_ = w.Flush()
	}
	if len(s.Recorded) > 0 {
		b.WriteString("\n")
		(&enforcementReport{Recorded: s.Recorded}).writeRecorded(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
