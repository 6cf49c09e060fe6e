package graph

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// BenchmarkWrite measures a picture of 1,000, 5,000 and 100,000 nodes with twice as
// many edges, in 60 and 300 compartments, and how many bytes it has.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []struct{ compartments, nodes int }{{60, 1_000}, {300, 5_000}, {300, 100_000}} {
		d := random(rand.New(rand.NewPCG(7, 8)), size.compartments, size.nodes)
		for _, name := range []string{"dot", "svg", "html"} {
			b.Run(fmt.Sprintf("%s/%d", name, size.nodes), func(b *testing.B) {
				var n counter
				for b.Loop() {
					n = 0
					if err := writers[name](&n, d); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n), "bytes")
			})
		}
	}
}

// counter counts what is written.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

var _ io.Writer = new(counter)
