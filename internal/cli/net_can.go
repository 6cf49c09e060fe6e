package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netCanFormats are the forms of an answer: wide writes changes out, pictures draw who
// decides.
var netCanFormats = []string{"table", "wide", "json", "yaml", "csv", "md", "dot", "svg", "html"}

func newNetCan(env *Env) *cobra.Command {
	q := &netInquiry{}
	q.forms = netCanFormats
	c := &cobra.Command{
		Use:   "can FROM TO[:PORT[/PROTOCOL]]",
		Short: "Say whether something may talk to something else, and why",
		Long: `Can says whether traffic from one end arrives at the other, and which rules of which
policies let it through, or what stops it. Without a port it says by which ones.

An end is NAMESPACE/NAME or NAMESPACE/KIND/NAME of a pod or workload, a NAME in the
namespace of -n, ns/NAMESPACE for all pods of it, a label selector such as app=web, an
address or a block of addresses, internet, node or node/NAME. TO may be a Service,
svc/NAMESPACE/NAME with its own port: what it leads to is asked. new:NAMESPACE/LABELS is a
pod that does not exist yet, new:{LABELS}/LABELS one of a namespace that does not either.
Where an end stands for several, the answer is yes if one of them may talk to one of the
others.

Then it tells the smallest change that would turn the answer: rules, policies or labels,
each tried on a copy, with what else it opens or closes. -o wide writes them out. Without
a port, a no has none: too much would be opened. -o csv has a line for each rule that
decides, and -o md is a comment for a pull request.

The exit code is 0 for yes, 1 for no, and 3 where the answer is not known.`,
		Example: `  bulkhead net can shop/web shop/db:5432
  bulkhead net can internet ns/shop -f deploy/
  bulkhead net can app=web 169.254.169.254:80 -n shop
  bulkhead net can shop/web svc/shop/db:5432 -o wide
  bulkhead net can new:shop/app=web shop/db:5432
  bulkhead net can shop/web shop/db:5432 -o svg --output-file why.svg`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("name two ends, such as shop/web shop/db:5432\nSee bulkhead net can --help")}
			}
			return q.toFile(env, func(env *Env) error { return runNetCan(c.Context(), env, q, args[0], args[1]) })
		},
	}
	addNetFlags(c.Flags(), q)
	return c
}

// service is a port that is asked about; any if it is 0.
type service struct {
	protocol reach.Protocol
	port     uint16
}

// cutPort takes :PORT[/PROTOCOL] from an end. An address of IPv6 has its port behind
// brackets.
func cutPort(text string) (end string, s service, err error) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		address, port, found := strings.Cut(rest, "]")
		if !found || port != "" && port[0] != ':' {
			return "", s, fmt.Errorf("%q: write an address of IPv6 with a port as [fd00::1]:443", text)
		}
		end, port = address, strings.TrimPrefix(port, ":")
		s, err = parseService(port)
		return end, s, err
	}
	rest, future := strings.CutPrefix(text, reach.FuturePrefix)
	if strings.Count(rest, ":") != 1 {
		return text, s, nil
	}
	end, port, _ := strings.Cut(rest, ":")
	if future {
		end = reach.FuturePrefix + end
	}
	s, err = parseService(port)
	return end, s, err
}

func parseService(text string) (s service, err error) {
	if text == "" {
		return s, nil
	}
	number, protocol, _ := strings.Cut(text, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return s, fmt.Errorf("%q is no port: write 443 or 53/UDP", text)
	}
	s.port = uint16(port)
	s.protocol, err = reach.ParseProtocol(corev1.Protocol(strings.ToUpper(protocol)))
	return s, err
}

// pair is one end of the first kind and one of the second.
type pair struct {
	from  reach.Side
	to    netTarget
	ports reach.Ports
}

func runNetCan(ctx context.Context, env *Env, q *netInquiry, from, to string) error {
	ends, w, err := q.ends(ctx, env, from, to)
	if err != nil {
		return err
	}
	yes, denied := ends.ask()
	answerOf := newNetAnswer(ends, yes, denied, q.most(maxExplained, maxExplainedWide))
	switch {
	case q.drawn():
		err = q.draw(env.Stdout, answerOf.drawing())
	case q.format == "table" || q.format == "wide":
		err = answerOf.write(env.Stdout, q.format == "wide")
	case q.format == "csv":
		if answerOf.more > 0 {
			fmt.Fprintf(env.Stderr, "bulkhead: %d more pairs are not written\n", answerOf.more)
		}
		err = answerOf.csv(env.Stdout)
	case q.format == "md":
		err = answerOf.markdown(env.Stdout)
	default:
		err = answer(env.Stdout, q.format, answerOf)
	}
	if err != nil {
		return err
	}
	why := ends.doubts(yes, denied)
	for _, u := range w.Coverage() {
		if len(yes) == 0 && slices.Contains(reach.Kinds(), u.GroupKind) {
			why = append(why, fmt.Sprintf("%s could not all be read: %s", u.GroupKind, u.Reason))
		}
	}
	switch {
	case len(why) > 0:
		return no(strings.Join(why, "; "))
	case len(yes) == 0:
		return no("")
	}
	return nil
}

// ask asks all pairs: those that may talk, and those that may not.
func (n *netEnds) ask() (yes, no []pair) {
	for _, a := range n.from {
		for _, b := range n.to {
			p := pair{a, b, n.engine.Between(a, b.side)}
			if b.asked.port != 0 {
				p.ports = p.ports.Intersect(reach.OnePort(b.asked.protocol, b.asked.port))
			}
			if p.ports.Empty() {
				no = append(no, p)
			} else {
				yes = append(yes, p)
			}
		}
	}
	return yes, no
}

// maxDoubted bounds for how many pairs it is asked whether the answer is known.
const maxDoubted = 2_000

// doubts says why the answer may be wrong: yes is right where it is for one pair, and no
// where it is for all.
func (n *netEnds) doubts(yes, no []pair) (why []string) {
	pairs := yes
	if len(yes) == 0 {
		pairs = no
	}
	if len(pairs) > maxDoubted {
		return nil
	}
	for _, p := range pairs {
		of := n.doubtsOf(p)
		if len(yes) > 0 && len(of) == 0 {
			return nil
		}
		for _, d := range of {
			if !slices.Contains(why, d) {
				why = append(why, d)
			}
		}
	}
	return why
}

// doubtsOf are those about a pair, and about the Service that led to it.
func (n *netEnds) doubtsOf(p pair) []string {
	out := n.engine.Cluster.Doubts(p.from, p.to.side)
	if p.to.behind != nil {
		out = append(out, p.to.behind.DoubtsFrom(n.engine, p.from, p.to.target)...)
	}
	if to := p.to.side.Pod; n.nodes && to != nil && !to.HostNetwork && to.Node == "" && p.ports.Empty() {
		out = append(out, fmt.Sprintf("a node always reaches the pods on it, and on which one %s runs is not known", to))
	}
	return out
}

// netAnswer is the answer to a question, as machines read it.
type netAnswer struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Allowed    bool   `json:"allowed"`
	// Pairs are those that may talk, or where none may, those that may not.
	Pairs []netPairJSON `json:"pairs"`
	// PairsAsked counts all of them.
	PairsAsked int `json:"pairsAsked"`
	more       int
}

type netPairJSON struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Ports string `json:"ports"`
	// Unknown says why the answer may be wrong.
	Unknown []string `json:"unknown,omitempty"`
	// Otherwise are network plugins that answer otherwise.
	Otherwise []string       `json:"otherwise,omitempty"`
	Egress    *netReasonJSON `json:"egress"`
	Ingress   *netReasonJSON `json:"ingress"`
	// Exempt says why no policy is asked, where none is.
	Exempt string `json:"exempt,omitempty"`
	// SmallestChanges would turn the answer, the smallest one first.
	SmallestChanges []netTurnJSON `json:"smallestChanges,omitempty"`
	// why is what was explained.
	why reach.Explanation
}

type netReasonJSON struct {
	Allowed bool     `json:"allowed"`
	Why     string   `json:"why"`
	Rules   []string `json:"rules,omitempty"`
	// Isolated are the NetworkPolicies that are about the pod.
	Isolated []string `json:"isolatedBy,omitempty"`
}

// maxExplained bounds how many pairs are explained, and maxExplainedWide in the forms that
// tell of all.
const maxExplained, maxExplainedWide = 20, 1_000

// maxTurned bounds of how many pairs the smallest change is told.
const maxTurned = 3

func newNetAnswer(n *netEnds, yes, no []pair, most int) netAnswer {
	out := netAnswer{APIVersion: finding.APIVersion, Kind: "NetworkAnswer", Allowed: len(yes) > 0, PairsAsked: len(yes) + len(no), Pairs: []netPairJSON{}}
	show := yes
	if len(yes) == 0 {
		show = no
	}
	turned := map[[2]string]bool{}
	for _, p := range show {
		if len(out.Pairs) == most {
			out.more = len(show) - most
			break
		}
		one := n.explain(p)
		// Replicas are alike: what turns one pair of two workloads turns the others.
		key := [2]string{p.from.String(), p.to.side.String()}
		if !turned[key] && len(turned) < maxTurned {
			turned[key] = true
			one.SmallestChanges = n.turns(p)
		}
		out.Pairs = append(out.Pairs, one)
	}
	return out
}

// explain says why one pair may talk, or not.
func (n *netEnds) explain(p pair) netPairJSON {
	c, to := n.engine.Cluster, p.to.side
	protocol, port := askedPort(p)
	x := c.Explain(p.from, to, protocol, port)
	out := netPairJSON{From: p.from.String(), To: to.String(), Ports: p.ports.String(), Unknown: n.doubtsOf(p), Otherwise: c.Disagree(p.from, to, protocol, port),
		Egress: newNetReason(p.from, x.Egress), Ingress: newNetReason(to, x.Ingress), why: x}
	switch {
	case x.Self:
		out.Exempt = "it does not leave the pod, and no policy is asked"
	case x.OwnNode:
		out.Exempt = "it is between a node and a pod on it, and no policy is asked"
	}
	return out
}

// askedPort is a port to explain: the one that is asked about, or the first that is allowed.
func askedPort(p pair) (reach.Protocol, uint16) {
	protocol, port := p.to.asked.protocol, p.to.asked.port
	if port == 0 {
		port = 1 // where nothing is allowed any port will do
		first := true
		p.ports.Each(func(of reach.Protocol, from, _ uint16) {
			if first {
				protocol, port, first = of, from, false
			}
		})
	}
	return protocol, port
}

// turns are the smallest changes that would turn the answer for a pair: of a no only where
// a port is named, as a change that opens all ports is none to propose.
func (n *netEnds) turns(p pair) []netTurnJSON {
	ports := p.ports
	if p.to.asked.port != 0 {
		ports = reach.OnePort(p.to.asked.protocol, p.to.asked.port)
	}
	return newTurns(n.engine.Cluster.Turn(p.from, p.to.side, ports))
}

func newNetReason(side reach.Side, r reach.Reason) *netReasonJSON {
	out := &netReasonJSON{Allowed: r.Allowed, Why: r.Basis.String()}
	for _, rule := range append(r.Passed, r.Rules...) {
		out.Rules = append(out.Rules, ruleText(rule))
	}
	for _, p := range r.Isolated {
		out.Isolated = append(out.Isolated, p.Namespace+"/"+p.Name)
	}
	if side.Pod != nil && r.Basis == reach.ByNothing {
		out.Why = "it is in the network of its node, which no policy isolates"
	}
	return out
}

// ruleText names a rule of a policy, and where it stands.
func ruleText(r reach.RuleRef) string {
	if at := r.Locate(); at != nil {
		return fmt.Sprintf("%s (%s:%d)", r, at.File, at.Line)
	}
	return r.String()
}

func (a netAnswer) write(w io.Writer, wide bool) error {
	var out strings.Builder
	for i, p := range a.Pairs {
		if i > 0 {
			out.WriteString("\n")
		}
		word := "no"
		if a.Allowed {
			word = "yes"
		}
		fmt.Fprintf(&out, "%s: %s -> %s", word, report.Printable(p.From), report.Printable(p.To))
		if a.Allowed {
			fmt.Fprintf(&out, ", ports: %s", p.Ports)
		}
		out.WriteString("\n")
		if p.Exempt != "" {
			fmt.Fprintf(&out, "  %s\n", p.Exempt)
		} else {
			p.Egress.write(&out, "  leaves ", p.From)
			p.Ingress.write(&out, "  enters ", p.To)
		}
		if len(p.Otherwise) > 0 {
			fmt.Fprintf(&out, "  answered otherwise by %s\n", strings.Join(p.Otherwise, ", "))
		}
		for _, why := range p.Unknown {
			fmt.Fprintf(&out, "  not known: %s\n", report.Printable(why))
		}
		writeTurns(&out, p.SmallestChanges, a.Allowed, a.PairsAsked > 1, wide)
	}
	if a.more > 0 {
		fmt.Fprintf(&out, "\nand %d more pairs\n", a.more)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *netReasonJSON) write(w io.Writer, what, end string) {
	verb := "yes"
	if !r.Allowed {
		verb = "no"
	}
	fmt.Fprintf(w, "%s%s: %s, %s\n", what, report.Printable(end), verb, report.Printable(r.Why))
	for _, rule := range r.Rules {
		fmt.Fprintf(w, "    %s\n", report.Printable(rule))
	}
	if !r.Allowed && len(r.Isolated) > 0 {
		fmt.Fprintf(w, "    no rule of %s allows it\n", report.Printable(strings.Join(r.Isolated, ", ")))
	}
}
