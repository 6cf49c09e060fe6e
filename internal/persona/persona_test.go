package persona

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

const version = 37

func decode(t *testing.T, text string) *model.Object {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "personas.yaml"}, []byte(text))
	if len(f.Objects) != 1 || len(f.Problems) > 0 {
		t.Fatalf("%d objects, %v", len(f.Objects), f.Problems)
	}
	return f.Objects[0]
}

// generate makes and proves what a text says.
func generate(t *testing.T, text string) (*Set, error) {
	t.Helper()
	f, err := Parse(decode(t, text))
	if err != nil {
		return nil, err
	}
	s, err := Generate(f)
	if err != nil {
		return nil, err
	}
	return s, s.Prove(t.Context(), version)
}

// team is a file with one team, whose first persona is given.
func team(persona string) string {
	return "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec:\n  teams:\n  - name: shop\n    namespaces: [shop, kube-system]\n    personas:\n    - " +
		strings.ReplaceAll(persona, "\n", "\n      ") + "\n"
}

// primitiveTexts are all primitives one by one, without stars.
func primitiveTexts(t *testing.T) []string {
	t.Helper()
	c, err := readCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range c.primitives {
		for _, a := range p.Actions {
			for _, one := range a.things() {
				text := strings.Replace(one.String(), "*.", "things.", 1)
				text = strings.Replace(text, "* ", "get ", 1)
				out = append(out, strings.Replace(text, " *", " pods", 1))
			}
		}
	}
	return out
}

// organisation is a file with one persona of the whole organisation.
func organisation(persona string) string {
	return "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec:\n  organisation:\n  - " + strings.ReplaceAll(persona, "\n", "\n    ") + "\n"
}

func TestPrimitivesAreRefused(t *testing.T) {
	for _, text := range primitiveTexts(t) {
		for _, named := range []string{"", " some"} {
			for file, at := range map[string]string{
				team("role: developer\ngroups: [dev]\nextra: [" + text + named + "]"):        "personas.yaml:11: spec.teams[0].personas[0].extra[0] ",
				organisation("role: operator\ngroups: [ops]\nextra: [" + text + named + "]"): "personas.yaml:8: spec.organisation[0].extra[0] ",
			} {
				if _, err := generate(t, file); err == nil || !strings.Contains(err.Error(), at) {
					t.Errorf("%s: %v", text+named, err)
				}
			}
		}
	}
}

// TestPrimitivesAreFound gives primitives past the catalogue: the analysis finds them by
// itself.
func TestPrimitivesAreFound(t *testing.T) {
	// What takes another permission beside it, does nothing in the newest Kubernetes or
	// by itself, or is of a program that the analysis does not know.
	alone := regexp.MustCompile(`\.extensions$|^get pods/|(roles|bindings)\.rbac|^impersonate\S* pods|certificates\.k8s\.io|things\.|^create configmaps|^(create|update) secrets|^deletecollection`)
	found, all := 0, primitiveTexts(t)
	for _, text := range all {
		if strings.HasPrefix(text, "patch ") {
			continue // as update
		}
		a, err := ParseAction(text)
		if err != nil {
			t.Fatal(err)
		}
		clusterWide := slices.ContainsFunc(a.Resources, func(r rbac.Resource) bool { return !r.Namespaced })
		file := organisation("role: operator\ngroups: [ops]")
		if !clusterWide {
			file = team("role: developer\ngroups: [dev]")
		}
		f, err := Parse(decode(t, file))
		if err != nil {
			t.Fatal(err)
		}
		f.Personas[0].Extra = []placed{{a, f.Personas[0].at}}
		s, err := Generate(f)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Check.Entries {
			s.Check.Entries[i].Cannot = nil
		}
		if err := s.Prove(t.Context(), version); err != nil {
			found++
		} else if !alone.MatchString(text) {
			t.Errorf("%s is not found", text)
		}
	}
	if t.Logf("found %d", found); found < 80 {
		t.Error("that is too few")
	}
}
