package admission

import (
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/check"
)

// TestGlobRegexp holds patterns against path.Match, for names without a slash.
func TestGlobRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := func(alphabet string, n int) string {
		var b strings.Builder
		letters := []rune(alphabet)
		for range r.IntN(n) {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	compared, matched := 0, 0
	for range 20000 {
		pattern := random(`ab-[]^*?\.é]`, 8)
		if _, err := path.Match(pattern, ""); err != nil {
			continue
		}
		re, err := regexp.Compile(globRegexp(pattern))
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		for range 10 {
			name := random(`ab-.]é^`, 5)
			want, err := path.Match(pattern, name)
			if err != nil {
				break // it is malformed further on than the empty name goes
			}
			if got := re.MatchString(name); got != want {
				t.Fatalf("%q of %q: %v (%s)", pattern, name, got, re)
			}
			compared++
			if want {
				matched++
			}
		}
	}
	if matched < 1000 || compared == matched {
		t.Errorf("compared %d, matched %d", compared, matched)
	}
}

func TestOverOldObject(t *testing.T) {
	dependent := map[string]bool{"podSpec": true}
	for _, c := range []struct {
		text, want string
		depends    bool
	}{
		{`object.kind == "object"`, `oldObject.kind == "object"`, true},
		{`"é" + object.metadata.?object.orValue('object')`, `"é" + oldObject.metadata.?object.orValue('object')`, true},
		{`request.object.kind`, `request.object.kind`, false},
		{`variables.podSpec.x + variables.params.object`, `variables.old_podSpec.x + variables.params.object`, true},
		{`variables.podSpecs`, `variables.podSpecs`, false},
		{`[1].map(objects, objects)`, `[1].map(objects, objects)`, false},
		{`"variables.podSpec"`, `"variables.podSpec"`, false},
		{`has(object.spec) ? object.spec : {}`, `has(oldObject.spec) ? oldObject.spec : {}`, true},
	} {
		got, depends, err := overOldObject(c.text, dependent)
		if err != nil || got != c.want || depends != c.depends {
			t.Errorf("%s: %s, %v, %v", c.text, got, depends, err)
		}
	}
	for _, text := range []string{"object.", "variables .podSpec", strings.Repeat("(", 1000)} {
		if got, _, err := overOldObject(text, dependent); err == nil {
			t.Errorf("%.40s: %s, want an error", text, got)
		}
	}
}

func plainControl(t *testing.T) *check.Control {
	t.Helper()
	return &check.Control{Object: &check.ObjectPolicy{Pods: true, Violations: `[{"path": "kind", "detail": "is"}]`}}
}

func TestExportOptions(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name, want string
		o          ExportOptions
	}{
		{"too old", "served from Kubernetes 1.30", ExportOptions{Minor: 29}},
		{"too old to mutate", "leave out --mutate", ExportOptions{Minor: 33, Mutate: true}},
		{"too old for files", "leave out --static", ExportOptions{Minor: 35, Static: true}},
		{"a pattern", "no name of a namespace", ExportOptions{Minor: 37, Namespaces: []string{"shop-*"}}},
		{"no name", "no name of a namespace", ExportOptions{Minor: 37, ExcludeNamespaces: []string{""}}},
	} {
		c.o.Mode, c.o.Now = Deny, now
		if _, err := Export(nil, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	constant := plainControl(t)
	out, err := Export([]*check.Control{constant}, ExportOptions{Minor: 37, Mode: Deny, Now: now})
	if err != nil || len(out.LeftOut) != 1 || !strings.Contains(out.LeftOut[0].Reason, "does not read the object") {
		t.Errorf("a control that reads nothing: %+v, %v", out, err)
	}
}

// TestNamespaces: the namespaces of the system are exempt unless they are named.
func TestNamespaces(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, out  []string
		selected map[string]bool
	}{
		{"by default", nil, nil, map[string]bool{"shop": true, "kube-system": false, "kube-public": false, "kube-node-lease": false, "default": true}},
		{"named", []string{"kube-system", "shop"}, nil, map[string]bool{"shop": true, "kube-system": true, "kube-public": false, "blog": false}},
		{"excluded", nil, []string{"shop"}, map[string]bool{"shop": false, "blog": true, "kube-system": false}},
		{"both", []string{"shop", "blog"}, []string{"shop"}, map[string]bool{"shop": false, "blog": true}},
	} {
		e := &exporter{ExportOptions: ExportOptions{Namespaces: c.in, ExcludeNamespaces: c.out}}
		terms := e.bound(&check.ObjectPolicy{Pods: true}).NamespaceSelector.MatchExpressions
		for name, want := range c.selected {
			got := true
			for _, term := range terms {
				got = got && slices.Contains(term.Values, name) == (term.Operator == "In")
			}
			if got != want {
				t.Errorf("%s: %s selected: %v", c.name, name, got)
			}
		}
	}
}
