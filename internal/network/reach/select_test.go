package reach

import (
	"fmt"
	"math/rand/v2"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestSelect compares what selectors choose of many classes with what they match one by
// one: few classes are looked at, for many the lists of each label are joined.
func TestSelect(t *testing.T) {
	d := &dealer{Rand: rand.New(rand.NewPCG(5, 6))}
	c := &Cluster{Namespaces: map[string]*Namespace{}, Profile: Upstream}
	for i := range 900 {
		ns := fmt.Sprint("ns-", i/300)
		c.Namespaces[ns] = &Namespace{ns, map[string]string{"team": fmt.Sprint(i / 300)}, true}
		p := &Pod{Namespace: ns, Name: fmt.Sprint(i), Labels: d.labels("app", "tier")}
		p.Labels["own"] = fmt.Sprint(i % 290) // a class for each pod
		p.HostNetwork = i%9 == 0
		c.Pods = append(c.Pods, p)
	}
	everything := &Policy{Namespace: "ns-0", Subject: labels.Everything(), Isolates: [directions]bool{true, true}}
	own := "own in ("
	for i := range 290 {
		own += fmt.Sprint(i, ",")
	}
	for _, text := range []string{"app in (x,y,z,q,)", "tier in (x,y,z,q,)", own + ")", "app", "tier"} {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		everything.Rules[Ingress] = append(everything.Rules[Ingress], &Rule{Peers: []Peer{{Pods: s}}})
	}
	c.Policies = []*Policy{everything}
	e := New(c)
	b := newScope(e, e.everybody)
	if len(b.numbers) < 800 {
		t.Fatalf("%d classes", len(b.numbers))
	}
	for range 400 {
		chosen, of := d.pods(), d.selector("team", "none")
		pods, err := metav1.LabelSelectorAsSelector(&chosen)
		if err != nil {
			t.Fatal(err)
		}
		var namespaces labels.Selector
		if d.chance(70) {
			if namespaces, err = metav1.LabelSelectorAsSelector(&of); err != nil {
				t.Fatal(err)
			}
		}
		hosts := d.chance(30)
		got := b.pods("ns-1", namespaces, pods, hosts)
		for i, p := range c.Pods {
			in := p.Namespace == "ns-1"
			if namespaces != nil {
				in = namespaces.Matches(labels.Set(c.Namespaces[p.Namespace].Labels))
			}
			want := in && pods.Matches(labels.Set(p.Labels)) && (hosts || !p.HostNetwork)
			if got.Contains(uint32(b.classOf[i])) != want {
				t.Fatalf("%q of %v, hosts %v: %v is %v", pods, namespaces, hosts, p.Labels, !want)
			}
		}
	}
}
