package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// netTarget is who is asked to receive, and by which port; several of them where a Service
// leads to pods by ports of their own.
type netTarget struct {
	side   reach.Side
	asked  service
	behind *entry.Service
	target entry.Target
}

// netEnds are the two ends of a question, and the engine that answers it.
type netEnds struct {
	engine   *reach.Engine
	from     []reach.Side
	to       []netTarget
	services *entry.Services
	// nodes says that those who send are nodes.
	nodes bool
}

// node is the name of all nodes; node/NAME is one.
const node = "node"

// maxPairs bounds how many pairs are looked at one by one.
const maxPairs = 1_000_000

// ends reads the input, and both ends of a question about it.
func (q *netInquiry) ends(ctx context.Context, env *Env, from, to string) (*netEnds, *model.World, error) {
	if err := q.pageForBrowser(env); err != nil {
		return nil, nil, err
	}
	c, w, err := q.cluster(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	ends, err := findEnds(c, w, q.in, from, to)
	if err != nil {
		return nil, nil, err
	}
	if len(ends.from)*len(ends.to) > maxPairs {
		return nil, nil, fmt.Errorf("%d ends and %d ends are more pairs than are looked at; name fewer", len(ends.from), len(ends.to))
	}
	return ends, w, nil
}

// findEnds reads both ends. Pods that do not exist yet may bring a namespace along, which
// the engine has to know.
func findEnds(c *reach.Cluster, w *model.World, in, from, to string) (*netEnds, error) {
	end, asked, err := cutPort(to)
	if err != nil {
		return nil, usageError{err}
	}
	var future [2]*reach.Side
	for i, name := range []string{from, end} {
		if !strings.HasPrefix(name, reach.FuturePrefix) {
			continue
		}
		with, side, err := c.WithFuture(name)
		if err != nil {
			return nil, usageError{err}
		}
		c, future[i] = with, &side
	}
	out := &netEnds{engine: reach.New(c), services: entry.NewServices(w, c)}
	switch {
	case future[0] != nil:
		out.from = []reach.Side{*future[0]}
	case isService(from):
		return nil, usageError{errors.New("a Service sends nothing: name the pods that do")}
	default:
		out.nodes = from == node || strings.HasPrefix(from, node+"/") && strings.Count(from, "/") == 1
		if out.from, err = out.find(from, in); err != nil {
			return nil, err
		}
	}
	if isService(end) {
		return out, out.behind(end, in, asked)
	}
	sides := []reach.Side{}
	if future[1] != nil {
		sides = append(sides, *future[1])
	} else if sides, err = out.find(end, in); err != nil {
		return nil, err
	}
	for _, s := range sides {
		out.to = append(out.to, netTarget{side: s, asked: asked})
	}
	return out, nil
}

func isService(name string) bool { return strings.HasPrefix(name, "svc/") }

// find are the sides of a name: nodes, or what the engine finds.
func (n *netEnds) find(name, in string) (out []reach.Side, err error) {
	one, isNode := strings.CutPrefix(name, node+"/")
	if name != node && (!isNode || strings.Contains(one, "/")) {
		return n.engine.Find(name, in)
	}
	for _, of := range n.engine.Cluster.Nodes {
		if name == node || of.Name == one {
			for _, a := range of.Addresses {
				out = append(out, reach.Side{Address: a})
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no %s with an address: files seldom have nodes; ask the cluster, or name the address of one", strings.TrimSuffix(name, "/"))
	}
	slices.SortFunc(out, func(a, b reach.Side) int { return a.Address.Compare(b.Address) })
	return out, nil
}

// behind are the pods and addresses that a Service leads to.
func (n *netEnds) behind(name, in string, asked service) error {
	s, err := n.services.Find(name, in)
	if err != nil {
		return err
	}
	targets, err := s.Leads(asked.protocol, asked.port)
	if err != nil {
		return err
	}
	for _, t := range targets {
		port := service{t.Protocol, t.Port}
		if len(t.Pods) == 0 {
			n.to = append(n.to, netTarget{reach.Side{Address: t.Address}, port, s, t})
		}
		for _, p := range t.Pods {
			n.to = append(n.to, netTarget{reach.Side{Pod: p}, port, s, t})
		}
	}
	if len(n.to) == 0 {
		return fmt.Errorf("service %s leads to nothing: it chooses no pod, or none of them has its port", s)
	}
	return nil
}
