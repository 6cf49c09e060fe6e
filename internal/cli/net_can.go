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

func newNetCan(env *Env) *cobra.Command {
	q := &netInquiry{}
	c := &cobra.Command{
		Use:   "can FROM TO[:PORT[/PROTOCOL]]",
		Short: "Say whether something may talk to something else, and why",
		Long: `Can says whether traffic from one end arrives at the other, and which rules of which
policies let it through, or what stops it. Without a port it says by which ones.

An end is NAMESPACE/NAME or NAMESPACE/KIND/NAME of a pod or workload, a NAME in the
namespace of -n, ns/NAMESPACE for all pods of it, a label selector such as app=web, an
address or a block of addresses, or internet. Where an end stands for several, the answer
is yes if one of them may talk to one of the others.

The exit code is 0 for yes, 1 for no, and 3 where the answer is not known.`,
		Example: `  bulkhead net can shop/web shop/db:5432
  bulkhead net can internet ns/shop -f deploy/
  bulkhead net can app=web 169.254.169.254:80 -n shop`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("name two ends, such as shop/web shop/db:5432\nSee bulkhead net can --help")}
			}
			return runNetCan(c.Context(), env, q, args[0], args[1])
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
	if strings.Count(text, ":") != 1 {
		return text, s, nil
	}
	end, port, _ := strings.Cut(text, ":")
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
	from, to reach.Side
	ports    reach.Ports
}

// maxPairs bounds how many pairs are looked at one by one.
const maxPairs = 1_000_000

func runNetCan(ctx context.Context, env *Env, q *netInquiry, from, to string) error {
	to, asked, err := cutPort(to)
	if err != nil {
		return usageError{err}
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return err
	}
	e := reach.New(c)
	sources, err := e.Find(from, q.in)
	if err != nil {
		return err
	}
	targets, err := e.Find(to, q.in)
	if err != nil {
		return err
	}
	if len(sources)*len(targets) > maxPairs {
		return fmt.Errorf("%d ends and %d ends are more pairs than are looked at; name fewer", len(sources), len(targets))
	}
	var yes, no_ []pair
	for _, a := range sources {
		for _, b := range targets {
			p := pair{a, b, e.Between(a, b)}
			if asked.port != 0 && !p.ports.Contains(asked.protocol, asked.port) {
				p.ports = reach.Ports{}
			} else if asked.port != 0 {
				p.ports = reach.OnePort(asked.protocol, asked.port)
			}
			if p.ports.Empty() {
				no_ = append(no_, p)
			} else {
				yes = append(yes, p)
			}
		}
	}
	answerOf := newNetAnswer(c, asked, yes, no_)
	if q.format != "table" {
		if err := answer(env.Stdout, q.format, answerOf); err != nil {
			return err
		}
	} else if err := answerOf.write(env.Stdout); err != nil {
		return err
	}
	why := doubts(c, yes, no_)
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

// maxDoubted bounds for how many pairs it is asked whether the answer is known.
const maxDoubted = 2_000

// doubts says why the answer may be wrong: yes is right where it is for one pair, and no
// where it is for all.
func doubts(c *reach.Cluster, yes, no []pair) (why []string) {
	pairs := yes
	if len(yes) == 0 {
		pairs = no
	}
	if len(pairs) > maxDoubted {
		return nil
	}
	for _, p := range pairs {
		of := c.Doubts(p.from, p.to)
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
}

type netReasonJSON struct {
	Allowed bool     `json:"allowed"`
	Why     string   `json:"why"`
	Rules   []string `json:"rules,omitempty"`
	// Isolated are the NetworkPolicies that are about the pod.
	Isolated []string `json:"isolatedBy,omitempty"`
}

// maxExplained bounds how many pairs are explained.
const maxExplained = 20

func newNetAnswer(c *reach.Cluster, asked service, yes, no []pair) netAnswer {
	out := netAnswer{APIVersion: finding.APIVersion, Kind: "NetworkAnswer", Allowed: len(yes) > 0, PairsAsked: len(yes) + len(no), Pairs: []netPairJSON{}}
	show := yes
	if len(yes) == 0 {
		show = no
	}
	for _, p := range show {
		if len(out.Pairs) == maxExplained {
			out.more = len(show) - maxExplained
			break
		}
		protocol, port := asked.protocol, asked.port
		if port == 0 {
			port = 1 // where nothing is allowed any port will do
			first := true
			p.ports.Each(func(of reach.Protocol, from, _ uint16) {
				if first {
					protocol, port, first = of, from, false
				}
			})
		}
		x := c.Explain(p.from, p.to, protocol, port)
		out.Pairs = append(out.Pairs, netPairJSON{From: p.from.String(), To: p.to.String(), Ports: p.ports.String(), Unknown: c.Doubts(p.from, p.to), Otherwise: c.Disagree(p.from, p.to, protocol, port),
			Egress: newNetReason(p.from, x.Egress), Ingress: newNetReason(p.to, x.Ingress)})
	}
	return out
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
	name, action := "", ""
	object := (*reach.Policy)(nil)
	if r.Policy != nil {
		object, name = r.Policy, "NetworkPolicy "+r.Policy.Namespace+"/"+r.Policy.Name
	}
	if r.Tier != nil {
		name, action = r.Tier.Object.Kind+" "+r.Tier.Name, " ("+r.Rule.Action.String()+")"
	}
	text := fmt.Sprintf("%s, rule %d%s", name, r.Rule.Index+1, action)
	if object != nil && object.Object != nil {
		if at := object.Object.Locate(nil); at != nil {
			text += fmt.Sprintf(" (%s:%d)", at.File, at.Line)
		}
	}
	return text
}

func (a netAnswer) write(w io.Writer) error {
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
		p.Egress.write(&out, "  leaves ", p.From)
		p.Ingress.write(&out, "  enters ", p.To)
		if len(p.Otherwise) > 0 {
			fmt.Fprintf(&out, "  answered otherwise by %s\n", strings.Join(p.Otherwise, ", "))
		}
		for _, why := range p.Unknown {
			fmt.Fprintf(&out, "  not known: %s\n", report.Printable(why))
		}
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
