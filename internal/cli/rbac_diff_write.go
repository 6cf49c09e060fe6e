package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

// summary is the difference in a line.
func (d *accessDiff) summary() string {
	gain, lose := d.count()
	if gain+lose == 0 && len(d.escalations.Gained)+len(d.escalations.Becomes)+len(d.escalations.Lost) == 0 {
		if len(d.unknown) > 0 {
			return "No difference was found; not everything could be read."
		}
		return "Everybody may do what they could do before."
	}
	text := fmt.Sprintf("%s permissions, %s some", plural(gain, "subject gains", "subjects gain"), plural(lose, "loses", "lose"))
	if n := len(d.escalations.Gained); n > 0 {
		text += fmt.Sprintf("; %s cluster admin that could not before", plural(n, "becomes", "become"))
	}
	if n := len(d.escalations.Lost); n > 0 {
		text += fmt.Sprintf("; %s cluster admin", plural(n, "no longer becomes", "no longer become"))
	}
	return text + "."
}

func (d *accessDiff) writeText(w io.Writer) error {
	var out strings.Builder
	out.WriteString(d.summary() + "\n")
	if gained := d.escalations.Gained; len(gained) > 0 {
		out.WriteString("\nBecomes cluster admin, and could not before:\n")
		for _, e := range gained {
			fmt.Fprintf(&out, "\n%s: %s\n", report.Printable(withMembers(d.after, e.From)), stepCount(e))
			writeChain(&out, e)
		}
	}
	if becomes := d.escalations.Becomes; len(becomes) > 0 {
		out.WriteString("\nBecomes somebody else, and could not before:\n")
		t := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
		for _, e := range becomes {
			fmt.Fprintf(t, "  %s\t%s\n", report.Printable(e.From.String()), report.Printable(shortChain(e)))
		}
		_ = t.Flush() // to a Builder
	}
	if lost := d.escalations.Lost; len(lost) > 0 {
		out.WriteString("\nNo longer becomes cluster admin:\n")
		for _, e := range lost {
			fmt.Fprintf(&out, "  %s\n", report.Printable(e.From.String()))
		}
	}
	for _, c := range d.changes {
		fmt.Fprintf(&out, "\n%s\n", report.Printable(withMembers(d.after, c.Subject)))
		for _, l := range signed(c) {
			fmt.Fprintf(&out, "  %s %s\n      by %s\n", l.sign, report.Printable(l.String()), report.Printable(byGrants(l.Grants)))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

type signedLine struct {
	sign string
	rbac.ChangeLine
}

// signed are the lines of a subject: first what it gains.
func signed(c rbac.SubjectChange) []signedLine {
	var out []signedLine
	for _, l := range rbac.Lines(c.Gained) {
		out = append(out, signedLine{"+", l})
	}
	for _, l := range rbac.Lines(c.Lost) {
		out = append(out, signedLine{"-", l})
	}
	return out
}

// byGrants names the first of the grants, and how many more there are.
func byGrants(grants []rbac.Grant) string {
	text := chain(grants[0])
	if more := len(grants) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// writeMarkdown writes a comment for a pull request, as GitHub and GitLab render it.
func (d *accessDiff) writeMarkdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("### Who may do what\n\n" + d.summary() + "\n")
	for _, e := range d.escalations.Gained {
		fmt.Fprintf(&out, "\n**%s becomes cluster admin**, and could not before:\n\n", markdown(e.From.String()))
		for _, s := range e.Steps {
			var needs []string
			for _, n := range s.Needs {
				needs = append(needs, fmt.Sprintf("%s, by %s", markdownCode(n.String()), markdown(neededChain(n))))
			}
			fmt.Fprintf(&out, "1. %s: %s – %s\n", s.Name, markdown(s.To.String()), strings.Join(needs, "; "))
		}
		if e.Admin != nil {
			fmt.Fprintf(&out, "1. %s is cluster admin by %s\n", markdown(e.Last().String()), markdown(chain(*e.Admin)))
		}
	}
	if becomes := d.escalations.Becomes; len(becomes) > 0 {
		out.WriteString("\nBecomes somebody else, and could not before:\n\n")
		for _, e := range becomes {
			fmt.Fprintf(&out, "- %s – %s\n", markdown(e.From.String()), markdown(shortChain(e)))
		}
	}
	for _, e := range d.escalations.Lost {
		fmt.Fprintf(&out, "\n%s no longer becomes cluster admin.\n", markdown(e.From.String()))
	}
	if len(d.changes) > 0 {
		out.WriteString("\n| Subject | | Permission | Where | By |\n|---|---|---|---|---|\n")
	}
	for _, c := range d.changes {
		for _, l := range signed(c) {
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", markdown(c.Subject.String()), map[string]string{"+": "gains", "-": "loses"}[l.sign],
				markdownCode(l.What), markdown(strings.TrimPrefix(l.Where, "in ")), markdown(byGrants(l.Grants)))
		}
	}
	for _, u := range d.unknown {
		fmt.Fprintf(&out, "\nThere may be more: %s.\n", markdown(u))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// markdown is text that is shown as it is, and notifies nobody.
func markdown(text string) string { return report.Markdown(text) }

// markdownCode is text as code in a cell of a table.
func markdownCode(text string) string { return report.MarkdownCode(text) }

// namesJSON is a set of names: those of in, or with but all others.
type namesJSON struct {
	In  []string `json:"in,omitempty"`
	But []string `json:"but,omitempty"`
}

func newNamesJSON(n rbac.Names) *namesJSON {
	if n.All {
		return &namesJSON{In: []string{"*"}, But: n.List}
	}
	return &namesJSON{In: n.List}
}

type changeJSON struct {
	Text          string     `json:"text"`
	Verbs         *namesJSON `json:"verbs"`
	APIGroups     *namesJSON `json:"apiGroups,omitempty"`
	Resources     *namesJSON `json:"resources,omitempty"`
	Subresources  *namesJSON `json:"subresources,omitempty"`
	ResourceNames *namesJSON `json:"resourceNames,omitempty"`
	Namespaces    *namesJSON `json:"namespaces,omitempty"`
	URLs          *namesJSON `json:"nonResourceURLs,omitempty"`
	// InBoth is what of it may be done in both, where that is not told by but.
	InBoth []string    `json:"inBoth,omitempty"`
	By     []grantJSON `json:"by"`
}

type subjectChangeJSON struct {
	Subject subjectJSON  `json:"subject"`
	Gained  []changeJSON `json:"gained"`
	Lost    []changeJSON `json:"lost"`
}

type accessDiffJSON struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// ClusterAdmin are those who become cluster admin and could not; Becomes those who
	// become somebody else.
	ClusterAdmin         []escalationJSON    `json:"clusterAdmin"`
	Becomes              []escalationJSON    `json:"becomes"`
	NoLongerClusterAdmin []escalationJSON    `json:"noLongerClusterAdmin"`
	Subjects             []subjectChangeJSON `json:"subjects"`
	Unknown              []string            `json:"unknown,omitempty"`
}

func (d *accessDiff) json() accessDiffJSON {
	out := accessDiffJSON{APIVersion: finding.APIVersion, Kind: "AccessDiff", Unknown: d.unknown, Subjects: []subjectChangeJSON{},
		ClusterAdmin:         newEscalationsJSON(d.after, d.escalations.Gained, nil, false).Escalations,
		Becomes:              newEscalationsJSON(d.after, d.escalations.Becomes, nil, true).Escalations,
		NoLongerClusterAdmin: newEscalationsJSON(d.before, d.escalations.Lost, nil, false).Escalations}
	for _, c := range d.changes {
		out.Subjects = append(out.Subjects, subjectChangeJSON{newSubjectJSON(d.after, c.Subject), newChangesJSON(c.Gained), newChangesJSON(c.Lost)})
	}
	return out
}

func newChangesJSON(changes []rbac.Change) []changeJSON {
	out := []changeJSON{}
	for i := range changes {
		c := &changes[i]
		one := changeJSON{Text: rbac.Lines(changes[i : i+1])[0].String(), Verbs: newNamesJSON(c.Verbs()), InBoth: c.Had(), By: []grantJSON{}}
		if url, but := c.URL(); url != "" {
			one.URLs = &namesJSON{In: []string{url}, But: but}
		} else {
			one.APIGroups, one.Resources, one.Subresources = newNamesJSON(c.Groups()), newNamesJSON(c.Resources()), newNamesJSON(c.Subresources())
			one.ResourceNames, one.Namespaces = newNamesJSON(c.ResourceNames()), newNamesJSON(c.Namespaces())
		}
		for _, g := range c.Grants {
			one.By = append(one.By, newGrantJSON(g))
		}
		out = append(out, one)
	}
	return out
}
