package check_test

import (
	"fmt"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
)

// BenchmarkApply measures waiving among 100,000 findings by 2,000 waivers that
// name their object and 50 that give patterns.
func BenchmarkApply(b *testing.B) {
	ws := &check.Waivers{}
	for i := range 2050 {
		r := check.WaiverResource{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}
		if i >= 2000 {
			r.Name += "*"
		}
		ws.Add(&check.Waiver{Name: fmt.Sprint(i), Controls: []string{"no-root"}, Resources: []check.WaiverResource{r}, Expires: today})
	}
	var findings []*check.Judged
	for i := range 100_000 {
		findings = append(findings, failure("no-root", "shop", "Deployment", fmt.Sprintf("web-%d", i/5), "app"))
	}
	out := outcomeOf(findings...)
	for b.Loop() {
		ws.Apply(out, today)
	}
}
