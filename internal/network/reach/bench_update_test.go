package reach

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
)

// mix is how many of 100 changes are of each kind.
var mix = []struct {
	name  string
	parts int
	make  func(*mixer) (asked int)
}{
	{"a pod comes, as others are", 22, (*mixer).addReplica},
	{"a pod comes, with labels of its own", 12, (*mixer).addOther},
	{"a pod goes", 26, (*mixer).removePod},
	{"a pod's labels change", 12, (*mixer).relabelPod},
	{"a policy comes", 9, (*mixer).addPolicy},
	{"a policy changes", 6, (*mixer).changePolicy},
	{"a policy goes", 8, (*mixer).removePolicy},
	{"a namespace's labels change", 3, (*mixer).relabelNamespace},
	{"a policy comes with a selector key that none had", 2, (*mixer).addKey},
}

// mixer makes changes of a cluster, and says which pod is touched.
type mixer struct {
	*rand.Rand
	c       *Cluster
	shape   shape
	changes int
}

func (m *mixer) pods() []*Pod { return slices.Clone(m.c.Pods) }

// insert puts a pod where its namespace is.
func (m *mixer) insert(p *Pod, i int) int {
	m.c.Pods = slices.Insert(m.pods(), i, p)
	return i
}

func (m *mixer) addReplica() int {
	i := m.IntN(len(m.c.Pods))
	p := *m.c.Pods[i]
	return m.insert(&p, i)
}

func (m *mixer) addOther() int {
	i := m.IntN(len(m.c.Pods))
	p := *m.c.Pods[i]
	p.Labels = map[string]string{"app": fmt.Sprint("new-", m.changes), "tier": []string{"front", "back", "db", "none"}[m.IntN(4)]}
	return m.insert(&p, i)
}

func (m *mixer) removePod() int {
	i := m.IntN(len(m.c.Pods))
	m.c.Pods = slices.Delete(m.pods(), i, i+1)
	return min(i, len(m.c.Pods)-1)
}

func (m *mixer) relabelPod() int {
	i := m.IntN(len(m.c.Pods))
	p := *m.c.Pods[i]
	p.Labels = maps.Clone(p.Labels)
	p.Labels["tier"] = []string{"front", "back", "db", "none"}[m.IntN(4)]
	m.c.Pods = m.pods()
	m.c.Pods[i] = &p
	return i
}

// policy makes one for the namespace of a pod: mostly one as others are.
func (m *mixer) policy(pod int) *Policy {
	ns := m.c.Pods[pod].Namespace
	i := m.IntN(m.shape.namespaces)
	specs := m.shape.specs(i, fmt.Sprint("t", m.IntN(10)))
	spec := specs[m.IntN(len(specs))]
	if m.IntN(3) == 0 {
		port := intstr.FromInt32(int32(8000 + m.IntN(90)))
		spec = networkingv1.NetworkPolicySpec{PodSelector: *labelled1("tier", "db"), Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: labelled1("team", fmt.Sprint("t", m.IntN(10))), PodSelector: labelled1("tier", "back")}, {IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("172.20.%d.0/24", m.IntN(250))}}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}}
	}
	p, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("new-", m.changes)}, Spec: spec})
	if err != nil {
		panic(err)
	}
	return p
}

func (m *mixer) addPolicy() int {
	pod := m.IntN(len(m.c.Pods))
	m.c.Policies = append(slices.Clone(m.c.Policies), m.policy(pod))
	return pod
}

func (m *mixer) removePolicy() int {
	i := m.IntN(len(m.c.Policies))
	pod := m.podOf(m.c.Policies[i].Namespace)
	m.c.Policies = slices.Delete(slices.Clone(m.c.Policies), i, i+1)
	return pod
}

func (m *mixer) changePolicy() int {
	i := m.IntN(len(m.c.Policies))
	pod := m.podOf(m.c.Policies[i].Namespace)
	m.c.Policies = slices.Clone(m.c.Policies)
	m.c.Policies[i] = m.policy(pod)
	return pod
}

func (m *mixer) podOf(namespace string) int {
	return max(0, slices.IndexFunc(m.c.Pods, func(p *Pod) bool { return p.Namespace == namespace }))
}

func (m *mixer) relabelNamespace() int {
	pod := m.IntN(len(m.c.Pods))
	ns := *m.c.Namespaces[m.c.Pods[pod].Namespace]
	ns.Labels = maps.Clone(ns.Labels)
	ns.Labels["team"] = fmt.Sprint("t", m.IntN(10))
	m.c.Namespaces = maps.Clone(m.c.Namespaces)
	m.c.Namespaces[ns.Name] = &ns
	return pod
}

// addKey asks for a label that one pod of each namespace has, and none asked for.
func (m *mixer) addKey() int {
	pod := m.IntN(len(m.c.Pods))
	p := m.policy(pod)
	s, err := metav1.LabelSelectorAsSelector(labelled1("app", fmt.Sprintf("app-%d", m.IntN(m.shape.pods))))
	if err != nil {
		panic(err)
	}
	p.Subject = s
	m.c.Policies = append(slices.Clone(m.c.Policies), p)
	return pod
}

// BenchmarkUpdate makes changes of the mix, one by one, and asks each time who reaches a
// pod that is touched, and whom it reaches. It states the time of half of the changes, and
// of 99 of 100; with -v, those of each kind. Run it for 500x: a second is too short to say.
func BenchmarkUpdate(b *testing.B) {
	for _, s := range shapes[:5] {
		b.Run(s.name, func(b *testing.B) {
			m := &mixer{Rand: rand.New(rand.NewPCG(1, 1)), c: s.cluster(b), shape: s}
			e := New(m.c)
			var times []time.Duration
			kinds := map[string][]time.Duration{}
			for b.Loop() {
				b.StopTimer()
				next := *m.c
				m.c = &next
				m.changes++
				at, kind := m.IntN(100), 0
				for at >= mix[kind].parts {
					at -= mix[kind].parts
					kind++
				}
				pod := mix[kind].make(m)
				b.StartTimer()
				start := time.Now()
				e = e.Update(m.c)
				e.Reaching(e.PodEnd(pod))
				e.Reached(e.PodEnd(pod))
				took := time.Since(start)
				times = append(times, took)
				kinds[mix[kind].name] = append(kinds[mix[kind].name], took)
			}
			quantile := func(times []time.Duration, q float64) float64 {
				slices.Sort(times)
				return times[int(q*float64(len(times)-1))].Seconds() * 1000
			}
			b.ReportMetric(quantile(times, 0.5), "p50-ms")
			b.ReportMetric(quantile(times, 0.99), "p99-ms")
			for _, k := range mix {
				if of := kinds[k.name]; len(of) > 0 && testing.Verbose() {
					b.Logf("%5.2f %6.2f ms, %3d times: %s", quantile(of, 0.5), quantile(of, 0.99), len(of), k.name)
				}
			}
		})
	}
}

// objects are those of a cluster as an API server has them, as far as policies ask.
func (s shape) objects(tb testing.TB, c *Cluster) (out []*model.Object) {
	add := func(content map[string]any) {
		o, ok := model.NewObject(content, nil, model.Source{})
		if !ok {
			tb.Fatal("no object")
		}
		out = append(out, o)
	}
	set := func(labels map[string]string) map[string]any {
		out := map[string]any{}
		for k, v := range labels {
			out[k] = v
		}
		return out
	}
	for _, n := range c.Namespaces {
		add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": n.Name, "labels": set(n.Labels)}})
	}
	for i, p := range c.Pods {
		add(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprint(p.Name, "-", i), "namespace": p.Namespace, "labels": set(p.Labels)}, "spec": map[string]any{}})
	}
	for i := range s.namespaces {
		for n, spec := range s.specs(i, fmt.Sprint("t", i%10)) {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%05d", i), Name: fmt.Sprint("p", n)}, Spec: spec})
			if err != nil {
				tb.Fatal(err)
			}
			content["apiVersion"], content["kind"] = "networking.k8s.io/v1", "NetworkPolicy"
			add(content)
		}
	}
	return out
}

// BenchmarkFeed sends events of pods, of which every third is one whose labels changed, to
// a cluster and its engine, and asks who reaches the pod.
func BenchmarkFeed(b *testing.B) {
	for _, s := range []shape{shapes[1], shapes[4]} {
		b.Run(s.name, func(b *testing.B) {
			objects := s.objects(b, s.cluster(b))
			pods := slices.DeleteFunc(slices.Clone(objects), func(o *model.Object) bool { return o.Kind != "Pod" })
			f := NewFeed(model.NewWorld(objects, model.WorldOptions{Live: true}), Upstream)
			e := New(f.Cluster())
			r := rand.New(rand.NewPCG(1, 1))
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				at := r.IntN(len(pods))
				content := maps.Clone(pods[at].Content)
				meta := maps.Clone(content["metadata"].(map[string]any))
				content["metadata"] = meta
				if r.IntN(3) == 0 {
					meta["labels"] = map[string]any{"app": "new", "tier": []string{"front", "back", "db"}[r.IntN(3)]}
				}
				o, _ := model.NewObject(content, nil, model.Source{})
				pods[at] = o
				b.StartTimer()
				start := time.Now()
				c := f.Apply([]*model.Object{o}, nil)
				e = e.Update(c)
				i, _ := slices.BinarySearchFunc(c.Pods, &Pod{Namespace: o.Namespace, Name: o.Name, Kind: "Pod"}, comparePods)
				e.Reaching(e.PodEnd(i))
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(times[len(times)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(times[len(times)*99/100].Seconds()*1000, "p99-ms")
		})
	}
}
