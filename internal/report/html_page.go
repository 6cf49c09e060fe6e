package report

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

const (
	// htmlInputs and htmlEntries are how much of a list the page shows at once;
	// the rest is folded, not left out.
	htmlInputs  = 3
	htmlEntries = 8
	// htmlPlain is how many findings the page lists for a reader without scripts.
	htmlPlain = 50
	// barLength is the length of a whole bar, in units of its view box.
	barLength = 1000
)

var htmlFuncs = template.FuncMap{"count": count, "filter": htmlFilter, "place": htmlPlace, "verdict": htmlVerdict}

// htmlView is the page as its template reads it.
type htmlView struct {
	Result     *finding.Result
	Policy     string
	Style      template.CSS
	Title      string
	Inputs     folded[string]
	Facts      []htmlFigure
	Assessed   bool
	Nothing    *htmlNotice
	Problems   folded[finding.Problem]
	Unknown    folded[finding.Unmet]
	Severities []htmlFigure
	// SeverityBar is the failures by severity.
	SeverityBar  []htmlSegment
	Tiles        []htmlFigure
	Layers       []htmlLayer
	Frameworks   []htmlFramework
	Worst        []htmlRow
	MoreFindings int
	Controls     []htmlControl
	// Waivers counts the audit of waivers by state; Lapsed says that some waive
	// nothing and should.
	Waivers string
	Lapsed  bool
}

// folded is a list of which the page shows the first entries at once.
type folded[E any] struct{ First, Rest []E }

func (f folded[E]) Len() int { return len(f.First) + len(f.Rest) }

func fold[E any](list []E, n int) folded[E] {
	n = min(n, len(list))
	return folded[E]{list[:n], list[n:]}
}

type htmlFigure struct {
	Count             int
	Label, Note, Link string
	// Warn marks what takes away from the assessment where it is not zero.
	Warn bool
}

type htmlNotice struct {
	Tone, Heading string
	Lines         []string
}

// htmlSegment is a part of a bar, in units of its view box.
type htmlSegment struct {
	Class    string
	X, Width int
}

type htmlLayer struct {
	finding.LayerScore
	Assessed bool
	Percent  int
	Bar      []htmlSegment
}

type htmlFramework struct {
	finding.Framework
	Bar []htmlSegment
	// Unlisted counts requirements of which nothing but their number is known.
	Unlisted int
}

type htmlControl struct {
	finding.ControlCount
	Rule finding.Rule
}

type htmlRow struct {
	finding.Finding
	Rule               finding.Rule
	Tone, Where, Place string
}

func newHTMLPage(r *finding.Result, sorted []finding.Finding) htmlView {
	rules := ruleIndex(r)
	s := r.Summary
	waivers, lapsed := htmlWaivers(r.Waivers)
	return htmlView{
		Result: r, Policy: PagePolicy(htmlStyle, htmlScript), Style: template.CSS(htmlStyle),
		Title:  htmlTitle(r.Inputs),
		Inputs: fold(r.Inputs, htmlInputs),
		Facts: nonZero(
			htmlFigure{Count: s.Objects, Label: "objects"},
			htmlFigure{Count: s.UnknownKinds, Label: "of kinds that no control knows"},
			htmlFigure{Count: s.Workloads, Label: "workloads"},
			htmlFigure{Count: s.Namespaces, Label: "namespaces"},
			htmlFigure{Count: s.Files, Label: "files"},
			htmlFigure{Count: s.Controls, Label: "controls"},
		),
		Assessed: assessed(r), Nothing: htmlNothing(r),
		Problems: fold(r.Problems, htmlEntries), Unknown: fold(r.Unknown, htmlEntries),
		Severities: htmlSeverities(s), SeverityBar: htmlSeverityBar(s),
		Tiles: append([]htmlFigure{
			{Count: s.Unknown, Label: "unknown", Note: "could not be judged", Link: "#verdict=unknown", Warn: true},
			{Count: len(r.Problems), Label: "problems", Note: "inputs not read", Link: "#incomplete", Warn: true},
			{Count: s.Waived, Label: "waived", Note: "accepted by a waiver", Link: "#waived=waived"},
			{Count: s.Baseline, Label: "baseline", Note: "known before"},
			{Count: s.Pass, Label: "passed", Note: "controls on objects"},
		}, htmlManaged(s)...),
		Layers: htmlLayers(s), Frameworks: htmlFrameworks(r.Frameworks),
		Worst:        htmlRows(sorted[:min(len(sorted), htmlPlain)], rules),
		MoreFindings: max(0, len(sorted)-htmlPlain),
		Controls:     htmlControls(r.Controls, rules),
		Waivers:      waivers, Lapsed: lapsed,
	}
}

// htmlManaged counts what is about objects that the platform manages, where there is
// any.
func htmlManaged(s finding.Summary) []htmlFigure {
	return nonZero(
		htmlFigure{Count: s.Managed, Label: "managed", Note: "of the failed, in objects that the platform manages", Link: "#q=managed+by"},
		htmlFigure{Count: s.SkippedManaged, Label: "skipped", Note: "in objects that the platform manages"},
	)
}

func htmlTitle(inputs []string) string {
	switch len(inputs) {
	case 0:
		return "Bulkhead report"
	case 1:
		return "Bulkhead report: " + inputs[0]
	}
	return fmt.Sprintf("Bulkhead report: %s and %d more", inputs[0], len(inputs)-1)
}

func nonZero(figures ...htmlFigure) []htmlFigure {
	var kept []htmlFigure
	for _, f := range figures {
		if f.Count != 0 {
			kept = append(kept, f)
		}
	}
	return kept
}

// assessed says whether any control came to any verdict.
func assessed(r *finding.Result) bool {
	s := r.Summary
	return s.Pass+s.Fail+s.Unknown+s.Waived+s.Baseline+s.SkippedManaged+len(r.Findings) > 0
}

// htmlNothing is what to say where there is no open finding: that all is well,
// as far as could be seen, or that nothing could be seen.
func htmlNothing(r *finding.Result) *htmlNotice {
	s := r.Summary
	if !assessed(r) {
		n := &htmlNotice{Tone: "bad", Heading: "Nothing could be assessed"}
		switch {
		case s.Objects == 0:
			n.Lines = append(n.Lines, "No Kubernetes object was read from these inputs.")
		case s.Controls == 0:
			n.Lines = append(n.Lines, fmt.Sprintf("%s read, but no control was chosen to run.", count(s.Objects, "object")))
		default:
			n.Lines = append(n.Lines, fmt.Sprintf("%s read, but no control applies to any of them.", count(s.Objects, "object")))
		}
		n.Lines = append(n.Lines, "This is not a pass: nothing was found because nothing was judged.")
		return n
	}
	if s.Fail+s.Unknown > 0 {
		return nil
	}
	n := &htmlNotice{Tone: "good", Heading: "Nothing found"}
	n.Lines = append(n.Lines, fmt.Sprintf("%s judged %s: %s, no failure, nothing unknown.",
		count(s.Controls, "control"), count(s.Objects, "object"), passes(s.Pass)))
	if len(r.Problems)+len(r.Unknown) > 0 {
		n.Tone, n.Heading = "", "Nothing found in what could be assessed"
	}
	if s.Waived > 0 {
		n.Lines = append(n.Lines, fmt.Sprintf("Not counted: %s.", count(s.Waived, "waived finding")))
	}
	if s.SkippedManaged > 0 {
		n.Lines = append(n.Lines, fmt.Sprintf("Not counted: %s in objects that the platform manages.", count(s.SkippedManaged, "finding")))
	}
	if s.Baseline > 0 {
		n.Lines = append(n.Lines, fmt.Sprintf("Not counted: %s that the baseline knows.", count(s.Baseline, "finding")))
	}
	return n
}

func passes(n int) string {
	if n == 1 {
		return "1 pass"
	}
	return fmt.Sprintf("%d passes", n)
}

func htmlSeverities(s finding.Summary) []htmlFigure {
	var figures []htmlFigure
	for _, severity := range severities() {
		figures = append(figures, htmlFigure{Count: s.BySeverity[severity], Label: severity.String()})
	}
	return figures
}

func htmlSeverityBar(s finding.Summary) []htmlSegment {
	total := 0
	for _, n := range s.BySeverity {
		total += n
	}
	var parts []part
	for _, severity := range severities() {
		parts = append(parts, part{severity.String(), s.BySeverity[severity]})
	}
	return bar(total, parts...)
}

type part struct {
	class string
	n     int
}

// bar lays out parts of a total; what they leave of it stays empty. A part
// that is not zero is never too short to be seen.
func bar(total int, parts ...part) []htmlSegment {
	const shortest = barLength / 150
	var segments []htmlSegment
	x := 0
	for _, p := range parts {
		if p.n <= 0 || total <= 0 {
			continue
		}
		width := max(shortest, int(int64(p.n)*barLength/int64(total)))
		segments = append(segments, htmlSegment{p.class, x, width})
		x += width
	}
	return segments
}

// htmlLayers lists every layer: one that is not assessed is said, not left out.
func htmlLayers(s finding.Summary) []htmlLayer {
	scores := map[finding.Layer]finding.LayerScore{}
	order := finding.Layers()
	for _, layer := range order {
		scores[layer] = finding.LayerScore{Layer: layer}
	}
	for _, score := range s.ByLayer {
		if _, known := scores[score.Layer]; !known {
			order = append(order, score.Layer)
		}
		scores[score.Layer] = score
	}
	var layers []htmlLayer
	for _, layer := range order {
		score := scores[layer]
		l := htmlLayer{LayerScore: score}
		if total := score.Pass + score.Fail; total > 0 {
			l.Assessed = true
			l.Percent = score.Pass * 100 / total // rounded down: 100 means no failure
			l.Bar = bar(total, part{"pass", score.Pass}, part{"fail", score.Fail})
		}
		layers = append(layers, l)
	}
	return layers
}

func htmlFrameworks(frameworks []finding.Framework) []htmlFramework {
	var views []htmlFramework
	for _, f := range frameworks {
		views = append(views, htmlFramework{
			Framework: f,
			Bar:       bar(f.Total, part{"pass", f.Passed}, part{"fail", f.Failed}, part{"unknown", f.Assessed - f.Passed - f.Failed}),
			Unlisted:  max(0, f.Total-len(f.Requirements)),
		})
	}
	return views
}

func htmlControls(counts []finding.ControlCount, rules map[string]*finding.Rule) []htmlControl {
	var controls []htmlControl
	for _, c := range counts {
		controls = append(controls, htmlControl{c, ruleOf(c.Control, rules)})
	}
	return controls
}

func htmlWaivers(uses []finding.WaiverUse) (tally string, lapsed bool) {
	counts := map[string]int{}
	for _, use := range uses {
		counts[use.State]++
	}
	var parts []string
	for _, state := range []string{"matched", "unused", "expired", "invalid"} {
		if counts[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	return strings.Join(parts, ", "), counts["expired"]+counts["invalid"] > 0
}

// ruleOf is the rule of that name, or an empty one: a result made by hand may
// name a rule that it does not carry.
func ruleOf(name string, rules map[string]*finding.Rule) finding.Rule {
	if rule := rules[name]; rule != nil {
		return *rule
	}
	return finding.Rule{Name: name, Title: name}
}

func htmlRows(fs []finding.Finding, rules map[string]*finding.Rule) []htmlRow {
	var rows []htmlRow
	for _, f := range fs {
		row := htmlRow{Finding: f, Rule: ruleOf(f.Control, rules), Tone: "unknown", Where: f.Object.String()}
		if f.Verdict == finding.Fail {
			row.Tone = f.Severity.String()
		}
		if f.Container != "" {
			row.Where += ", container " + f.Container
		}
		if f.Location != nil {
			row.Place = htmlPlace(*f.Location)
		}
		rows = append(rows, row)
	}
	return rows
}

func htmlPlace(l finding.Location) string {
	place := l.File
	if l.Line > 0 {
		place += fmt.Sprintf(":%d", l.Line)
		if l.Column > 0 {
			place += fmt.Sprintf(":%d", l.Column)
		}
	}
	return place
}

// htmlFilter is a link to the findings with this value of a facet, which the
// script reads. What is not UTF-8 in it becomes what encoding/json makes of it.
func htmlFilter(facet string, value any) string {
	return "#" + facet + "=" + url.QueryEscape(string([]rune(fmt.Sprint(value))))
}

func htmlVerdict(v finding.Verdict) string {
	if v == "" {
		return "not assessed"
	}
	return strings.ReplaceAll(string(v), "-", " ")
}
