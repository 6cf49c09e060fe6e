package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/graph"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netWorkloads is what decides about workloads, as machines read it.
type netWorkloads struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Workloads  []netWorkloadJSON `json:"workloads"`
	more       int
}

// netWorkloadJSON is one workload, or those of its pods that have the same labels.
type netWorkloadJSON struct {
	Workload string            `json:"workload"`
	Labels   map[string]string `json:"labels,omitempty"`
	// Why says that no policy is about it in either direction.
	Why     string           `json:"why,omitempty"`
	Ingress netDirectionJSON `json:"ingress"`
	Egress  netDirectionJSON `json:"egress"`
	Entries []netEntryJSON   `json:"entryPoints,omitempty"`
	// Exposure are pods that do not exist yet.
	Exposure *exposureJSON `json:"future,omitempty"`
}

// netDirectionJSON are the policies about one direction.
type netDirectionJSON struct {
	// Isolated says that no more is allowed than what some NetworkPolicy allows.
	Isolated bool           `json:"isolated"`
	Policies []netAboutJSON `json:"policies,omitempty"`
}

type netAboutJSON struct {
	By       string             `json:"by"`
	Policy   string             `json:"policy"`
	Location *finding.Location  `json:"location,omitempty"`
	Rules    []netAboutRuleJSON `json:"rules,omitempty"`
}

type netAboutRuleJSON struct {
	Rule     int               `json:"rule"`
	Action   string            `json:"action"`
	Location *finding.Location `json:"location,omitempty"`
	Peers    string            `json:"peers"`
	Ports    string            `json:"ports"`
	// Workloads are those that the rule is about today.
	Workloads []string `json:"workloads,omitempty"`
	More      int      `json:"moreWorkloads,omitempty"`
}

type netEntryJSON struct {
	Entry    string            `json:"entry"`
	Type     string            `json:"type"`
	Exposure string            `json:"exposure"`
	Port     string            `json:"port,omitempty"`
	Verdict  string            `json:"verdict"`
	Location *finding.Location `json:"location,omitempty"`
	Unknown  []string          `json:"unknown,omitempty"`
}

const (
	// maxOneEnd bounds how many workloads are told, maxRuleWorkloads how many a rule names.
	maxOneEnd, maxRuleWorkloads = 10, 20
	// maxOneEndWide and maxRuleWorkloadsWide hold for the forms that tell of all.
	maxOneEndWide, maxRuleWorkloadsWide = 1_000, 10_000
)

func runNetExplainOne(ctx context.Context, env *Env, q *netInquiry, name string) error {
	if err := q.pageForBrowser(env); err != nil {
		return err
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return err
	}
	var sides []reach.Side
	if strings.HasPrefix(name, reach.FuturePrefix) {
		with, side, err := c.WithFuture(name)
		if err != nil {
			return usageError{err}
		}
		c, sides = with, []reach.Side{side}
	}
	e := reach.New(c)
	if sides == nil {
		if sides, err = e.Find(name, q.in); err != nil {
			return err
		}
	}
	if sides[0].Pod == nil {
		return usageError{fmt.Errorf("%s is no workload, and no policy is about addresses: name two ends, such as %s shop/web", name, name)}
	}
	out := netWorkloads{APIVersion: finding.APIVersion, Kind: "NetworkWorkloads", Workloads: []netWorkloadJSON{}}
	points := entry.New(w, e)
	seen := map[string]bool{}
	for _, s := range sides {
		if key := s.Pod.String() + fmt.Sprint(s.Pod.Labels, s.Pod.HostNetwork); !seen[key] {
			if seen[key] = true; len(out.Workloads) == q.most(maxOneEnd, maxOneEndWide) {
				out.more++
				continue
			}
			out.Workloads = append(out.Workloads, newNetWorkload(e, points, s.Pod, q.most(maxRuleWorkloads, maxRuleWorkloadsWide)))
		}
	}
	switch {
	case q.drawn():
		err = q.draw(env.Stdout, out.drawing())
	case q.format == "table" || q.format == "wide":
		err = out.write(env.Stdout, q.format == "wide")
	case q.format == "csv":
		err = out.csv(env.Stdout)
	case q.format == "md":
		err = out.markdown(env.Stdout)
	default:
		err = answer(env.Stdout, q.format, out)
	}
	if why := append(unread(c, w), unreadEntries(points)...); err == nil && len(why) > 0 {
		return no(strings.Join(why, "; "))
	}
	return err
}

func newNetWorkload(e *reach.Engine, points *entry.Points, p *reach.Pod, most int) netWorkloadJSON {
	out := netWorkloadJSON{Workload: p.String(), Labels: p.Labels}
	if p.HostNetwork {
		out.Why = "it is in the network of its node, which no policy isolates"
	}
	out.Ingress, out.Egress = newNetDirection(e.Cluster, reach.Ingress, p, most), newNetDirection(e.Cluster, reach.Egress, p, most)
	for i := range points.Entries {
		of := &points.Entries[i]
		for _, b := range of.Backends {
			if !slices.ContainsFunc(b.Pods, func(x *reach.Pod) bool { return x.String() == p.String() }) {
				continue
			}
			one := netEntryJSON{Entry: of.String(), Type: of.Type, Exposure: of.Exposure.String(), Verdict: b.Verdict.String(), Location: of.Location(), Unknown: b.Unknown}
			if b.Port != 0 {
				one.Port = reach.OnePort(b.Protocol, b.Port).String()
			}
			out.Entries = append(out.Entries, one)
		}
	}
	out.Exposure = newExposure(e.ExposureOf(p))
	return out
}

// newNetDirection has the policies about a direction; a rule names at most so many workloads.
func newNetDirection(c *reach.Cluster, d reach.Direction, p *reach.Pod, most int) netDirectionJSON {
	var out netDirectionJSON
	for _, s := range c.About(d, p) {
		out.Isolated = out.Isolated || s.Policy != nil
		one := netAboutJSON{By: s.Basis.String(), Policy: s.String(), Location: s.Locate()}
		for _, r := range s.Rules {
			peers, ports := r.Rule.Says()
			rule := netAboutRuleJSON{Rule: r.Rule.Index + 1, Action: r.Rule.Action.String(), Location: r.Locate(), Peers: peers, Ports: ports}
			var names []string
			for _, chosen := range c.Chooses(r.RuleRef) {
				names = append(names, chosen.String())
			}
			slices.Sort(names)
			rule.Workloads = slices.Compact(names)
			if more := len(rule.Workloads) - most; more > 0 {
				rule.Workloads, rule.More = rule.Workloads[:most], more
			}
			one.Rules = append(one.Rules, rule)
		}
		out.Policies = append(out.Policies, one)
	}
	return out
}

// write tells it; wide has all kinds of pods that do not exist yet, with an example of each.
func (x netWorkloads) write(w io.Writer, wide bool) error {
	var out strings.Builder
	for i, one := range x.Workloads {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "%s %s\n", report.Printable(one.Workload), report.Printable(labelText(one.Labels)))
		if one.Why != "" {
			fmt.Fprintf(&out, "  %s\n", one.Why)
		}
		one.Ingress.write(&out, "enters", "from")
		one.Egress.write(&out, "leaves", "to")
		for _, e := range one.Entries {
			port := ""
			if e.Port != "" {
				port = ", " + e.Port
			}
			fmt.Fprintf(&out, "  %s (%s, from %s) leads to it%s: %s%s\n", report.Printable(e.Entry), report.Printable(e.Type), e.Exposure, port, e.Verdict, report.Printable(checkedAt(e.Location)))
		}
		one.Exposure.write(&out, "  ", wide)
	}
	if x.more > 0 {
		fmt.Fprintf(&out, "\nand %d more: name fewer\n", x.more)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func labelText(of map[string]string) string {
	var out []string
	for k, v := range of {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func (d netDirectionJSON) write(out *strings.Builder, verb, preposition string) {
	switch {
	case len(d.Policies) == 0:
		fmt.Fprintf(out, "  %s: everything, no policy is about it\n", verb)
		return
	case d.Isolated:
		fmt.Fprintf(out, "  %s: what these allow\n", verb)
	default:
		fmt.Fprintf(out, "  %s: everything but for what these deny\n", verb)
	}
	for _, p := range d.Policies {
		fmt.Fprintf(out, "    %s%s\n", report.Printable(p.Policy), report.Printable(checkedAt(p.Location)))
		for _, r := range p.Rules {
			place := ""
			if r.Location != nil {
				place = fmt.Sprintf(" [line %d]", r.Location.Line)
			}
			now := ""
			if len(r.Workloads) > 0 {
				now = "; now " + strings.Join(r.Workloads, ", ")
			}
			if r.More > 0 {
				now += fmt.Sprintf(" and %d more", r.More)
			}
			fmt.Fprintf(out, "      rule %d%s %s %s %s, %s%s\n", r.Rule, place, r.Action, preposition, report.Printable(r.Peers), report.Printable(r.Ports), report.Printable(now))
		}
		if len(p.Rules) == 0 {
			out.WriteString("      no rule: it allows nothing\n")
		}
	}
}

// drawing draws each workload in the middle of its policies, and whom these are about.
func (x netWorkloads) drawing() *graph.Drawing {
	title := "Who decides"
	if len(x.Workloads) == 1 {
		title += " about " + x.Workloads[0].Workload
	}
	d := newWhyDrawing(title)
	d.Description = "In the middle the workload; on its left who may send to it, by which rules, and what leads to it; on its right whom it may send to."
	d.Kinds = append(d.Kinds, graph.Kind{Name: "workload", Title: "Workload", Tone: graph.Violet, Shape: graph.Round}, graph.Kind{Name: "entry", Title: "Entry point", Tone: graph.Amber, Shape: graph.Hexagon, Column: -1})
	for _, w := range x.Workloads {
		middle := d.node("workload", w.Workload)
		d.around(middle, "ingress", w.Ingress)
		d.around(middle, "egress", w.Egress)
		for _, e := range w.Entries {
			d.edge(d.node("entry", e.Entry, graph.Detail{Name: "Type", Value: e.Type}, graph.Detail{Name: "From", Value: e.Exposure}, graph.Detail{Name: "Verdict", Value: e.Verdict}), middle, "asks", e.Port)
		}
	}
	return &d.Drawing
}

// around draws the policies of one direction, their rules, and whom these are about.
func (d *whyDrawing) around(middle, name string, of netDirectionJSON) {
	join := func(outer, inner, kind string) {
		if name == "ingress" {
			d.edge(outer, inner, kind, "")
		} else {
			d.edge(inner, outer, kind, "")
		}
	}
	for _, p := range of.Policies {
		policy := d.node(name+"-policy", p.Policy)
		join(policy, middle, "asks")
		for _, r := range p.Rules {
			kind := "allows"
			if r.Action == "Deny" {
				kind = "stops"
			}
			rule := d.node(name+"-rule", fmt.Sprintf("%s, rule %d", p.Policy, r.Rule), graph.Detail{Name: "Peers", Value: r.Peers}, graph.Detail{Name: "Ports", Value: r.Ports}, graph.Detail{Name: "Action", Value: r.Action})
			join(rule, policy, kind)
			end := map[string]string{"ingress": "from", "egress": "to"}[name]
			for _, w := range r.Workloads {
				join(d.node(end, w), rule, kind)
			}
			if len(r.Workloads) == 0 {
				join(d.node(end, r.Peers), rule, kind)
			}
		}
	}
}
