package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

// publish writes the patch and the report, and with --write the files.
func (r *rbacRepair) publish(ctx context.Context) error {
	script, err := r.script()
	if err != nil {
		return err
	}
	if r.outputPatch != "" {
		if err := replaceFile(r.outputPatch, func(w io.Writer) error {
			_, err := io.WriteString(w, script)
			return err
		}); err != nil {
			return err
		}
	}
	if r.write {
		if err := r.repair.originals.replace(ctx, r.changed); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
	}
	if r.drawn() {
		return r.draw(r.env.Stdout, drawAccessDiff(r.access, r.after, "What to take away"))
	}
	if r.format != "table" {
		out, err := r.json()
		if err != nil {
			return err
		}
		return answer(r.env.Stdout, r.format, out)
	}
	// The patch alone goes to standard output, so that it can be piped.
	to := r.env.Stdout
	if !r.write && r.outputPatch == "" && script != "" {
		to = r.env.Stderr
		if _, err := io.WriteString(r.env.Stdout, script); err != nil {
			return err
		}
	}
	return r.table(to)
}

// maxNamed bounds the subjects that a line names, and maxLines those of a table.
const (
	maxNamed = 4
	maxLines = 200
)

func firstSubjects(subjects []rbac.Subject) string {
	var names []string
	for _, s := range subjects[:min(maxNamed, len(subjects))] {
		names = append(names, s.String())
	}
	if more := len(subjects) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return report.Printable(strings.Join(names, ", "))
}

func subjectsOf(all []rbac.Escalation) []rbac.Subject {
	out := make([]rbac.Subject, len(all))
	for i, x := range all {
		out[i] = x.From
	}
	return out
}

func (r *rbacRepair) table(w io.Writer) error {
	c := r.cut
	var out strings.Builder
	if len(c.Before) == 0 {
		out.WriteString("Nobody becomes cluster admin who is not allowed or meant to: there is nothing to change.\n")
		_, err := io.WriteString(w, out.String())
		return err
	}
	fmt.Fprintf(&out, "%s cluster admin and %s not to: %s\n", plural(len(c.Before), "subject becomes", "subjects become"), isOrAre(len(c.Before)), firstSubjects(subjectsOf(c.Before)))
	if len(c.Changes) > 0 {
		out.WriteString("\nTo change:\n")
		r.writeChanges(&out)
		r.writeLost(&out)
		fmt.Fprintf(&out, "\n%s\n", r.worth())
	}
	r.writeByHand(&out)
	for _, n := range r.notes {
		fmt.Fprintf(&out, "note: %s\n", report.Printable(n))
	}
	r.writeProof(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func (r *rbacRepair) writeChanges(w io.Writer) {
	for _, c := range r.cut.Changes {
		at := ""
		if l := c.Object.Locate(nil); l != nil {
			at = fmt.Sprintf(" (%s:%d)", l.File, l.Line)
		}
		fmt.Fprintf(w, "  %s%s\n", report.Printable(c.Object.Ref().String()), report.Printable(at))
		for _, p := range c.Parts {
			fmt.Fprintf(w, "    %s (breaks %d)\n      cuts %s\n", report.Printable(partText(p)), p.Weight-1, firstSubjects(p.Stops))
		}
		switch {
		case c.Nobody && r.stored[c.Object]:
			fmt.Fprintf(w, "    It binds nobody any more: it is deleted.\n")
		case c.Nobody:
			fmt.Fprintf(w, "    It binds nobody any more: delete it once it is applied.\n")
		}
	}
}

func (r *rbacRepair) writeLost(w io.Writer) {
	if len(r.cut.Lost) == 0 {
		fmt.Fprintf(w, "\nNobody loses anything that is not granted otherwise.\n")
		return
	}
	fmt.Fprintf(w, "\nWhat is lost by it:\n")
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, l := range r.cut.Lost[:min(maxLines, len(r.cut.Lost))] {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", report.Printable(l.Subject.String()), report.Printable(strings.Join(l.Verbs, ", ")), report.Printable(lostText(l)))
	}
	_ = t.Flush() // it writes to memory
	if more := len(r.cut.Lost) - maxLines; more > 0 {
		fmt.Fprintf(w, "  and %d more, which -o json lists\n", more)
	}
}

func lostText(l rbac.Loss) string {
	what := l.URL
	switch {
	case l.URL == "*":
		what = "every URL"
	case l.Group == "*" && l.Resource == "*":
		what = "every resource"
	case l.URL == "":
		what = rbac.Qualified(l.Group, l.Resource)
	}
	if len(l.ResourceNames) > 0 {
		what += " " + strings.Join(l.ResourceNames, ", ")
	}
	if l.Namespace != "" {
		return what + " in " + l.Namespace
	}
	return what + " in the whole cluster"
}

// worth says what the changes weigh, and how much less there may be.
func (r *rbacRepair) worth() string {
	c := r.cut
	text := fmt.Sprintf("Weight %d (%s, %s cut): ", c.Weight, plural(partCount(c), "change", "changes"), plural(c.Chains, "chain", "chains"))
	if c.Exact() {
		return text + "no others weigh less."
	}
	return text + fmt.Sprintf("others may weigh less, but not less than %d (--time-limit looks longer).", c.Bound)
}

func partCount(c *rbac.Cut) (n int) {
	for _, ch := range c.Changes {
		n += len(ch.Parts)
	}
	return n
}

// writeByHand shows what could not be written into a file.
func (r *rbacRepair) writeByHand(w io.Writer) {
	for i := range r.cut.Changes {
		c := &r.cut.Changes[i]
		why := r.byHand[c.Object]
		if why == "" {
			continue
		}
		fmt.Fprintf(w, "\nTo be changed by hand: %s: %s\n", report.Printable(c.Object.Ref().String()), report.Printable(why))
		if diff, err := fix.ContentDiff(&fix.Change{Object: c.Object, After: c.After}); err == nil {
			for line := range strings.Lines(diff) {
				fmt.Fprintf(w, "  %s\n", report.Printable(strings.TrimRight(line, "\n")))
			}
		}
	}
}

func (r *rbacRepair) writeProof(w io.Writer) {
	if len(r.left) == 0 {
		fmt.Fprintf(w, "\nProof: computed again with the changes, nobody else becomes cluster admin.\n")
		return
	}
	fmt.Fprintf(w, "\n%s cluster admin even so:\n", plural(len(r.left), "subject becomes", "subjects become"))
	for _, x := range r.left[:min(maxLines, len(r.left))] {
		fmt.Fprintf(w, "\n%s: %s\n", report.Printable(withMembers(r.access, x.From)), stepCount(x))
		writeChain(w, x)
		if r.fixed(x) {
			fmt.Fprintf(w, "  What it rests on is kept: it is Kubernetes' or the platform's own, or of subjects that are allowed.\n")
		}
	}
}

// fixed reports whether nothing of what a subject's chain rests on is to be changed.
func (r *rbacRepair) fixed(x rbac.Escalation) bool {
	return slices.ContainsFunc(r.cut.Remaining, func(o rbac.Escalation) bool { return o.From == x.From })
}

type rbacFixPartJSON struct {
	What      string   `json:"what"`
	Subject   string   `json:"subject,omitempty"`
	Rule      *int     `json:"rule,omitempty"`
	Verb      string   `json:"verb,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Weight    int64    `json:"weight"`
	Cuts      []string `json:"cuts"`
}

type rbacFixChangeJSON struct {
	Object   finding.Ref       `json:"object"`
	Location *finding.Location `json:"location,omitempty"`
	Parts    []rbacFixPartJSON `json:"parts"`
	Edits    []finding.Edit    `json:"edits"`
	// Command changes an object of a cluster.
	Command string `json:"command,omitempty"`
	// ByHand says why a file cannot be changed.
	ByHand string `json:"byHand,omitempty"`
}

type lossJSON struct {
	Subject       string   `json:"subject"`
	Namespace     string   `json:"namespace,omitempty"`
	Group         string   `json:"group,omitempty"`
	Resource      string   `json:"resource,omitempty"`
	ResourceNames []string `json:"resourceNames,omitempty"`
	URL           string   `json:"url,omitempty"`
	Verbs         []string `json:"verbs"`
}

type rbacFixJSON struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Allowed    []string `json:"allowed,omitempty"`
	// Before and Left become cluster admin, before the changes and after them.
	Before  []escalationJSON     `json:"before"`
	Changes []rbacFixChangeJSON  `json:"changes"`
	Lost    []lossJSON           `json:"lost"`
	Weight  int64                `json:"weight"`
	Bound   int64                `json:"bound"`
	Exact   bool                 `json:"exact"`
	Files   []finding.FileChange `json:"files"`
	Written bool                 `json:"written"`
	Left    []escalationJSON     `json:"left"`
	Notes   []string             `json:"notes,omitempty"`
	Unknown []string             `json:"unknown,omitempty"`
}

func (r *rbacRepair) json() (*rbacFixJSON, error) {
	c := r.cut
	out := &rbacFixJSON{APIVersion: finding.APIVersion, Kind: "RBACFix", Before: newEscalationsJSON(r.access, c.Before, nil, false).Escalations, Changes: []rbacFixChangeJSON{}, Lost: []lossJSON{},
		Weight: c.Weight, Bound: c.Bound, Exact: c.Exact(), Files: r.diffs(), Written: r.write, Left: newEscalationsJSON(r.access, r.left, nil, false).Escalations, Notes: r.notes, Unknown: c.Unknown}
	for _, s := range r.allowed {
		out.Allowed = append(out.Allowed, s.String())
	}
	for i := range c.Changes {
		ch := &c.Changes[i]
		one := rbacFixChangeJSON{Object: ch.Object.Ref(), Location: ch.Object.Locate(nil), Edits: ch.Edits, ByHand: r.byHand[ch.Object]}
		for _, p := range ch.Parts {
			one.Parts = append(one.Parts, newPartJSON(p))
		}
		if r.stored[ch.Object] && one.ByHand == "" {
			var err error
			if one.Command, err = kubectlOf(ch); err != nil {
				return nil, err
			}
		}
		out.Changes = append(out.Changes, one)
	}
	for _, l := range c.Lost {
		out.Lost = append(out.Lost, lossJSON{l.Subject.String(), l.Namespace, l.Group, l.Resource, l.ResourceNames, l.URL, l.Verbs})
	}
	return out, nil
}

func newPartJSON(p rbac.CutPart) rbacFixPartJSON {
	out := rbacFixPartJSON{What: partText(p), Verb: p.Verb, Resources: p.Resources, Weight: p.Weight, Cuts: []string{}}
	if p.Subject != nil {
		out.Subject = p.Subject.String()
	} else {
		out.Rule = &p.Rule
	}
	if p.WriteOut() {
		out.Verb = ""
	}
	for _, s := range p.Stops {
		out.Cuts = append(out.Cuts, s.String())
	}
	return out
}
