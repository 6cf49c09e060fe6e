package psp

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of fields into the documentation")

// TestDocs holds the table of fields in the documentation to the code.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "psp.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- fields -->\n", "<!-- /fields -->"
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	want := before + begin + fieldTable(t) + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(data) {
		t.Errorf("the table of fields in %s is not that of the code: go test ./internal/psp -run Docs -update", path)
	}
}

// fieldTable says of each field what levels do and what a policy can fill in.
func fieldTable(t *testing.T) string {
	t.Helper()
	m := permissive("all")
	m.Annotations = map[string]string{seccompDefault: runtimeDefault, appArmorDefault: runtimeDefault}
	ids := IDs{Rule: MustRunAs, Ranges: []Range{{1, 2}}}
	nonRoot := IDs{Rule: MustRunAsNonRoot}
	m.Spec = Spec{RequiredDropCapabilities: []string{"ALL"}, SELinux: SELinux{Rule: MustRunAs, SELinuxOptions: &SELinuxOptions{Type: "x"}}, RunAsUser: ids, RunAsGroup: &ids,
		FSGroup: ids, SupplementalGroups: ids, ReadOnlyRootFilesystem: true, AllowPrivilegeEscalation: new(false), RuntimeClass: &RuntimeClass{[]string{"x"}, new("x")}}
	p, problems := parse(t, m)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules := p.rules(place{})
	alternative := nonRoot.user()
	var b strings.Builder
	b.WriteString("\n| field | baseline | restricted | a policy can fill in |\n|---|---|---|---|\n")
	for _, f := range tableFields {
		var fills []string
		for _, name := range f.rules {
			r := rules[name]
			if name == "runAsUser" {
				r.container = append(r.container, alternative.container...)
			}
			for _, filled := range append(r.pod, r.container...) {
				fills = append(fills, pointerName(filled.pointer))
			}
		}
		row := []string{f.name, f.does("baseline"), f.does("restricted"), strings.Join(fills, ", ")}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n")
	return b.String()
}

// TestTableIsWhole: every rule of a policy has its row, and every field of a policy its
// rule.
func TestTableIsWhole(t *testing.T) {
	rows := map[string]bool{}
	names := ""
	for _, f := range tableFields {
		names += f.name + ", "
		for _, r := range f.rules {
			rows[r] = true
		}
	}
	p, _ := parse(t, permissive("all"))
	for name := range p.rules(place{}) {
		if !rows[name] {
			t.Errorf("rule %s is in no row", name)
		}
	}
	for field := range reflect.TypeFor[Spec]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !strings.Contains(names, name) {
			t.Errorf("field %s is in no row", name)
		}
	}
}
