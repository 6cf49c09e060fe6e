package entry

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// podIndex finds pods by their labels. Services of the same selector share what they lead
// to, so that the work and the memory of many of them are bounded.
type podIndex struct {
	byNamespace map[string]*labelled
	chosen      map[string]chosen
	led         map[ledKey]led
	byAddress   map[netip.Addr]*reach.Pod
	cluster     *reach.Cluster
}

// labelled are the pods of a namespace.
type labelled struct {
	pods []*reach.Pod
	// byLabel are numbers of pods, in order.
	byLabel map[[2]string][]int32
	// templates are numbers of pods that do not run yet.
	templates []int32
}

type chosen struct {
	pods   []*reach.Pod
	doubts []string
}

type ledKey struct {
	chosen, target string
	protocol       reach.Protocol
}

type led struct {
	targets []Target
	unnamed []*reach.Pod
}

func newPodIndex(c *reach.Cluster) *podIndex {
	x := &podIndex{byNamespace: map[string]*labelled{}, chosen: map[string]chosen{}, led: map[ledKey]led{}, cluster: c}
	for _, p := range c.Pods {
		ns := x.byNamespace[p.Namespace]
		if ns == nil {
			ns = &labelled{byLabel: map[[2]string][]int32{}}
			x.byNamespace[p.Namespace] = ns
		}
		n := int32(len(ns.pods))
		ns.pods = append(ns.pods, p)
		for k, v := range p.Labels {
			ns.byLabel[[2]string{k, v}] = append(ns.byLabel[[2]string{k, v}], n)
		}
		if !p.Runs() {
			ns.templates = append(ns.templates, n)
		}
	}
	return x
}

// choose are the pods that a selector of a Service chooses, which is not empty, and how
// the question is known.
func (x *podIndex) choose(namespace string, selector map[string]string) (chosen, string) {
	key := namespace + "/" + labels.Set(selector).String()
	if known, ok := x.chosen[key]; ok {
		return known, key
	}
	var out chosen
	if ns := x.byNamespace[namespace]; ns != nil {
		candidates, template := ns.candidates(selector)
		for _, n := range candidates {
			p := ns.pods[n]
			if matches, doubt := chooses(selector, p, template); matches {
				out.pods = append(out.pods, p)
				if doubt != "" {
					out.doubts = append(out.doubts, doubt)
				}
			}
		}
	}
	x.chosen[key] = out
	return out, key
}

// candidates are the pods with the rarest of the labels that a selector asks for. The
// labels that the platform adds do not count for templates.
func (l *labelled) candidates(selector map[string]string) (out []int32, template bool) {
	found := false
	for k, v := range selector {
		if reach.PlatformLabel(k) {
			template = true
			continue
		}
		if of := l.byLabel[[2]string{k, v}]; !found || len(of) < len(out) {
			out, found = of, true
		}
	}
	if found || !template {
		return out, template
	}
	out = slices.Clone(l.templates)
	for k, v := range selector {
		out = append(out, l.byLabel[[2]string{k, v}]...)
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

// chooses reports whether a selector chooses a pod. Of a label that the platform adds, a
// template may have any value.
func chooses(selector map[string]string, p *reach.Pod, template bool) (matches bool, doubt string) {
	for k, v := range selector {
		has, written := p.Labels[k]
		switch {
		case written && has == v:
		case template && !written && !p.Runs() && reach.PlatformLabel(k) && mayHave(p, k, v):
			doubt = fmt.Sprintf("the selector asks for the label %s=%s, which some of the pods of %s may get", k, v, p)
		default:
			return false, ""
		}
	}
	return true, doubt
}

// mayHave reports whether the platform may give a pod of a template a label. The names of
// some pods and Jobs are known.
func mayHave(p *reach.Pod, key, value string) bool {
	switch key {
	case "statefulset.kubernetes.io/pod-name":
		ordinal, ok := strings.CutPrefix(value, p.Name+"-")
		_, err := strconv.ParseUint(ordinal, 10, 31)
		return ok && err == nil && p.Kind == "StatefulSet"
	case "apps.kubernetes.io/pod-index":
		return p.Kind == "StatefulSet"
	case "job-name", "batch.kubernetes.io/job-name":
		return p.Kind == "Job" && p.Name == value || p.Kind == "CronJob" && strings.HasPrefix(value, p.Name+"-")
	}
	return true
}

// targets are where a port of a Service leads, and the pods that lack a port of the name.
func (x *podIndex) targets(s *Service, p *ServicePort) ([]Target, []*reach.Pod) {
	key := ledKey{s.key, p.TargetPort, p.Protocol}
	if p.Port == 0 {
		key.target = "any"
	}
	known, ok := x.led[key]
	if !ok {
		known = lead(s.Pods, p)
		x.led[key] = known
	}
	return known.targets, known.unnamed
}

func lead(pods []*reach.Pod, p *ServicePort) (out led) {
	number, err := strconv.ParseUint(p.TargetPort, 10, 16)
	at := map[string]int{}
	for _, pod := range pods {
		port := uint16(number)
		if err != nil {
			port = pod.Named[reach.NamedPort{Protocol: p.Protocol, Name: p.TargetPort}]
		}
		if port == 0 && p.Port != 0 {
			out.unnamed = append(out.unnamed, pod)
			continue
		}
		if p.Port == 0 {
			port = 0
		}
		key := strconv.Itoa(int(port)) + "/" + pod.String()
		i, ok := at[key]
		if !ok {
			i = len(out.targets)
			at[key] = i
			out.targets = append(out.targets, Target{Protocol: p.Protocol, Port: port})
		}
		out.targets[i].Pods = append(out.targets[i].Pods, pod)
	}
	sortTargets(out.targets)
	return out
}

func sortTargets(all []Target) {
	name := func(t Target) string {
		if len(t.Pods) == 0 {
			return t.Address.String()
		}
		return t.Pods[0].String()
	}
	slices.SortStableFunc(all, func(a, b Target) int {
		return cmp.Or(strings.Compare(name(a), name(b)), int(a.Protocol)-int(b.Protocol), int(a.Port)-int(b.Port))
	})
}

// byWorkload puts pods of one workload together.
func byWorkload(pods []*reach.Pod, addresses []netip.Addr) []Target {
	out := lead(pods, &ServicePort{}).targets
	for _, a := range addresses {
		out = append(out, Target{Address: a})
	}
	return out
}

// at is the pod of an address; nil if there is none. Pods in the network of their node
// have its address, of which the first is taken.
func (x *podIndex) at(a netip.Addr) *reach.Pod {
	if x.byAddress == nil {
		x.byAddress = map[netip.Addr]*reach.Pod{}
		for _, p := range x.cluster.Pods {
			for _, own := range p.Addresses {
				if !p.HostNetwork && x.byAddress[own] == nil {
					x.byAddress[own] = p
				}
			}
		}
	}
	return x.byAddress[a]
}
