package reach

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// peerCluster is the shape that a peer was timed on: 100 namespaces, deployments of each,
// and four policies a namespace.
func peerCluster(namespaces, deployments int) *Cluster {
	c := &Cluster{Namespaces: map[string]*Namespace{}, Profile: Upstream}
	for i := range namespaces {
		ns := fmt.Sprintf("ns-%03d", i)
		c.Namespaces[ns] = &Namespace{ns, map[string]string{"kubernetes.io/metadata.name": ns, "team": fmt.Sprint("t", i%10)}, true}
		for j := range deployments {
			c.Pods = append(c.Pods, &Pod{Namespace: ns, Kind: "Deployment", Name: fmt.Sprintf("app-%d", j),
				Labels: map[string]string{"app": fmt.Sprintf("app-%d", j), "tier": []string{"front", "back", "db"}[j%3]}, Named: map[NamedPort]uint16{{TCP, "http"}: 8080}})
		}
		port := intstr.FromInt32(8080)
		dns, udp := intstr.FromInt32(53), networkingv1.NetworkPolicyPort{}
		_ = udp
		policies := []networkingv1.NetworkPolicySpec{
			{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}},
			{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"tier": "back"}}, Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "front"}}}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}},
			{PolicyTypes: []networkingv1.PolicyType{"Egress"}, Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ns-000"}}}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &dns}}}}},
			{PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"}, PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"tier": "front"}},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint("t", i%10)}}}}}},
				Egress:  []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}}},
		}
		for n, spec := range policies {
			p, _, err := newPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("p", n)}, Spec: spec})
			if err != nil {
				panic(err)
			}
			c.Policies = append(c.Policies, p)
		}
	}
	return c
}

func TestShape(t *testing.T) {
	for _, n := range [][2]int{{100, 10}, {750, 13}, {25000, 4}} {
		c := peerCluster(n[0], n[1])
		at := time.Now()
		e := New(c)
		built := time.Since(at)
		at = time.Now()
		cells, ends := 0, 0
		e.Connections(func(to End, from []Cell) { ends++; cells += len(from) })
		mapped := time.Since(at)
		at = time.Now()
		r := rand.New(rand.NewPCG(1, 2))
		const asks = 10000
		for range asks {
			e.Allowed(e.PodEnd(r.IntN(len(c.Pods))), e.PodEnd(r.IntN(len(c.Pods))))
		}
		t.Logf("%d pods, %d policies: %d classes, %d groups, built in %v, mapped in %v (%d ends, %d cells), one question %v", len(c.Pods), len(c.Policies), len(e.classes), len(e.groups[0])+len(e.groups[1]), built, mapped, ends, cells, time.Since(at)/asks)
	}
}
