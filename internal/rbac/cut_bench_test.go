package rbac

import (
	"testing"
	"time"
)

// BenchmarkCut measures how long a cut of a large cluster takes, and how far from the
// best it may be.
func BenchmarkCut(b *testing.B) {
	b.Run("admin", func(b *testing.B) { benchmarkCut(b) })
	b.Run("chains", func(b *testing.B) { benchmarkCut(b, Subject{"ServiceAccount", "ns-0", "sa-0"}) })
}

func benchmarkCut(b *testing.B, allowed ...Subject) {
	for b.Loop() {
		b.StopTimer()
		a := newAccess(escalationWorld(false))
		b.StartTimer()
		c, err := a.Cut(b.Context(), CutTask{Version: 37, Allowed: allowed, Limit: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(c.Before)), "offenders")
		b.ReportMetric(float64(c.Rounds), "rounds")
		b.ReportMetric(float64(c.Chains), "chains")
		b.ReportMetric(float64(c.Weight), "weight")
		b.ReportMetric(float64(c.Bound), "bound")
		b.ReportMetric(float64(len(c.Changes)), "objects")
	}
}
