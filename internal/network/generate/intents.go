package generate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// FromIntents derives connections from what a team says: allow and only, each tier to the
// next, and who may reach the internet. What is denied or isolated opens nothing: it is
// proven of the result.
func FromIntents(w *model.World, e *reach.Engine, assertions []*intent.Assertion, namespaces []string) (d Derived) {
	r := intents{cluster: e.Cluster, engine: e}
	for _, a := range assertions {
		why := Evidence{Text: a.Name, At: a.At}
		switch a.Form {
		case intent.Allow, intent.Only:
			r.flow(a, a.From, a.To, a.Ports, why)
		case intent.Tiers:
			for i, from := range a.Order {
				if i+1 < len(a.Order) {
					r.flow(a, from, a.Order[i+1], reach.AllPorts, why)
				}
				if a.Within {
					r.flow(a, from, from, reach.AllPorts, why)
				}
			}
		case intent.InternetOnlyBy:
			r.flow(a, a.From, intent.Ends{reach.Internet}, reach.AllPorts, why)
		case intent.DNS:
			in := namespaces
			if a.Namespace != "" {
				in = []string{a.Namespace}
			}
			of := FromResolver(w, e.Cluster, in)
			for _, want := range of.Wants {
				want.Why.At = a.At
			}
			r.Add(of)
		}
	}
	return r.Derived
}

// intents reads assertions.
type intents struct {
	cluster *reach.Cluster
	engine  *reach.Engine
	Derived
}

func (r *intents) flow(a *intent.Assertion, from, to intent.Ends, ports reach.Ports, why Evidence) {
	for _, f := range from {
		sources, err := r.ends(f, a.Namespace)
		if err != nil {
			r.Notes = append(r.Notes, Note{Evidence{Text: fmt.Sprintf("%s is not covered: %v", a.Name, err), At: a.At}, f})
			continue
		}
		for _, t := range to {
			targets, err := r.ends(t, a.Namespace)
			if err != nil {
				r.Notes = append(r.Notes, Note{Evidence{Text: fmt.Sprintf("%s is not covered: %v", a.Name, err), At: a.At}, t})
				continue
			}
			for _, x := range sources {
				for _, y := range targets {
					r.want(x, y, ports, why)
				}
			}
		}
	}
}

// ends are what a name in an assertion stands for, in the team's own terms: a selector
// stays one, once for each namespace that it finds pods in.
func (r *intents) ends(name, namespace string) ([]End, error) {
	if name == reach.Internet {
		return []End{{Kind: Internet}}, nil
	}
	if block, err := netip.ParsePrefix(name); err == nil {
		return []End{{Kind: Block, Name: block.Masked().String()}}, nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return []End{{Kind: Block, Name: netipBlock(a)}}, nil
	}
	if ns, ok := strings.CutPrefix(name, "ns/"); ok && !strings.Contains(ns, "/") {
		return []End{{Kind: Namespace, Namespace: ns}}, r.inhabited(ns)
	}
	sides, err := r.engine.Find(name, namespace)
	if err != nil {
		return nil, err
	}
	var out []End
	selector := ""
	if strings.ContainsAny(name, "=!(,") {
		if selector, err = canonical(name); err != nil {
			return nil, err
		}
	}
	for _, s := range sides {
		end := WorkloadOf(s.Pod)
		if selector != "" && !s.Pod.HostNetwork {
			end = End{Selected, s.Pod.Namespace, selector}
		}
		if !slices.Contains(out, end) {
			out = append(out, end)
		}
	}
	return out, nil
}

func (r *intents) inhabited(namespace string) error {
	if slices.ContainsFunc(r.cluster.Pods, func(p *reach.Pod) bool { return p.Namespace == namespace }) {
		return nil
	}
	return fmt.Errorf("there is no pod in namespace %s", namespace)
}

// canonical is a selector as people write it, so that two ways to write it are one.
func canonical(selector string) (string, error) {
	s, err := metav1.ParseToLabelSelector(selector)
	if err != nil {
		return "", fmt.Errorf("%q is no selector that a policy can have: %w", selector, err)
	}
	return metav1.FormatLabelSelector(s), nil
}
