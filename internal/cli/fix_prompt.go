package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/report"
)

// prompt asks a person about each fix.
type prompt struct {
	env   *Env
	rules map[string]*check.Control
	in    *bufio.Reader
	// all are controls whose fixes are wanted without another question; rest says
	// what is done with everything that is left.
	all  map[string]bool
	rest string
}

// newPrompt returns the question that [fix.Task] asks.
func newPrompt(env *Env, rules map[string]*check.Control) (func(context.Context, string, []*fix.Found, *fix.Change) (bool, error), error) {
	if _, ok := terminal(env.Stdin); !ok {
		return nil, usageError{errNoTerminal}
	}
	p := &prompt{env: env, rules: rules, in: bufio.NewReader(env.Stdin), all: map[string]bool{}}
	return p.ask, nil
}

// errQuit is the answer of who wants nothing changed after all.
var errQuit = errors.New("quit")

const promptHelp = `y  make this fix
n  leave this finding
a  make this fix for every object
d  done: leave all that follow
q  quit, and change nothing
`

func (p *prompt) ask(ctx context.Context, control string, found []*fix.Found, c *fix.Change) (bool, error) {
	switch {
	case p.rest == "d":
		return false, nil
	case p.all[control]:
		return true, nil
	}
	p.show(control, found, c)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		fmt.Fprint(p.env.Stderr, "Make this fix [y,n,a,d,q,?]? ")
		line, err := p.in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return false, errQuit
		}
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		case "a", "all":
			p.all[control] = true
			return true, nil
		case "d", "done":
			p.rest = "d"
			return false, nil
		case "q", "quit":
			return false, errQuit
		default:
			fmt.Fprint(p.env.Stderr, promptHelp)
		}
	}
}

// show prints the finding and the change of the object.
func (p *prompt) show(control string, found []*fix.Found, c *fix.Change) {
	rule := p.rules[control]
	f := found[0]
	fmt.Fprintf(p.env.Stderr, "\n%s %s: %s\n", strings.ToUpper(f.Severity.String()), control, rule.Title)
	for _, f := range found {
		place := ""
		if f.Location != nil {
			place = fmt.Sprintf("%s:%d: ", f.Location.File, f.Location.Line)
		}
		fmt.Fprintf(p.env.Stderr, "  %s%s\n", report.Printable(place), report.Printable(f.Message))
	}
	if rule.FixNote != "" {
		fmt.Fprintf(p.env.Stderr, "  May break: %s\n", report.Printable(rule.FixNote))
	}
	diff, err := fix.ContentDiff(c)
	if err != nil {
		return
	}
	for line := range strings.Lines(diff) {
		fmt.Fprintf(p.env.Stderr, "    %s\n", report.Printable(strings.TrimSuffix(line, "\n")))
	}
}
