package reach

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestExposure compares, in random clusters, what is worked out for all pods that may be
// made with the answers for each of them: every value that some selector names, another,
// and none, in every namespace and in new ones.
func TestExposure(t *testing.T) {
	asked, yes, futures := 0, 0, 0
	for seed := range uint64(120) {
		d := deal(seed, Profiles[seed%uint64(len(Profiles))])
		c := d.cluster()
		if len(c.Pods) == 0 || len(c.Pods) > 20 {
			continue
		}
		e := New(c)
		pods, namespaces := mentioned(c)
		candidates := futurePods(c, d, pods, namespaces)
		for _, p := range []*Pod{pick(d, c.Pods), pick(d, c.Pods)} {
			x := e.ExposureOf(p)
			if x.Bounded {
				t.Errorf("seed %d: bounded", seed)
			}
			futures += len(x.From) + len(x.To)
			for _, f := range candidates {
				for _, way := range []struct {
					of       []Future
					from, to Side
				}{{x.From, f.side, Side{Pod: p}}, {x.To, Side{Pod: p}, f.side}} {
					want := f.cluster.Ports(way.from, way.to)
					protocol, port := pick(d, []Protocol{TCP, UDP, SCTP}), uint16(pick(d, dealtPorts))
					if x := f.cluster.Explain(way.from, way.to, protocol, port); x.Allowed != want.Contains(protocol, port) {
						t.Fatalf("seed %d: %v to %v by %s %d: explained as %v, the ports are %v", seed, way.from, way.to, protocol, port, x.Allowed, want)
					}
					var got Ports
					for _, one := range way.of {
						if one.Contains(f.existing, f.namespaceLabels, f.side.Pod.Labels) {
							got = got.Union(one.Ports)
						}
					}
					asked++
					if !want.Empty() {
						yes++
					}
					if !got.Equal(want) {
						t.Fatalf("seed %d: %v to %v: worked out %v, the answer is %v; %v", seed, way.from, way.to, got, want, way.of)
					}
				}
			}
			for _, one := range slices.Concat(x.From, x.To) {
				if _, _, err := c.WithFuture(one.Witness()); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		}
	}
	t.Logf("%d answers, %d yes, %d kinds of pods", asked, yes, futures)
	if yes == 0 || yes == asked {
		t.Error("the clusters are all alike")
	}
}

type futureCase struct {
	cluster *Cluster
	side    Side
	// existing is the namespace if it exists.
	existing        string
	namespaceLabels map[string]string
}

// futurePods are pods with all labels that selectors tell apart, as far as they are few.
func futurePods(c *Cluster, d *dealer, pods, namespaces map[string][]string) (out []futureCase) {
	sets := combinations(pods)
	d.Shuffle(len(sets), func(i, j int) { sets[i], sets[j] = sets[j], sets[i] })
	sets = sets[:min(len(sets), 150)]
	for _, name := range slices.Sorted(maps.Keys(c.Namespaces)) {
		for _, set := range sets {
			out = append(out, futureCase{c, Side{Pod: c.futurePod(name, set)}, name, nil})
		}
	}
	of := combinations(namespaces)
	d.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	for _, ns := range of[:min(len(of), 30)] {
		with, name, err := c.withNamespace(ns)
		if err != nil {
			continue // it exists
		}
		for _, set := range sets[:min(len(sets), 40)] {
			out = append(out, futureCase{with, Side{Pod: with.futurePod(name, set)}, "", with.Namespaces[name].Labels})
		}
	}
	return out
}

// mentioned are the values that selectors of pods and of namespaces name, by their keys.
func mentioned(c *Cluster) (pods, namespaces map[string][]string) {
	pods, namespaces = map[string][]string{}, map[string][]string{}
	add := func(to map[string][]string, s labels.Selector) {
		if s == nil {
			return
		}
		requirements, _ := s.Requirements()
		for _, r := range requirements {
			to[r.Key()] = joinValues(to[r.Key()], r.ValuesUnsorted())
		}
	}
	rules := func(of [directions][]*Rule) {
		for _, r := range slices.Concat(of[Ingress], of[Egress]) {
			for _, p := range r.Peers {
				add(pods, p.Pods)
				add(namespaces, p.Namespaces)
			}
		}
	}
	for _, p := range c.Policies {
		add(pods, p.Subject)
		rules(p.Rules)
	}
	for _, p := range slices.Concat(c.Admin, c.Baseline) {
		add(pods, p.Pods)
		add(namespaces, p.Namespaces)
		rules(p.Rules)
	}
	return pods, namespaces
}

// combinations are all labels with these values, another one, or none. A namespace always
// has its name.
func combinations(of map[string][]string) []map[string]string {
	out := []map[string]string{{}}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		var next []map[string]string
		for _, set := range out {
			if key != corev1.LabelMetadataName {
				next = append(next, set)
			}
			for _, v := range append(slices.Clone(of[key]), "another") {
				with := maps.Clone(set)
				with[key] = v
				next = append(next, with)
			}
		}
		out = next
	}
	return out
}
