package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// first is how much memory a scan may take before garbage is collected at all.
	first = 60 << 20
	// ease is how much it may take as long as little of it is in use. It aims at a
	// process below 200 MB, the program's own pages included.
	ease = 130 << 20
	// garbagePercent is how much garbage may pile up beside what is in use in a
	// larger scan. With more a large cluster would take more than 200 MB above what a
	// client needs that lists it and keeps nothing; with less, collecting costs more
	// for each object.
	garbagePercent = 75
	// fixPercent is the same for a fix, which makes twice the garbage of a scan and
	// is to be done soon.
	fixPercent = 150
)

// spendMemory collects little garbage as long as the process is small, and then
// keeps the garbage in proportion to what is in use. docs/benchmarks.md has
// what a scan takes.
func spendMemory() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(first)
	watchGarbage()
}

// enough says that memory is no longer spared.
var enough atomic.Bool

// moreMemory trades memory for time.
func moreMemory() {
	enough.Store(true)
	debug.SetGCPercent(fixPercent)
	debug.SetMemoryLimit(math.MaxInt64)
}

// watchGarbage looks, after each collection, at what is still in use. The limit
// grows with that: were all of ease given at once, what stays in use would lie
// scattered over it, with holes between that nothing fits into.
func watchGarbage() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(int) {
		if enough.Load() {
			return
		}
		metrics.Read(live)
		inUse := int64(live[0].Value.Uint64())
		if inUse < ease/2 {
			debug.SetMemoryLimit(min(ease, first*2/3+3*inUse))
			watchGarbage()
			return
		}
		debug.SetGCPercent(garbagePercent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, 0)
}
