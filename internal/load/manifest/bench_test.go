package manifest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// shop is the backend of the example shop: a file of five objects.
func shop(b *testing.B) []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "shop", "20-backend.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkDecode measures one decoder on one file: time and bytes allocated.
func BenchmarkDecode(b *testing.B) {
	data := shop(b)
	d := NewDecoder()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if f := d.Decode(model.Source{File: "f.yaml"}, data); len(f.Problems) > 0 {
			b.Fatal(f.Problems)
		}
	}
}

// BenchmarkKept measures what stays in memory: bytes an object, spans included.
func BenchmarkKept(b *testing.B) {
	data := shop(b)
	d := NewDecoder()
	var kept []*model.Object
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		kept = append(kept, d.Decode(model.Source{File: "f.yaml"}, data).Objects...)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(kept)), "B/object")
	runtime.KeepAlive(kept)
}
