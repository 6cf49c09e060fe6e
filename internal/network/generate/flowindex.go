package generate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// flowIndex finds the workloads that flows name.
type flowIndex struct {
	byAddress map[netip.Addr]End
	byPod     map[[2]string]End
	// byWorkload are those of a namespace and name, whatever their kind.
	byWorkload map[[2]string][]End
	in         map[string][]*reach.Pod
	// known are the answers for labels, of which there are few.
	known map[string]End
}

func newFlowIndex(c *reach.Cluster) *flowIndex {
	x := &flowIndex{byAddress: map[netip.Addr]End{}, byPod: map[[2]string]End{}, byWorkload: map[[2]string][]End{}, in: map[string][]*reach.Pod{}, known: map[string]End{}}
	for _, p := range c.Pods {
		end := WorkloadOf(p)
		if !p.HostNetwork {
			for _, a := range p.Addresses {
				x.byAddress[a] = end
			}
		}
		if p.Runs() {
			x.byPod[[2]string{p.Namespace, p.Object.Name}] = end
		}
		key := [2]string{p.Namespace, p.Name}
		if !slices.Contains(x.byWorkload[key], end) {
			x.byWorkload[key] = append(x.byWorkload[key], end)
		}
		x.in[p.Namespace] = append(x.in[p.Namespace], p)
	}
	return x
}

// byName finds NAMESPACE/KIND/NAME or NAMESPACE/NAME.
func (x *flowIndex) byName(name string) (End, error) {
	if name == reach.Internet {
		return End{Kind: Internet}, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return End{}, fmt.Errorf("%q is no workload and no address: write NAMESPACE/KIND/NAME or NAMESPACE/NAME", name)
	}
	last := parts[len(parts)-1]
	if len(parts) == 2 {
		if end, ok := x.byPod[[2]string{parts[0], last}]; ok {
			return end, nil
		}
	}
	var found []End
	for _, end := range x.byWorkload[[2]string{parts[0], last}] {
		if len(parts) == 2 || strings.EqualFold(end.Name, parts[1]+"/"+last) {
			found = append(found, end)
		}
	}
	if len(found) != 1 {
		return End{}, fmt.Errorf("%d workloads of the input are %s", len(found), name)
	}
	return found[0], nil
}

// pod finds a pod by its name, by what made it, or by its labels.
func (x *flowIndex) pod(p *party) (End, error) {
	if end, ok := x.byPod[[2]string{p.namespace, p.pod}]; ok {
		return end, nil
	}
	if p.workload != "" {
		found := x.byWorkload[[2]string{p.namespace, p.workload}]
		for _, end := range found {
			if len(found) == 1 || strings.EqualFold(end.Name, p.kind+"/"+p.workload) {
				return end, nil
			}
		}
	}
	key := p.namespace
	for _, k := range sorted(p.labels) {
		key += "\x00" + k + "=" + p.labels[k]
	}
	end, ok := x.known[key]
	if !ok {
		end = x.labelled(p)
		if len(x.known) < maxSights {
			x.known[key] = end
		}
	}
	if end.Name == "" {
		return End{}, fmt.Errorf("no workload of the input is %s", p)
	}
	return end, nil
}

// labelled is the one workload of a namespace whose labels a pod has all; of several the
// one with the most.
func (x *flowIndex) labelled(p *party) (out End) {
	most, several := 0, false
	for _, pod := range x.in[p.namespace] {
		n := 0
		for k, v := range pod.Labels {
			if unstable(k) {
				continue
			}
			has, ok := p.labels[k]
			if !ok || has != v {
				n = 0
				break
			}
			n++
		}
		end := WorkloadOf(pod)
		switch {
		case n == 0 || n < most:
		case n > most:
			out, most, several = end, n, false
		case end != out:
			several = true
		}
	}
	if several {
		return End{}
	}
	return out
}
