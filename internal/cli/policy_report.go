package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/report"
	"bulkhead.dev/bulkhead/internal/rollout"
)

// enforcementReport is what a change of what a cluster enforces means, and what became
// of it. It is the JSON form, too.
type enforcementReport struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	DryRun     string `json:"dryRun,omitempty"`
	// Moves are the places whose step changes.
	Moves []enforcementMove `json:"moves"`
	// Refusals are objects that would be refused if they were created now.
	Refusals []enforcementRefusal `json:"refusals"`
	// Waived counts objects that waivers let through, by control.
	Waived map[string]int `json:"waived,omitempty"`
	// Mended counts objects that mutating policies change before they are judged.
	Mended map[string]int  `json:"mended,omitempty"`
	Unread []finding.Unmet `json:"unread,omitempty"`
	Notes  []string        `json:"notes,omitempty"`
	// Recorded are requests of the audit log that policies found fault with.
	Recorded []enforcementRecord `json:"recorded,omitempty"`
	// Changes are what became of each object that was applied.
	Changes []enforcementChange `json:"changes"`

	// judged are the controls that objects were judged by.
	judged []string
	// lives says what becomes of what is there.
	lives string
}

type enforcementMove struct {
	Namespace string `json:"namespace,omitempty"`
	Others    bool   `json:"others,omitempty"`
	Cluster   bool   `json:"cluster,omitempty"`
	From      string `json:"from"`
	To        string `json:"to"`

	place string
}

type enforcementRefusal struct {
	Control string      `json:"control"`
	Object  finding.Ref `json:"object"`
	// Step is what the policy does where the object is: audit, warn or deny.
	Step string `json:"step"`
	// Rises says that it was milder before.
	Rises   bool   `json:"rises"`
	Message string `json:"message"`
	// Unjudged says that the policy cannot be evaluated on the object, which refuses it.
	Unjudged bool `json:"unjudged,omitempty"`
}

type enforcementRecord struct {
	Namespace string `json:"namespace,omitempty"`
	Control   string `json:"control"`
	Requests  int    `json:"requests"`
}

type enforcementChange struct {
	Object string `json:"object"`
	Change string `json:"change"`
}

func newEnforcementReport() *enforcementReport {
	return &enforcementReport{APIVersion: finding.APIVersion, Kind: "PolicyChange",
		Moves: []enforcementMove{}, Refusals: []enforcementRefusal{}, Changes: []enforcementChange{}, Waived: map[string]int{}, Mended: map[string]int{},
		lives: "What is there stays: pods of what runs are made anew as they are, and an update is\nrefused only for what it makes worse."}
}

func everywhere(string) bool { return true }

func (r *enforcementReport) moves(moves []rollout.Move) {
	for _, m := range moves {
		r.Moves = append(r.Moves, enforcementMove{Namespace: m.Namespace, Others: m.Others, Cluster: m.Cluster,
			From: m.From.String(), To: m.To.String(), place: m.Place()})
	}
}

// predicted takes, of a prediction, what is judged at some step and where it is wanted;
// before is the step at which a control judged a namespace so far.
func (r *enforcementReport) predicted(p *rollout.Prediction, steps *rollout.Steps, before func(control, namespace string) rollout.Step, wanted func(namespace string) bool) {
	for _, f := range p.Refusals {
		namespace := f.Object.InNamespace()
		step := steps.Of(namespace)
		if step == rollout.Off || before(f.Control, namespace) == step && !wanted(namespace) {
			continue
		}
		if f.Waived {
			r.Waived[f.Control]++
			continue
		}
		if f.Mended && step == rollout.Deny {
			r.Mended[f.Control]++
			continue
		}
		r.Refusals = append(r.Refusals, enforcementRefusal{Control: f.Control, Object: f.Object, Step: step.String(),
			Rises: before(f.Control, namespace) < step, Message: f.Message, Unjudged: f.Unjudged})
	}
	r.Unread = append(r.Unread, p.Unread...)
}

// recorded takes what an audit log says of the places that are wanted.
func (r *enforcementReport) recorded(log *rollout.Recorded, wanted func(namespace string) bool) {
	if log == nil {
		return
	}
	for _, namespace := range slices.Sorted(maps.Keys(log.Requests)) {
		for _, control := range slices.Sorted(maps.Keys(log.Requests[namespace])) {
			if wanted(namespace) {
				r.Recorded = append(r.Recorded, enforcementRecord{namespace, control, log.Requests[namespace][control]})
			}
		}
	}
}

// writeRecorded writes what the audit log says.
func (r *enforcementReport) writeRecorded(b *strings.Builder) {
	if len(r.Recorded) == 0 {
		return
	}
	b.WriteString("Requests in the audit log that policies found fault with:\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, one := range r.Recorded {
		fmt.Fprintf(w, "  %s\t%s\t%d\n", cmp.Or(report.Printable(one.Namespace), "(whole cluster)"), one.Control, one.Requests)
	}
	_ = w.Flush() // into memory
	b.WriteString("\n")
}

func (r *enforcementReport) changes(changes []rollout.Change) {
	r.Changes = []enforcementChange{}
	for i := range changes {
		r.Changes = append(r.Changes, enforcementChange{changes[i].Object(), string(changes[i].Verb)})
	}
}

// before writes what a change means, before it is made.
func (e *enforcement) before(r *enforcementReport) error {
	e.explain(r)
	if e.flags.format == "json" {
		return nil
	}
	var b strings.Builder
	for _, m := range r.Moves {
		fmt.Fprintf(&b, "%s: %s -> %s\n", report.Printable(m.place), m.From, m.To)
	}
	if len(r.Moves) > 0 {
		b.WriteString("\n")
	}
	r.writeRefusals(&b)
	r.writeRecorded(&b)
	_, err := io.WriteString(e.env.Stdout, b.String())
	return err
}

// explain says on standard error what the report cannot.
func (e *enforcement) explain(r *enforcementReport) {
	for _, n := range r.Notes {
		fmt.Fprintf(e.env.Stderr, "Note: %s\n", report.Printable(n))
	}
	for _, u := range r.Unread {
		fmt.Fprintf(e.env.Stderr, "Not read: %s: %s. What these would refuse of it is not known: %s\n",
			report.Printable(u.What), report.Printable(u.Reason), strings.Join(u.Controls, ", "))
	}
}

// writeRefusals writes, policy by policy, what would be refused.
func (r *enforcementReport) writeRefusals(b *strings.Builder) {
	if len(r.judged) == 0 {
		return
	}
	byControl := map[string][]enforcementRefusal{}
	for _, f := range r.Refusals {
		byControl[f.Control] = append(byControl[f.Control], f)
	}
	var none []string
	for _, name := range r.judged {
		if len(byControl[name]) == 0 && r.Waived[name] == 0 && r.Mended[name] == 0 {
			none = append(none, name)
		}
	}
	b.WriteString("What is in the cluster and would be refused if it were created now:\n")
	for _, name := range r.judged {
		if slices.Contains(none, name) {
			continue
		}
		fmt.Fprintf(b, "\n%s: %s", name, countOf(len(byControl[name]), "object", "objects"))
		if n := r.Waived[name]; n > 0 {
			fmt.Fprintf(b, ", and %d waived", n)
		}
		if n := r.Mended[name]; n > 0 {
			fmt.Fprintf(b, ", and %d that the fixes mend first", n)
		}
		b.WriteString("\n")
		w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		for _, f := range byControl[name] {
			message := f.Message
			if f.Unjudged {
				message = "cannot be judged: " + message
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Step, report.Printable(f.Object.String()), report.Printable(message))
		}
		_ = w.Flush() // into memory
	}
	if len(none) > 0 {
		fmt.Fprintf(b, "\nnothing, by %s:\n%s\n", countOf(len(none), "policy", "policies"), indent(wrap(strings.Join(none, ", "), 78), "  "))
	}
	if len(r.Refusals) > 0 {
		b.WriteString("\n" + r.lives + "\n")
	}
	b.WriteString("\n")
}

// after writes what became of each object, of so many that were meant.
func (e *enforcement) after(r *enforcementReport, meant int) error {
	if e.flags.format == "json" {
		return writeJSON(e.env.Stdout, r)
	}
	suffix := ""
	if e.flags.dryRun != dryRunNone {
		suffix = " (" + e.flags.dryRun + " dry run)"
	}
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s %s%s\n", report.Printable(c.Object), c.Change, suffix)
	}
	if meant == 0 && len(r.Changes) == 0 && len(r.Moves) == 0 {
		b.WriteString("Nothing was applied.\n")
	}
	_, err := io.WriteString(e.env.Stdout, b.String())
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
