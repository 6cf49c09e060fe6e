package catalog

import (
	"os"
	"path/filepath"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// BenchmarkEvaluate measures all single-object controls on one Deployment of the
// example shop, and says what one control costs.
func BenchmarkEvaluate(b *testing.B) {
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "shop", "20-backend.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, data)
	model.NewWorld(f.Objects, model.WorldOptions{})
	all, err := Controls()
	if err != nil {
		b.Fatal(err)
	}
	var controls []*check.Control
	for _, c := range all {
		if c.Object != nil {
			controls = append(controls, c)
		}
	}
	e, err := admission.Compile(controls, check.Defaults(controls), 37)
	if err != nil {
		b.Fatal(err)
	}
	deployment := f.Objects[1]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Evaluate(b.Context(), deployment); err != nil {
			b.Fatal(err)
		}
	}
	n := len(e.Concerned(deployment))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/control")
	b.ReportMetric(float64(n), "controls")
}

// BenchmarkCompile measures the compilation of every control: what a scan pays
// before it judges anything.
func BenchmarkCompile(b *testing.B) {
	all, err := Controls()
	if err != nil {
		b.Fatal(err)
	}
	var controls []*check.Control
	for _, c := range all {
		if c.Object != nil {
			controls = append(controls, c)
		}
	}
	for b.Loop() {
		if _, err := admission.Compile(controls, check.Defaults(controls), 37); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkControl measures each single-object control of pods alone, shared
// variables included: the first place to look when a scan became slow.
func BenchmarkControl(b *testing.B) {
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "shop", "20-backend.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, data)
	model.NewWorld(f.Objects, model.WorldOptions{})
	all, err := Controls()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range all {
		if c.Object == nil || !c.Object.Pods {
			continue
		}
		b.Run(c.Name, func(b *testing.B) {
			e, err := admission.Compile([]*check.Control{c}, check.Defaults([]*check.Control{c}), 37)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := e.Evaluate(b.Context(), f.Objects[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
