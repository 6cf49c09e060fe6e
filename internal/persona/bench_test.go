package persona

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// BenchmarkGenerate makes and proves the roles of 100 teams with three namespaces and
// four personas each.
func BenchmarkGenerate(b *testing.B) {
	var text strings.Builder
	text.WriteString("apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec:\n  teams:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  - {name: t%[1]d, namespaces: [t%[1]d, t%[1]d-staging, t%[1]d-dev], personas: [{role: viewer, groups: [v%[1]d]}, {role: developer, groups: [d%[1]d]}, {role: operator, groups: [o%[1]d]}, {role: admin, serviceAccounts: [ci/t%[1]d]}]}\n", i)
	}
	o := manifest.NewDecoder().Decode(model.Source{File: "f"}, []byte(text.String())).Objects[0]
	for b.Loop() {
		f, err := Parse(o)
		if err != nil {
			b.Fatal(err)
		}
		s, err := Generate(f)
		if err == nil {
			err = s.Prove(b.Context(), version)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
