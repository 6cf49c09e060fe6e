package text

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// writer writes new values in the style of a document.
type writer struct {
	style
	scalars *scalars
}

var errUnwritable = errors.New("a new value holds a number that YAML 1.1 and 1.2 would not both read")

// form is a written value: what stands behind the colon or dash, and the lines
// below.
type form struct {
	head  string
	lines []string
	// verbatim says that the head begins a block scalar, so that the lines must
	// follow at once.
	verbatim bool
}

// keys are the fields of a map in the order to write them: those that say what an
// object is come first.
func keys(v *value) []string {
	names := make([]string, 0, len(v.fields))
	for k := range v.fields {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	return names
}

func rank(key string) int {
	if i := slices.Index([]string{"apiVersion", "kind", "metadata", "name"}, key); i >= 0 {
		return i
	}
	return 4
}

// block writes a value in block style, its lines indented as a child of a key, or
// of a dash, that is itself indented by indent.
func (w *writer) block(v *value, indent int, dash bool, was yaml.Style) (form, error) {
	below := indent + 2
	switch {
	case v.kind != scalar && v.size == 1:
		return form{head: map[kind]string{mapping: "{}", list: "[]"}[v.kind]}, nil
	case v.kind == scalar:
		if text, ok := v.scalar.(string); ok && w.literal(text) && was&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
			if !dash {
				below = indent + w.step
			}
			return literalForm(text, below), nil
		}
		text, err := w.scalar(v.scalar, false, was)
		return form{head: text}, err
	case !dash && v.kind == mapping:
		below = indent + w.step
	case !dash:
		below = indent + w.dash
	}
	lines, err := w.lines(v, below)
	return form{lines: lines}, err
}

// lines writes the entries of a map or list in block style.
func (w *writer) lines(v *value, indent int) ([]string, error) {
	var out []string
	space := strings.Repeat(" ", indent)
	if v.kind == list {
		for _, item := range v.items {
			lines, err := w.item(item, indent)
			if err != nil {
				return nil, err
			}
			out = append(out, lines...)
		}
		return out, nil
	}
	for _, k := range keys(v) {
		lines, err := w.field(k, v.fields[k], indent)
		if err != nil {
			return nil, err
		}
		out = append(out, space+lines[0])
		out = append(out, lines[1:]...)
	}
	return out, nil
}

// field writes a key and its value; the first line is not indented yet.
func (w *writer) field(key string, v *value, indent int) ([]string, error) {
	f, err := w.block(v, indent, false, 0)
	if err != nil {
		return nil, err
	}
	name, err := w.key(key, false)
	if err != nil {
		return nil, err
	}
	head := name + ":"
	if f.head != "" {
		head += " " + f.head
	}
	return append([]string{head}, f.lines...), nil
}

// item writes an item of a list with its dash, all lines indented.
func (w *writer) item(v *value, indent int) ([]string, error) {
	f, err := w.block(v, indent, true, 0)
	if err != nil {
		return nil, err
	}
	dash := strings.Repeat(" ", indent) + "- "
	if f.head != "" {
		return append([]string{dash + f.head}, f.lines...), nil
	}
	return append([]string{dash + f.lines[0][indent+2:]}, f.lines[1:]...), nil
}

// literal reports whether text is better read over several lines, and can be
// written so without loss.
func (w *writer) literal(text string) bool {
	body, ends := strings.CutSuffix(text, "\n")
	return !(ends && w.unended) && strings.Contains(body, "\n") && !strings.HasSuffix(body, "\n") && body[0] != ' ' && body[0] != '\n' &&
		body[0] != '\t' && printable(text)
}

func literalForm(text string, indent int) form {
	f := form{head: "|", verbatim: true}
	body, ends := strings.CutSuffix(text, "\n")
	if !ends {
		f.head = "|-"
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			line = strings.Repeat(" ", indent) + line
		}
		f.lines = append(f.lines, line)
	}
	return f
}

func (w *writer) key(name string, quoted bool) (string, error) {
	if len(name) > 500 {
		return "", errors.New("a new key is longer than YAML allows on one line")
	}
	if name == "<<" {
		return "", errors.New("a new key << would be read as a merge key")
	}
	if quoted {
		return jsonString(name), nil
	}
	if w.scalars.plainInBlock(name) {
		return name, nil
	}
	return w.quoted(name, w.quote), nil
}

// scalar writes a plain value on one line. Where it replaces another, was is the
// style of that one.
func (w *writer) scalar(v any, flow bool, was yaml.Style) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return writeFloat(v)
	case string:
		return w.str(v, flow, was), nil
	}
	return "", errUnwritable
}

func writeFloat(v float64) (string, error) {
	for _, format := range []byte{'g', 'f', 'e'} {
		text := strconv.FormatFloat(v, format, -1, 64)
		old, err := yaml11.Resolve(text)
		var now any
		if err == nil && yaml.Unmarshal([]byte(text), &now) == nil && old == any(v) {
			if n, err := numberOf(now); err == nil && n == any(v) {
				return text, nil
			}
		}
	}
	return "", errUnwritable
}

func (w *writer) str(v string, flow bool, was yaml.Style) string {
	switch {
	case was&yaml.DoubleQuotedStyle != 0:
		return jsonString(v)
	case was&yaml.SingleQuotedStyle != 0:
		return w.quoted(v, '\'')
	case flow && w.scalars.plainInFlow(v), !flow && w.scalars.plainInBlock(v):
		return v
	}
	return w.quoted(v, w.quote)
}

func (w *writer) quoted(v string, quote byte) string {
	if quote == '\'' && printable(v) && !strings.ContainsAny(v, "\n\t") {
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return jsonString(v)
}

// jsonString quotes text so that JSON, YAML 1.1 and YAML 1.2 read it alike.
func jsonString(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case !printableRune(r):
			const hex = "0123456789abcdef"
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&0xf])
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// brackets is how a value is written inside brackets.
type brackets struct {
	// quoted writes keys and strings as JSON does.
	quoted bool
	// unit, where it is not empty, puts every entry on a line of its own, indented
	// by one unit more than around, after the line break eol.
	unit, around, eol string
}

// flow writes a value in flow style.
func (w *writer) flow(v *value, b brackets, was yaml.Style) (string, error) {
	if v.kind == scalar {
		if s, ok := v.scalar.(string); ok && b.quoted {
			return jsonString(s), nil
		}
		if f, ok := v.scalar.(float64); ok && b.quoted {
			text, err := json.Marshal(f)
			return string(text), err
		}
		return w.scalar(v.scalar, true, was)
	}
	inside := b
	inside.around += b.unit
	var parts []string
	if v.kind == list {
		for _, item := range v.items {
			text, err := w.flow(item, inside, 0)
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		return enclose("[", parts, "]", w.comma, b), nil
	}
	for _, k := range keys(v) {
		text, err := w.pair(k, v.fields[k], inside)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	return enclose("{", parts, "}", w.comma, b), nil
}

// pair writes a key and its value inside brackets.
func (w *writer) pair(key string, v *value, b brackets) (string, error) {
	text, err := w.flow(v, b, 0)
	if err != nil {
		return "", err
	}
	name, err := w.key(key, b.quoted)
	if err != nil {
		return "", err
	}
	if name == key && !w.scalars.plainInFlow(key) {
		name = w.quoted(key, w.quote)
	}
	colon := w.colon
	if !b.quoted && !strings.HasSuffix(colon, " ") {
		colon = ": "
	}
	return name + colon + text, nil
}

func enclose(open string, parts []string, end, comma string, b brackets) string {
	if len(parts) == 0 || b.unit == "" {
		return open + strings.Join(parts, comma) + end
	}
	line := b.eol + b.around + b.unit
	return open + line + strings.Join(parts, ","+line) + b.eol + b.around + end
}
