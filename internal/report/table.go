package report

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

const (
	defaultWidth = 100
	// narrowest is the width below which nothing readable can be made.
	narrowest = 30
	// messageLines is how many lines of the table one finding's message may take.
	messageLines = 3
	// listLines is how many problems, missing observations or waivers the table
	// lists; wide lists all.
	listLines = 20
)

func writeTable(w io.Writer, r *finding.Result, o Options) error {
	width := o.Width
	if width <= 0 {
		width = defaultWidth
	}
	p := &printer{width: max(width, narrowest), color: o.Color}
	return p.write(w, r, o)
}

func writeWide(w io.Writer, r *finding.Result, o Options) error {
	p := &printer{color: o.Color}
	return p.write(w, r, o)
}

func (p *printer) write(w io.Writer, r *finding.Result, o Options) error {
	p.findings(r, o)
	p.passes(r)
	p.waivers(r, o)
	p.problems(r)
	p.unmet(r)
	p.summary(r, o)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// findings prints the findings by object. Waived ones come last in their
// object, and only where they are asked for.
func (p *printer) findings(r *finding.Result, o Options) {
	shown := r.Findings
	if !o.ShowWaived {
		shown = nil
		for _, f := range r.Findings {
			if f.Waived == nil {
				shown = append(shown, f)
			}
		}
	}
	var sections []section
	for _, g := range byObject(shown) {
		s := section{title: g.title() + managedBy(g.findings[0].Managed), place: groupPlace(g)}
		for _, f := range g.findings {
			s.rows = append(s.rows, p.findingRow(f, s.place))
		}
		sections = append(sections, s)
	}
	p.sections(p.header(), sections)
}

func (p *printer) header() []string {
	if p.wide() {
		return []string{"SEVERITY", "CONTROL", "CONTAINER", "LOCATION", "PATH", "FIX", "MESSAGE"}
	}
	return []string{"SEVERITY", "CONTROL", "LINE", "MESSAGE"}
}

func (p *printer) findingRow(f finding.Finding, place string) row {
	label, style := labelOf(f)
	message := f.Message
	if f.Waived != nil {
		message += " (" + waivedBy(*f.Waived) + ")"
	}
	if p.wide() {
		fix := ""
		if f.Fix != nil {
			fix = string(f.Fix.Safety)
		}
		if len(f.Covers) > 0 {
			message += " (covers " + strings.Join(f.Covers, ", ") + ")"
		}
		message += evidence(f.Evidence)
		return row{style, []string{label, f.Control, f.Container, locationOf(f.Location), f.Path, fix, message}}
	}
	// Most messages name the container themselves.
	if f.Container != "" && !strings.Contains(f.Message, f.Container) {
		message = f.Container + ": " + message
	}
	line := ""
	switch l := f.Location; {
	case l == nil:
	case l.File != place:
		message += " (" + locationOf(l) + ")"
	case l.Line > 0:
		line = ":" + strconv.Itoa(l.Line)
	}
	return row{style, []string{label, f.Control, line, message}}
}

func labelOf(f finding.Finding) (label string, s style) {
	switch {
	case f.Waived != nil:
		return "waived", faint
	case f.Verdict != finding.Fail:
		return string(finding.Unknown), magenta
	}
	return f.Severity.String(), severityStyle(f.Severity)
}

// managedBy marks an object that the platform keeps.
func managedBy(m *finding.Managed) string {
	if m == nil {
		return ""
	}
	return " [managed by " + m.By + "]"
}

func waivedBy(w finding.Waived) string {
	s := "waived by " + w.Waiver + " of " + w.Owner
	if w.Expires != "" {
		s += " until " + w.Expires
	}
	return s + ": " + w.Reason
}

func evidence(es []finding.Evidence) string {
	var b strings.Builder
	for i, e := range es {
		if i == 0 {
			b.WriteString(" [read: ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(e.Source)
		if e.Detail != "" {
			b.WriteString(": " + e.Detail)
		}
	}
	if b.Len() > 0 {
		b.WriteString("]")
	}
	return b.String()
}

// passes prints the passes that were asked for, in the order of the result.
func (p *printer) passes(r *finding.Result) {
	index := map[object]int{}
	var sections []section
	for _, pass := range r.Passes {
		key := object{pass.Root, pass.Object}
		i, ok := index[key]
		if !ok {
			i = len(sections)
			index[key] = i
			s := section{title: key.title()}
			if pass.Location != nil {
				s.place = pass.Location.File
			}
			sections = append(sections, s)
		}
		said := strings.TrimSpace(evidence(pass.Evidence))
		cells := []string{"pass", pass.Control, "", said}
		if p.wide() {
			cells = []string{"pass", pass.Control, "", locationOf(pass.Location), "", "", said}
		}
		sections[i].rows = append(sections[i].rows, row{green, cells})
	}
	if len(sections) > 0 {
		p.heading("Passed")
		p.sections(nil, sections)
	}
}

// waivers prints those that waive nothing because they are expired or invalid,
// or all.
func (p *printer) waivers(r *finding.Result, o Options) {
	var lines []string
	for _, u := range r.Waivers {
		if !o.ShowWaived && u.State != "expired" && u.State != "invalid" {
			continue
		}
		lines = append(lines, waiverLine(u))
	}
	title := "Waivers that waive nothing"
	if o.ShowWaived {
		title = "Waivers"
	}
	p.list(title, lines)
}

func waiverLine(u finding.WaiverUse) string {
	s := u.Waiver
	if u.Location != nil {
		s = locationOf(u.Location) + ": " + s
	}
	s += " is " + u.State
	if u.State == "matched" {
		s += " (" + count(u.Matches, "finding") + ")"
	}
	if u.State == "expired" && u.Expires != "" {
		s += " since " + u.Expires
	}
	for _, part := range []struct{ name, value string }{
		{"control ", u.Control}, {"owner ", u.Owner}, {"ticket ", u.Ticket}, {"", u.Reason},
	} {
		if part.value != "" {
			s += ", " + part.name + part.value
		}
	}
	if len(u.Problems) > 0 {
		s += ": " + strings.Join(u.Problems, "; ")
	}
	return s
}

func (p *printer) problems(r *finding.Result) {
	var lines []string
	for _, problem := range r.Problems {
		lines = append(lines, problemLine(problem))
	}
	p.list("Not read", lines)
}

func problemLine(problem finding.Problem) string {
	if at := locationOf(&problem.Location); at != "" {
		return at + ": " + problem.Message
	}
	return problem.Message
}

func (p *printer) unmet(r *finding.Result) {
	var lines []string
	for _, u := range r.Unknown {
		lines = append(lines, fmt.Sprintf("%s (needed by %s)", unmetLine(u), few(u.Controls)))
	}
	p.list("Not observed", lines)
}

func unmetLine(u finding.Unmet) string { return u.What + ": " + u.Reason }

// few names the first of many.
func few(names []string) string {
	const most = 3
	switch n := len(names); {
	case n == 0:
		return "no control"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

// title is the object, and its root where it has one.
func (o object) title() string {
	if o.root == "" {
		return o.ref.String()
	}
	return o.ref.String() + " (" + path.Base(o.root) + ")"
}

// groupPlace is the file that most of a group's findings are in, which stands
// beside its title; findings that are elsewhere say so themselves.
func groupPlace(g group) string {
	seen := map[string]int{}
	place := ""
	for _, f := range g.findings {
		if f.Location == nil {
			continue
		}
		file := f.Location.File
		seen[file]++
		if place == "" || seen[file] > seen[place] {
			place = file
		}
	}
	return place
}

// locationOf is file:line:column as compilers write it, as far as it is known.
func locationOf(l *finding.Location) string {
	if l == nil {
		return ""
	}
	s := l.File
	if l.Line > 0 {
		s += ":" + strconv.Itoa(l.Line)
		if l.Column > 0 {
			s += ":" + strconv.Itoa(l.Column)
		}
	}
	return s
}
