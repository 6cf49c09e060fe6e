package cli

import (
	"fmt"
	"sync"
	"time"
)

// progress shows how far a long command is, on a terminal and nowhere else.
type progress struct {
	env   *Env
	verb  string
	mu    sync.Mutex
	start time.Time
	last  time.Time
	drawn bool
	off   bool
}

func newProgress(env *Env, verb string) *progress {
	_, isTerminal := terminal(env.Stderr)
	return &progress{env: env, verb: verb, start: time.Now(), off: !isTerminal || env.Getenv("CI") != "" || env.Getenv("TERM") == "dumb"}
}

// report draws at most ten times a second, and not for work that is done sooner
// than one could read.
func (p *progress) report(done, total int) {
	if p.off {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.start) < 300*time.Millisecond || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.drawn = now, true
	fmt.Fprintf(p.env.Stderr, "\r\x1b[K%s %d of %d", p.verb, done, total)
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
	p.off = true
}
