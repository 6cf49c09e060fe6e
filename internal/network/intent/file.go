package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Parse reads an object of Kind, of which namespace is asked where it says none. The error
// says all that is wrong with it, a line for each, with file and line.
func Parse(o *model.Object, namespace string) ([]*Assertion, error) {
	r := &reader{form.Reader{Object: o}}
	var out []*Assertion
	if spec := r.header("namespace", "future", "assertions"); spec != nil {
		at := model.Path{model.Key("spec")}
		if spec["namespace"] != nil {
			namespace = r.label(at.Keys("namespace"), spec["namespace"])
		}
		future := r.Flag(at.Keys("future"), spec["future"])
		list := r.Items(at.Keys("assertions"), spec["assertions"], maxAssertions)
		for i, item := range list {
			if a := r.assertion(at.Keys("assertions").Append(model.Index(i)), item, namespace); a != nil {
				a.Future = a.Future || future && a.Form != DNS
				out = append(out, a)
			}
		}
		if len(list) == 0 && !r.Failed() {
			r.Fail(at.Keys("assertions"), "is empty: list what is to be true, such as only: {from: app=frontend, to: app=backend, ports: [8080]}")
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

func formNames() (out []string) {
	for _, f := range Forms {
		out = append(out, string(f))
	}
	return out
}

func (r *reader) assertion(at model.Path, v any, namespace string) *Assertion {
	m := r.Fields(at, v, append([]string{"name", "namespace", "future"}, formNames()...)...)
	if m == nil {
		return nil
	}
	a := &Assertion{Namespace: namespace, Ports: reach.AllPorts, At: r.Object.Locate(at)}
	if m["namespace"] != nil {
		a.Namespace = r.label(at.Keys("namespace"), m["namespace"])
	}
	var forms []Form
	for _, f := range Forms {
		if _, ok := m[string(f)]; ok {
			forms = append(forms, f)
		}
	}
	if len(forms) != 1 {
		r.Fail(at, "must have one of %s, and has %d", strings.Join(formNames(), ", "), len(forms))
		return nil
	}
	a.Form = forms[0]
	if a.Future = r.Flag(at.Keys("future"), m["future"]); a.Future && a.Form == DNS {
		r.Fail(at.Keys("future"), "is not for dns: it is proven for the pods that there are")
	}
	r.content(a, at.Keys(string(a.Form)), m[string(a.Form)])
	if a.Name = a.summary(); m["name"] != nil {
		a.Name = r.Name(at.Keys("name"), m["name"], "leave it out, or say in words what is to be true")
	}
	return a
}

func (r *reader) content(a *Assertion, at model.Path, v any) {
	switch a.Form {
	case Only, Deny, Allow:
		r.flow(a, at, v)
	case Isolated:
		if name, ok := v.(string); ok {
			a.In = r.label(at, name)
			return
		}
		if m := r.Fields(at, v, "namespace", "egress", "except"); m != nil {
			a.In = r.label(at.Keys("namespace"), m["namespace"])
			a.Egress = r.Flag(at.Keys("egress"), m["egress"])
			if m["except"] != nil {
				a.Except = r.ends(at.Keys("except"), m["except"], a.Namespace)
			}
		}
	case Tiers:
		list, where := v, at
		if m, ok := v.(map[string]any); ok {
			r.Fields(at, m, "order", "within")
			a.Within = r.Flag(at.Keys("within"), m["within"])
			list, where = m["order"], at.Keys("order")
		}
		for i, item := range r.Items(where, list, maxTiers) {
			a.Order = append(a.Order, r.ends(where.Append(model.Index(i)), item, a.Namespace))
		}
		if len(a.Order) < 2 {
			r.Fail(where, "needs two tiers or more, from the top: [tier=web, tier=api, tier=db]")
		}
	case InternetOnlyBy:
		if list, ok := v.([]any); !ok || len(list) > 0 { // an empty list is nobody
			a.From = r.ends(at, v, a.Namespace)
		}
	case DNS:
		if v != "always" {
			r.Fail(at, "must be always")
		}
	}
}

// maxTiers bounds what is compared with each other.
const maxTiers = 20

func (r *reader) flow(a *Assertion, at model.Path, v any) {
	m := r.Fields(at, v, "from", "to", "ports")
	if m == nil {
		return
	}
	a.From = r.ends(at.Keys("from"), m["from"], a.Namespace)
	a.To = r.ends(at.Keys("to"), m["to"], a.Namespace)
	_, set := m["ports"]
	if set {
		a.Ports = r.ports(at.Keys("ports"), m["ports"])
	} else if a.Form == Allow {
		r.Fail(at.Keys("ports"), "is missing: list those by which it must be, such as [8080, 53/UDP]")
	}
}

// ends reads one end or a list of them.
func (r *reader) ends(at model.Path, v any, namespace string) (out Ends) {
	const advice = "write a label selector such as app=web, NAMESPACE/NAME, ns/NAMESPACE, an address or block, or internet"
	list, ok := v.([]any)
	if !ok {
		if s := r.Name(at, v, advice); s != "" && r.end(at, s, namespace) {
			out = Ends{s}
		}
		return out
	}
	for i, item := range r.Items(at, list, maxEnds) {
		here := at.Append(model.Index(i))
		s := r.Name(here, item, advice)
		if s != "" && slices.Contains(out, s) {
			r.Fail(here, "is %q a second time", s)
		} else if s != "" && r.end(here, s, namespace) {
			out = append(out, s)
		}
	}
	if len(list) == 0 {
		r.Fail(at, "is empty: %s", advice)
	}
	return out
}

// end refuses what can be no end in any cluster.
func (r *reader) end(at model.Path, s, namespace string) bool {
	if s == reach.Internet {
		return true
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			r.Fail(at, "is %q: leave out the zone", s)
		}
		return a.Zone() == ""
	}
	if strings.ContainsAny(s, "=!(,") {
		if _, err := labels.Parse(s); err != nil {
			r.Fail(at, "is %q, which is no label selector: %s", s, err)
			return false
		}
		return true
	}
	parts := strings.Split(s, "/")
	switch {
	case len(parts) > 3 || slices.Contains(parts, ""):
		r.Fail(at, "is %q: write NAMESPACE/NAME or NAMESPACE/KIND/NAME, or a label selector such as app=web", s)
	case len(parts) == 1 && namespace == "":
		r.Fail(at, "is %q, which has no namespace: write NAMESPACE/%s, or say namespace beside the assertion", s, s)
	case !form.IsLabel(parts[0]) && len(parts) > 1:
		r.Fail(at, "is %q: %q is no name of a namespace", s, parts[0])
	default:
		return true
	}
	return false
}

func (r *reader) ports(at model.Path, v any) (out reach.Ports) {
	list := r.Items(at, v, maxEnds)
	for i, item := range list {
		one, err := parsePorts(item)
		if err != nil {
			r.Fail(at.Append(model.Index(i)), "%s", err)
		}
		out = out.Union(one)
	}
	if _, ok := v.([]any); v == nil || ok && len(list) == 0 {
		r.Fail(at, "is empty: list ports such as [8080, 53/UDP], or leave it out for all")
	}
	return out
}

// parsePorts reads 8080, 53/UDP or 8000-8100/TCP.
func parsePorts(item any) (reach.Ports, error) {
	text := fmt.Sprint(item)
	wrong := fmt.Errorf("is %q, which is no port: write 8080, 53/UDP or 8000-8100/TCP", form.Cut(text))
	switch item.(type) {
	case int64, string:
	default:
		return reach.Ports{}, wrong
	}
	numbers, name, given := strings.Cut(text, "/")
	protocol, err := reach.ParseProtocol(corev1.Protocol(strings.ToUpper(name)))
	if err != nil || given && name == "" {
		return reach.Ports{}, wrong
	}
	first, last, several := strings.Cut(numbers, "-")
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil || from == 0 {
		return reach.Ports{}, wrong
	}
	to := from
	if several {
		if to, err = strconv.ParseUint(last, 10, 16); err != nil || to < from {
			return reach.Ports{}, wrong
		}
	}
	return reach.PortRange(protocol, uint16(from), uint16(to)), nil
}

// summary says an assertion in few words.
func (a *Assertion) summary() string {
	ports := ""
	if !a.Ports.All() {
		ports = " by " + a.Ports.String()
	}
	switch a.Form {
	case Only:
		return fmt.Sprintf("only %s reaches %s%s", a.From, a.To, ports)
	case Deny:
		return fmt.Sprintf("%s does not reach %s%s", a.From, a.To, ports)
	case Allow:
		return fmt.Sprintf("%s reaches %s%s", a.From, a.To, ports)
	case Isolated:
		if a.Egress {
			return fmt.Sprintf("namespace %s is isolated, both ways", a.In)
		}
		return fmt.Sprintf("namespace %s is isolated", a.In)
	case Tiers:
		var names []string
		for _, t := range a.Order {
			names = append(names, t.String())
		}
		return "tiers " + strings.Join(names, " > ")
	case InternetOnlyBy:
		if len(a.From) == 0 {
			return "nothing" + a.scope() + " reaches the internet"
		}
		return fmt.Sprintf("only %s%s reaches the internet", a.From, a.scope())
	}
	return "all pods" + a.scope() + " reach the resolver"
}

func (a *Assertion) scope() string {
	if a.Namespace == "" {
		return ""
	}
	return " of " + a.Namespace
}

// String names the ends.
func (e Ends) String() string { return strings.Join(e, " or ") }
