package chart_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/load/helm"

	"sigs.k8s.io/yaml"
)

// randomChart makes charts whose fields are driven in known ways.
type randomChart struct {
	*rand.Rand
	values map[string]any
	names  int
	// driven are the wanted fields that a value reaches alone, stuck those that
	// the template hard-codes.
	driven, stuck map[string]any
}

// name is a name for a value: sometimes the field's, mostly not.
func (r *randomChart) name(field string) string {
	r.names++
	if r.IntN(3) == 0 {
		return field
	}
	return fmt.Sprintf("v%d", r.names)
}

// place returns a new map of the values, and the expression for it.
func (r *randomChart) place() (map[string]any, string) {
	m, expression := r.values, ".Values"
	for range 1 + r.IntN(3) {
		r.names++
		k := fmt.Sprintf("g%d", r.names)
		next := map[string]any{}
		m[k] = next
		m, expression = next, expression+"."+k
	}
	return m, expression
}

// field writes one field of a container; path is that of the container.
func (r *randomChart) field(path, key string, before, after any) string {
	full := path + "." + key
	switch r.IntN(5) {
	case 0: // a value
		m, e := r.place()
		k := r.name(key)
		m[k] = before
		r.driven[full] = after
		return fmt.Sprintf("        %s: {{ %s.%s }}\n", key, e, k)
	case 1: // a map
		m, e := r.place()
		k := r.name("settings")
		m[k] = map[string]any{key: before}
		r.driven[full] = after
		return fmt.Sprintf("        {{- toYaml %s.%s | nindent 8 }}\n", e, k)
	case 2: // a map that has nothing yet
		m, e := r.place()
		k := r.name("settings")
		m[k] = map[string]any{}
		r.driven[full] = after
		return fmt.Sprintf("        {{- with %s.%s }}{{ toYaml . | nindent 8 }}{{ end }}\n", e, k)
	case 3: // a switch
		m, e := r.place()
		k := r.name(key)
		m[k] = false
		r.driven[full] = after
		return fmt.Sprintf("        {{- if %s.%s }}\n        %s: %v\n        {{- end }}\n", e, k, key, after)
	}
	r.stuck[full] = after
	return fmt.Sprintf("        %s: %v\n", key, before)
}

func (r *randomChart) files(t *testing.T) files {
	var b strings.Builder
	b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n")
	for i := range 1 + r.IntN(3) {
		path := fmt.Sprintf("spec.template.spec.containers[%d]", i)
		fmt.Fprintf(&b, "      - name: c%d\n", i)
		for _, key := range []string{"imagePullPolicy", "workingDir", "terminationMessagePath"} {
			b.WriteString(r.field(path, key, "/a", fmt.Sprintf("/b%d", r.IntN(3))))
		}
		b.WriteString(r.field(path, "tty", true, false))
	}
	values, err := yaml.Marshal(r.values)
	if err != nil {
		t.Fatal(err)
	}
	return files{"templates/web.yaml": b.String(), "values.yaml": string(values)}
}

// TestRandomCharts: every field that a value drives is found and becomes what
// is wanted, what is hard-coded is refused, and nothing else changes.
func TestRandomCharts(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := &randomChart{Rand: rand.New(rand.NewPCG(seed, 1)), values: map[string]any{}, driven: map[string]any{}, stuck: map[string]any{}}
			path := r.files(t).write(t)
			before := load(t, path, helm.Options{}, nil)
			wanted := []fix.Change{want(t, before, "Deployment/web", r.driven)}
			for _, f := range slices.Sorted(maps.Keys(r.stuck)) {
				wanted = append(wanted, want(t, before, "Deployment/web", map[string]any{f: r.stuck[f]}))
			}
			result, err := chart.New(newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{})).Plan(t.Context(), wanted)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Refused) != len(r.stuck) || result.Refused[0] != "" {
				t.Errorf("refused %v, want %d", result.Refused, len(r.stuck))
			}
			after := load(t, path, helm.Options{}, result.Files)
			if got := after.Objects[0].Content; !reflect.DeepEqual(got, wanted[0].After) {
				t.Errorf("got %v\nwant %v", got, wanted[0].After)
			}
		})
	}
}
