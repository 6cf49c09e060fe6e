package helm

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
)

// A mark is markStart, the number of a template, a colon, a line, markEnd. The
// two control characters are not allowed in YAML, so a chart that writes them
// itself is no YAML anyway.
const (
	markStart = "\x01"
	markEnd   = "\x02"
)

// lines renders the chart again with marks, and returns for each line of
// rendered the line of its template, 0 where that is not known.
//
// Marks are put into the text of template files, not of named templates: text
// outside of these goes straight to the output, while a named template's result
// may be compared, hashed or parsed. Where a chart does that with a whole file
// (sha256sum of a ConfigMap), the marked result differs in that place; where it
// differs in the number of lines, nothing is known of that file.
func (t *tree) lines(ctx context.Context, values map[string]any, caps *common.Capabilities, rendered map[string]string) map[string][]int {
	top, err := t.topValues(values, caps)
	if err != nil {
		return nil
	}
	numbers := map[string]int{}
	restore := markAll(t.chart, numbers)
	marked, err := engine.Engine{}.RenderWithContext(ctx, t.chart, top)
	restore()
	if err != nil {
		return nil
	}
	result := map[string][]int{}
	for name, content := range rendered {
		where := readMarks(marked[name], numbers[name])
		if len(where) == strings.Count(content, "\n")+1 {
			result[name] = where
		}
	}
	return result
}

// markAll marks all templates of the tree and numbers them by the engine's
// names. What it returns puts the templates back.
func markAll(c *chart.Chart, numbers map[string]int) (restore func()) {
	// A subchart that is taken in twice, under two aliases, shares its files:
	// they are marked once, and both names have one number.
	marked := map[*common.File]int{}
	originals := map[*common.File][]byte{}
	var visit func(*chart.Chart)
	visit = func(c *chart.Chart) {
		for _, f := range c.Templates {
			if strings.HasPrefix(path.Base(f.Name), "_") {
				continue
			}
			if marked[f] == 0 {
				marked[f], originals[f] = len(marked)+1, f.Data
				f.Data = []byte(mark(string(f.Data), marked[f]))
			}
			numbers[path.Join(c.ChartFullPath(), f.Name)] = marked[f]
		}
		for _, sub := range c.Dependencies() {
			visit(sub)
		}
	}
	visit(c)
	return func() {
		for f, data := range originals {
			f.Data = data
		}
	}
}

// marker inserts marks into one template's source.
type marker struct {
	source string
	number int
	// newlines are the offsets of all line ends.
	newlines []int
	inserts  map[int]string
}

// mark returns source with marks, or as it is where it is no template.
func mark(source string, number int) string {
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(source, "", "", map[string]*parse.Tree{}); err != nil || tree.Root == nil {
		return source
	}
	m := &marker{source: source, number: number, inserts: map[int]string{}}
	for i := range len(source) {
		if source[i] == '\n' {
			m.newlines = append(m.newlines, i)
		}
	}
	m.list(tree.Root)
	var out strings.Builder
	last := 0
	for _, at := range slices.Sorted(maps.Keys(m.inserts)) {
		out.WriteString(source[last:at])
		out.WriteString(m.inserts[at])
		last = at
	}
	out.WriteString(source[last:])
	return out.String()
}

func (m *marker) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, node := range l.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			m.text(int(n.Pos), len(n.Text))
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				m.action(int(n.Pos))
			}
		case *parse.TemplateNode:
			m.action(int(n.Pos))
		case *parse.IfNode:
			m.list(n.List)
			m.list(n.ElseList)
		case *parse.RangeNode:
			m.list(n.List)
			m.list(n.ElseList)
		case *parse.WithNode:
			m.list(n.List)
			m.list(n.ElseList)
		}
	}
}

// text marks the start of a text and of each line in it. The text that the
// parser reports has been trimmed, so no mark stands where {{- or -}} would
// take white space away.
func (m *marker) text(start, length int) {
	m.inserts[start] = m.tag(start)
	for i := start; i < start+length; i++ {
		if m.source[i] == '\n' {
			m.inserts[i+1] = m.tag(i + 1)
		}
	}
}

// action marks what an action writes with another action just before it, which
// trims to the left as it does.
func (m *marker) action(pos int) {
	open := strings.LastIndex(m.source[:pos], "{{")
	if open < 0 {
		return
	}
	switch strings.TrimRight(m.source[open:pos], " \t\r\n") {
	case "{{":
		m.inserts[open] += "{{" + strconv.Quote(m.tag(open)) + "}}"
	case "{{-":
		m.inserts[open] += "{{- " + strconv.Quote(m.tag(open)) + "}}"
	}
}

func (m *marker) tag(offset int) string {
	line := 1 + sort.SearchInts(m.newlines, offset)
	return fmt.Sprintf("%s%d:%d%s", markStart, m.number, line, markEnd)
}

// readMarks returns for each line of marked output the line in the template of
// that number that wrote its first character which is not white space.
func readMarks(marked string, number int) []int {
	lines := []int{0}
	current, settled := 0, false
	for i := 0; i < len(marked); i++ {
		switch c := marked[i]; {
		case c == markStart[0]:
			length := strings.Index(marked[i:], markEnd)
			if length < 0 {
				return nil
			}
			template, line, _ := strings.Cut(marked[i+1:i+length], ":")
			current = 0
			if template == strconv.Itoa(number) {
				current, _ = strconv.Atoi(line)
			}
			i += length
		case c == '\n':
			lines, settled = append(lines, 0), false
		case c == ' ' || c == '\t' || c == '\r' || settled:
		default:
			lines[len(lines)-1], settled = current, true
		}
	}
	return lines
}
