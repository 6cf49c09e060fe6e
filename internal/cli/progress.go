package cli

import (
	"fmt"
	"sync"
	"time"
)

// progress shows how far a scan is, on a terminal and nowhere else.
type progress struct {
	env   *Env
	mu    sync.Mutex
	start time.Time
	last  time.Time
	drawn bool
	off   bool
	// what is read: files, or the kinds of a cluster.
	what string
	// steps are reading and judging, which go on at the same time.
	steps [2]step
}

type step struct{ done, total int }

func newProgress(env *Env) *progress {
	_, isTerminal := terminal(env.Stderr)
	return &progress{env: env, what: "files", start: time.Now(), off: !isTerminal || env.Getenv("CI") != "" || env.Getenv("TERM") == "dumb"}
}

func (p *progress) read(done, total int)   { p.report(0, done, total) }
func (p *progress) judged(done, total int) { p.report(1, done, total) }

// report draws at most ten times a second, and not for work that is done sooner
// than one could read.
func (p *progress) report(i, done, total int) {
	if p.off {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps[i] = step{done, total}
	now := time.Now()
	if now.Sub(p.start) < 300*time.Millisecond || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.drawn = now, true
	fmt.Fprintf(p.env.Stderr, "\r\x1b[Kread %d of %d %s, judged %d of %d objects", p.steps[0].done, p.steps[0].total, p.what, p.steps[1].done, p.steps[1].total)
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
	p.off = true
}
