package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// ease is how much memory a scan may take before garbage is collected at all.
	// It aims at a process below 200 MB, the program's own pages included.
	ease = 130 << 20
	// garbagePercent is how much garbage may pile up beside what is in use in a
	// larger scan: less than Go's default, because a snapshot stays in use as a
	// whole.
	garbagePercent = 60
)

// spendMemory collects no garbage as long as the process is small, and then
// keeps the garbage in proportion to what is in use. docs/benchmarks.md has
// what a scan takes.
func spendMemory() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(ease)
	watchGarbage()
}

// watchGarbage looks, after each collection, at what is still in use.
func watchGarbage() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(int) {
		metrics.Read(live)
		if live[0].Value.Uint64() < ease/2 {
			watchGarbage()
			return
		}
		debug.SetGCPercent(garbagePercent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, 0)
}
