package reach

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// blastTwin computes radii by asking every pair of pods, and walking on from each.
func blastTwin(e *Engine) map[string][2]map[string]bool {
	pods := e.Cluster.Pods
	out := map[string][2]map[string]bool{}
	talks := make([][]int, len(pods))
	for i := range pods {
		for j := range pods {
			if !e.Allowed(e.PodEnd(i), e.PodEnd(j)).Empty() {
				talks[i] = append(talks[i], j)
			}
		}
	}
	for i, p := range pods {
		sets := out[p.String()]
		if sets[0] == nil {
			sets = [2]map[string]bool{{}, {}}
		}
		seen, queue := map[int]bool{}, []int{i}
		for steps := 0; len(queue) > 0; steps++ {
			var next []int
			for _, from := range queue {
				for _, to := range talks[from] {
					if steps == 0 {
						sets[0][pods[to].String()] = true
					}
					if !seen[to] {
						seen[to] = true
						sets[1][pods[to].String()] = true
						next = append(next, to)
					}
				}
			}
			queue = next
		}
		out[p.String()] = sets
	}
	return out
}

// TestBlast compares the radii of random clusters with those that pairs of pods give.
func TestBlast(t *testing.T) {
	wide, narrow, far := 0, 0, 0
	for seed := range uint64(300) {
		c := deal(seed, Profiles[seed%uint64(len(Profiles))]).cluster()
		e := New(c)
		b := e.Blast()
		twin := blastTwin(e)
		for _, r := range b.Radii {
			name := r.Workload.String()
			for i, x := range []Extent{r.Direct, r.Transitive} {
				want, in := map[string]bool{}, map[string]bool{}
				for w := range twin[name][i] {
					want[w] = w != name
				}
				var got []string
				b.Each(r, x, func(w *Workload) {
					got = append(got, w.String())
					if !want[w.String()] {
						t.Fatalf("seed %d: %s does not reach %s", seed, name, w)
					}
					if in[w.Namespace] = true; w.Namespace == r.Workload.Namespace {
						delete(in, w.Namespace)
					}
				})
				n := 0
				for _, is := range want {
					if is {
						n++
					}
				}
				if len(got) != n || x.Workloads != n || x.Namespaces != len(in) {
					t.Fatalf("seed %d: %s: got %d, %d workloads, %d namespaces, want %d and %d", seed, name, len(got), x.Workloads, x.Namespaces, n, len(in))
				}
				if slices.Contains(got, name) {
					t.Fatalf("%s is counted itself", name)
				}
			}
			switch {
			case r.Direct.Workloads == 0:
				narrow++
			case r.Direct.Workloads == len(b.Workloads)-1:
				wide++
			}
			if r.Transitive.Workloads > r.Direct.Workloads {
				far++
			}
		}
	}
	t.Logf("%d reach all others, %d none, %d more in several steps", wide, narrow, far)
	if wide < 10 || narrow < 10 || far < 10 {
		t.Error("the clusters are all alike")
	}
}

// chain are pods of which each receives from the one before it alone.
func chain(tb testing.TB, length int) *Cluster {
	c := &Cluster{Namespaces: map[string]*Namespace{"shop": {"shop", nil, true}}, Nodes: map[string]*Node{}, Profile: Upstream}
	for i := range length {
		c.Pods = append(c.Pods, &Pod{Namespace: "shop", Kind: "Pod", Name: fmt.Sprintf("p-%05d", i), Labels: map[string]string{"app": fmt.Sprint("a", i+1)}})
		p, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("p", i)}, Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *labelled1("app", fmt.Sprint("a", i+1)),
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: labelled1("app", fmt.Sprint("a", i))}}}}}})
		if err != nil {
			tb.Fatal(err)
		}
		c.Policies = append(c.Policies, p)
	}
	return c
}

// TestBlastChain walks a long chain, of which each reaches the next alone.
func TestBlastChain(t *testing.T) {
	const length = 3000
	b := New(chain(t, length)).Blast()
	for i, r := range b.Radii {
		direct := min(1, length-1-i)
		if r.Direct.Workloads != direct || r.Transitive.Workloads != length-1-i {
			t.Fatalf("%s: %d and %d", r.Workload, r.Direct.Workloads, r.Transitive.Workloads)
		}
	}
	if worst := b.Worst(); worst[0].Workload.Name != "p-00000" || worst[0].Transitive.Workloads != length-1 {
		t.Errorf("the worst is %s", worst[0].Workload)
	}
}

// BenchmarkBlast computes the radii of all workloads, once the engine is there.
func BenchmarkBlast(b *testing.B) {
	for _, s := range shapes {
		e := New(s.cluster(b))
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				if r := e.Blast(); len(r.Radii) == 0 {
					b.Fatal("no radii")
				}
			}
		})
	}
	e := New(chain(b, 10000))
	b.Run("a chain of 10k", func(b *testing.B) {
		for b.Loop() {
			e.Blast()
		}
	})
}
