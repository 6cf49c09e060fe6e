package helm

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"helm.sh/helm/v4/pkg/chart/common"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// FuzzArchive unpacks and loads any bytes as a chart archive: it never fails
// other than by an error, keeps the limits, and no name leads out.
func FuzzArchive(f *testing.F) {
	ok := entry("shop/Chart.yaml", chartYAML)
	f.Add(pack(f, ok, entry("shop/values.yaml", "a: 1\n"), entry("shop/templates/x.yaml", "a: {{ .Values.a }}\n")))
	f.Add(pack(f, ok, entry("shop/charts/r.tgz", string(pack(f, entry("r/Chart.yaml", "apiVersion: v1\nname: r\nversion: 1.0.0\n"))))))
	f.Add(pack(f, ok, entry("shop/../../x", "x"), tar.Header{Name: "shop/l", Typeflag: tar.TypeSymlink, Linkname: "/"}))
	f.Add(pack(f, ok, entry("shop/requirements.yaml", "dependencies: [{name: a}]"), entry("shop/Chart.lock", "generated: x")))
	f.Add([]byte("\x1f\x8b\x08"))
	limits := Limits{Files: 20, FileBytes: 64 << 10, TotalBytes: 256 << 10, Ratio: 50}.withDefaults()
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &budget{limits: limits}
		files, err := readArchive(bytes.NewReader(data), b)
		if err != nil {
			return
		}
		var total int64
		for _, file := range files {
			total += int64(len(file.data))
			if !filepath.IsLocal(file.name) || strings.HasPrefix(file.name, "/") {
				t.Errorf("the name %q leads out", file.name)
			}
		}
		if total > limits.TotalBytes || len(files) > limits.Files {
			t.Errorf("%d files of %d bytes", len(files), total)
		}
		r := request{Path: "x.tgz", Options: Options{Limits: limits}}
		tree := &tree{files: map[*common.File]string{}, request: r}
		if tree.chart, err = tree.assemble(files, "", b, 0); err == nil {
			err = tree.settle(map[string]any{})
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || strings.ContainsAny(e.Message, "\n\x1b")) {
			t.Errorf("got %q", err)
		}
	})
}

var (
	marks     = regexp.MustCompile(markStart + `\d+:\d+` + markEnd)
	expensive = regexp.MustCompile(`\d{4}|0x|e\d|template|block`)
)

// FuzzMark runs any template with and without marks: the marks change nothing
// but themselves, and there is one line for each line of output.
func FuzzMark(f *testing.F) {
	for _, source := range []string{
		"a: 1\nb: {{ .v }}\n",
		"{{- /* note */ -}}\na:\n  {{- range .list }}\n  - {{ . -}}\n  {{ end }}\n\n{{ .v }}{{ .v -}}  x",
		"{{ define \"x\" }}{{ .v }}\n{{ end }}{{ if .v }} {{- .v }}\n{{ else }}{{ end -}}\n\n  {{ with .v -}} {{ . }} {{- end }}",
		"{{ $x := 1 }}{{ $x = 2 }}\r\n{{- $x }}\n{{ range .list }}{{ break }}{{ end }}",
		"{{\n  .v\n}}\n{{ \"{{\" }}{{ `}}\n` }}",
	} {
		f.Add(source)
	}
	data := map[string]any{"v": "word\nword", "list": []any{1, "two", map[string]any{"v": 3}}}
	f.Fuzz(func(t *testing.T, source string) {
		if expensive.MatchString(source) || strings.Contains(source, markStart) {
			return
		}
		plain, err := execute(source, data)
		if err != nil || strings.Contains(plain, markStart) || len(plain) > 1<<20 {
			return
		}
		marked, err := execute(mark(source, 7), data)
		if err != nil {
			t.Fatalf("%q fails when marked: %v", source, err)
		}
		if got := marks.ReplaceAllString(marked, ""); got != plain {
			t.Errorf("%q writes %q, and marked %q", source, plain, got)
		}
		lines := readMarks(marked, 7)
		if len(lines) != strings.Count(plain, "\n")+1 {
			t.Errorf("%d lines for %q", len(lines), plain)
		}
		for i, row := range strings.Split(plain, "\n") {
			if strings.Trim(row, " \t\r") != "" && (lines[i] < 1 || lines[i] > strings.Count(source, "\n")+1) {
				t.Errorf("%q: %q is of line %d", source, row, lines[i])
			}
		}
	})
}

func execute(source string, data any) (string, error) {
	t, err := template.New("x").Parse(source)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, data)
	return out.String(), err
}

// FuzzTidy splits any rendered text: lines stay lines, and what is no separator
// and no test hook stays as it is.
func FuzzTidy(f *testing.F) {
	f.Add("a: 1\n---b: 2\n--- # c\n---\n")
	f.Add("metadata:\n  annotations:\n    helm.sh/hook: test\n---\nmetadata: {annotations: {helm.sh/hook: \"test,pre-install\"}}")
	f.Fuzz(func(t *testing.T, content string) {
		rows := strings.Count(content, "\n") + 1
		lines := make([]int, rows)
		for i := range lines {
			lines[i] = i + 1
		}
		text, where, hooks := tidy(content, lines)
		if len(where) != strings.Count(text, "\n")+1 || hooks < 0 {
			t.Fatalf("%d lines for %q", len(where), text)
		}
		source := strings.Split(content, "\n")
		for i, row := range strings.Split(text, "\n") {
			if origin := source[where[i]-1]; row != "" && !strings.Contains(origin, row) {
				t.Errorf("%q is said to come from %q", row, origin)
			}
		}
		if hooks == 0 {
			compareSplit(t, content, text)
		}
	})
}

// compareSplit checks that text, which is split at lines that are --- and
// nothing else, has the documents that Helm finds in content.
func compareSplit(t *testing.T, content, text string) {
	t.Helper()
	var want, got []string
	found := releaseutil.SplitManifests(content)
	for _, key := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) {
		want = append(want, found[key])
	}
	for document := range strings.SplitSeq("\n"+text+"\n", "\n---\n") {
		got = append(got, document)
	}
	clean := func(all []string) []string {
		var kept []string
		for _, d := range all {
			d = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(d), "---\n"))
			if d != "" && d != "---" {
				kept = append(kept, d)
			}
		}
		return kept
	}
	if want, got := clean(want), clean(got); !slices.Equal(want, got) {
		t.Errorf("%q has the documents %q, and after tidying %q", content, want, got)
	}
}
