package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/generate"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/report"
)

// report tells people what was found, a line for each thing.
func (g *generation) report(w io.Writer) {
	say := func(format string, args ...any) {
		fmt.Fprintf(w, "bulkhead: %s\n", report.Printable(fmt.Sprintf(format, args...)))
	}
	for _, n := range g.set.Notes {
		say("note: %s", n)
	}
	if f := g.flowsOf; f != nil {
		say("%s of flows: %d replies, %d refused, %d that no policy is about", plural(f.Lines, "line", "lines"), f.Replies, f.Dropped, f.Other)
		for _, line := range f.BadLines {
			say("not read: %s", line)
		}
		if more := f.Bad - len(f.BadLines); more > 0 {
			say("not read: %s more", plural(more, "line", "lines"))
		}
	}
	for _, name := range g.set.Replaced {
		say("note: NetworkPolicy %s of an earlier run is replaced", name)
	}
	for _, name := range g.set.Stale {
		say("note: NetworkPolicy %s of an earlier run is not written any more: delete it", name)
	}
	say("%s in %s", plural(len(g.set.Policies), "policy", "policies"), plural(len(g.in), "namespace", "namespaces"))
	g.reportProof(say)
}

func (g *generation) reportProof(say func(string, ...any)) {
	p := g.proof
	for _, n := range g.set.Uncovered {
		say("not covered: %s", n)
	}
	for _, f := range p.Stopped {
		say("does not pass: %s", f)
	}
	for _, f := range p.Excess {
		say("open beyond what is wanted: %s", f)
	}
	for _, name := range p.Unneeded {
		say("not needed: %s", name)
	}
	for _, r := range g.intents {
		if r.Verdict != intent.Holds {
			say("%s: %s%s: %s", r.Verdict, r.Assertion.Name, checkedAt(r.Assertion.At), strings.Join(r.Why, "; "))
		}
	}
	for _, f := range g.breaks {
		say("would break: %s", f)
	}
	for _, why := range slices.Concat(p.Unknown, g.unread) {
		say("not known: %s", why)
	}
	if g.denyOnly {
		say("%s would break", plural(len(g.breaks), "connection", "connections"))
	}
	if !p.Failed() && len(g.set.Uncovered) == 0 && !g.found(intent.Refuted) {
		open := ""
		if n := p.Open; n > 0 {
			open = fmt.Sprintf(" (%d by policies that are there, or because none is about them)", n)
		}
		say("proven: %s%s; of the %s that may talk none may beyond that; each of %s is needed", passes(p.Wanted), open, plural(int(p.Pairs), "pair of ends", "pairs of ends"), plural(p.Rules, "rule", "rules"))
	}
	if p.Left > 0 {
		say("policies of others let %s talk beyond what is wanted", plural(int(p.Left), "pair", "pairs"))
	}
}

func passes(n int) string {
	if n == 1 {
		return "1 wanted connection passes"
	}
	return fmt.Sprintf("%d wanted connections pass", n)
}

// found reports whether some assertion has a verdict.
func (g *generation) found(v intent.Verdict) bool {
	return slices.ContainsFunc(g.intents, func(r intent.Result) bool { return r.Verdict == v })
}

// outcome is the exit code: 1 where something is not as it should be, 3 where that is not
// known.
func (g *generation) outcome() error {
	switch {
	case g.flowsOf != nil && g.flowsOf.Bad > 0:
		return no(plural(g.flowsOf.Bad, "line of flows was", "lines of flows were") + " not read")
	case g.proof.Failed() || len(g.set.Uncovered) > 0 || g.found(intent.Refuted) || len(g.breaks) > 0:
		return no("")
	case len(g.proof.Unknown)+len(g.unread) > 0 || g.found(intent.Unknown):
		return no("not all of it is proven")
	}
	return nil
}

// netGenerateJSON is what was made, as machines read it. Policies can be given to kubectl.
type netGenerateJSON struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Policies   networkPolicyList  `json:"policies"`
	Proof      *generate.Proof    `json:"proof"`
	Intents    []netAssertionJSON `json:"intents,omitempty"`
	// Why says of each policy and rule why it is there.
	Why       []policyWhyJSON    `json:"why"`
	Breaks    []generate.Failure `json:"wouldBreak,omitempty"`
	Uncovered []generate.Note    `json:"notCovered,omitempty"`
	Notes     []generate.Note    `json:"notes,omitempty"`
	Replaced  []string           `json:"replaced,omitempty"`
	Stale     []string           `json:"stale,omitempty"`
	Flows     *flowCountsJSON    `json:"flows,omitempty"`
	Unread    []string           `json:"unread,omitempty"`
}

type networkPolicyList struct {
	APIVersion string                        `json:"apiVersion"`
	Kind       string                        `json:"kind"`
	Items      []*networkingv1.NetworkPolicy `json:"items"`
}

type policyWhyJSON struct {
	Policy  string                `json:"policy"`
	About   []string              `json:"about"`
	Ingress [][]generate.Evidence `json:"ingress,omitempty"`
	Egress  [][]generate.Evidence `json:"egress,omitempty"`
}

type flowCountsJSON struct {
	Lines    int      `json:"lines"`
	Replies  int      `json:"replies"`
	Dropped  int      `json:"dropped"`
	Other    int      `json:"other"`
	NotRead  int      `json:"notRead"`
	BadLines []string `json:"badLines,omitempty"`
}

func (g *generation) json() netGenerateJSON {
	out := netGenerateJSON{APIVersion: finding.APIVersion, Kind: "NetworkPolicyGeneration", Policies: networkPolicyList{"v1", "List", []*networkingv1.NetworkPolicy{}}, Why: []policyWhyJSON{},
		Proof: g.proof, Breaks: g.breaks, Uncovered: g.set.Uncovered, Notes: g.set.Notes, Replaced: g.set.Replaced, Stale: g.set.Stale, Unread: g.unread}
	for _, p := range g.set.Policies {
		typed := p.NetworkPolicy.DeepCopy()
		typed.APIVersion, typed.Kind = "networking.k8s.io/v1", "NetworkPolicy"
		out.Policies.Items = append(out.Policies.Items, typed)
		out.Why = append(out.Why, policyWhyJSON{p.Namespace + "/" + p.Name, p.Why, p.Ingress, p.Egress})
	}
	if f := g.flowsOf; f != nil {
		out.Flows = &flowCountsJSON{f.Lines, f.Replies, f.Dropped, f.Other, f.Bad, f.BadLines}
	}
	if len(g.intents) > 0 {
		out.Intents = newNetCheckJSON(g.cluster, g.intents).Assertions
	}
	return out
}

// origin is the first line of files that generate wrote.
const origin = "# Written by bulkhead net generate. It is replaced when it is run again.\n"

// writeDir writes a file for each namespace. It looks at all files before it writes one.
func (g *generation) writeDir() error {
	for _, ns := range g.in {
		if err := g.mayReplace(g.file(ns)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return fmt.Errorf("write policies: %w", err)
	}
	for _, ns := range g.in {
		text := bytes.NewBufferString(origin)
		of := slices.DeleteFunc(slices.Clone(g.set.Policies), func(p *generate.Policy) bool { return p.Namespace != ns })
		if err := generate.WriteYAML(text, of); err != nil {
			return err
		}
		if err := replaceFile(g.file(ns), func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err }); err != nil {
			return err
		}
	}
	return nil
}

func (g *generation) file(namespace string) string { return filepath.Join(g.dir, namespace+".yaml") }

// mayReplace refuses a file that somebody else wrote.
func (g *generation) mayReplace(path string) error {
	if g.force {
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write policies: %w", err)
	}
	defer file.Close()
	first := make([]byte, len(origin))
	if _, err := io.ReadFull(file, first); err != nil || string(first) != origin {
		return usageError{fmt.Errorf("%s is not of an earlier run: move it, or replace it with --force", path)}
	}
	return nil
}
