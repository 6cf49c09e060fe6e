package reach

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
)

// cyclonusVariable is the environment variable that says where the program of
// test/cyclonus is; make test builds it.
const cyclonusVariable = "BULKHEAD_TEST_CYCLONUS"

// What test/cyclonus reads.
type (
	cyclonusCluster struct {
		Policies []networkingv1.NetworkPolicy `json:"policies"`
		Sides    []cyclonusSide               `json:"sides"`
		Asked    []cyclonusTraffic            `json:"asked"`
	}
	cyclonusSide struct {
		Namespace       string            `json:"namespace"`
		NamespaceLabels map[string]string `json:"namespaceLabels"`
		Labels          map[string]string `json:"labels"`
		Address         string            `json:"address"`
	}
	cyclonusTraffic struct {
		From     int             `json:"from"`
		To       int             `json:"to"`
		Port     int32           `json:"port"`
		Name     string          `json:"name"`
		Protocol corev1.Protocol `json:"protocol"`
	}
)

// cyclonus asks the program about clusters.
func cyclonus(t *testing.T, clusters []cyclonusCluster) (out [][]bool) {
	path := os.Getenv(cyclonusVariable)
	if path == "" {
		t.Skipf("%s is not set: make test builds the matcher of cyclonus from test/cyclonus and sets it", cyclonusVariable)
	}
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	for _, c := range clusters {
		if err := encoder.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), path)
	command.Stdin, command.Stderr = &in, os.Stderr
	answers, err := command.Output()
	if err != nil {
		t.Fatalf("running %s: %v", path, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(answers))
	for range clusters {
		var one []bool
		if err := decoder.Decode(&one); err != nil {
			t.Fatalf("reading the answers of %s: %v", path, err)
		}
		out = append(out, one)
	}
	return out
}

// TestCyclonus asks the matcher of cyclonus for a second opinion on random clusters of what
// it models. There, no answer may differ; what makes them differ elsewhere is shown by
// TestCyclonusDiffers.
func TestCyclonus(t *testing.T) {
	var clusters []cyclonusCluster
	var expected [][]bool
	several := 0
	for seed := range uint64(300) {
		d := &dealer{Rand: rand.New(rand.NewPCG(seed, 6)), plain: true}
		d.deal(Upstream)
		e := New(d.cluster())
		all := d.sides(t, e)
		all = all[:min(len(all), 24)]
		c := cyclonusCluster{Policies: d.w.policies}
		var want []bool
		for _, s := range all {
			one := cyclonusSide{Address: s.twin.address.String()}
			if p := s.twin.pod; p != nil {
				one = cyclonusSide{p.Namespace, d.w.namespaces[p.Namespace], p.Labels, p.Status.PodIP}
			}
			c.Sides = append(c.Sides, one)
		}
		for i, from := range all {
			for j, to := range all {
				for _, port := range dealtPorts {
					protocol := pick(d, protocolNames)
					names := slices.DeleteFunc(slices.Clone(dealtNames), func(n string) bool { return !hasPort(to.twin, n, protocol, port) })
					if len(names) > 1 {
						several++ // it takes one name of a port
						continue
					}
					q := cyclonusTraffic{From: i, To: j, Port: port, Protocol: protocol}
					if len(names) == 1 {
						q.Name = names[0]
					}
					c.Asked = append(c.Asked, q)
					p, _ := ParseProtocol(protocol)
					want = append(want, e.Allowed(from.end, to.end).Contains(p, uint16(port)))
				}
			}
		}
		clusters, expected = append(clusters, c), append(expected, want)
	}
	asked, yes := 0, 0
	for i, got := range cyclonus(t, clusters) {
		for n, q := range clusters[i].Asked {
			asked++
			if expected[i][n] {
				yes++
			}
			if got[n] != expected[i][n] {
				t.Fatalf("seed %d: %+v to %+v by %+v: cyclonus says %v, the engine %v", i, clusters[i].Sides[q.From], clusters[i].Sides[q.To], q, got[n], expected[i][n])
			}
		}
	}
	t.Logf("%d clusters, %d answers, %d of them yes; %d left out because a port has several names", len(clusters), asked, yes, several)
}

// TestCyclonusDiffers shows where cyclonus does not say what the API does, and why.
func TestCyclonusDiffers(t *testing.T) {
	allow := func(peer networkingv1.NetworkPolicyPeer, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicy {
		p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}
		p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress"}
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}}
		return p
	}
	everybody := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	web := intstr.FromString("web")
	for _, c := range []struct {
		name   string
		why    string
		policy networkingv1.NetworkPolicy
		want   bool
	}{
		{"empty value", "it takes a label that is not there for an empty one; a selector asks for one that is there",
			allow(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"none": ""}}}), false},
		{"NotIn without the label", "NotIn is about objects without the label as well",
			allow(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "none", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"x"}}}}}), true},
		{"second name", "a connection has one name of a port for it; a pod may give a port several",
			allow(everybody, networkingv1.NetworkPolicyPort{Port: &web}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &dealer{Rand: rand.New(rand.NewPCG(1, 1)), plain: true}
			d.w = twin{profile: Upstream, namespaces: map[string]map[string]string{"a": {corev1.LabelMetadataName: "a"}}}
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "from"}}
			pod.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}, {Name: "web", ContainerPort: 80}}}}
			for i, name := range []string{"from", "to"} {
				pod.Name, pod.Status.PodIP = name, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}).String()
				d.add("v1", "Pod", &pod)
			}
			d.add("networking.k8s.io/v1", "NetworkPolicy", &c.policy)
			e := New(NewCluster(model.NewWorld(d.objects, model.WorldOptions{}), Upstream))
			if got := e.Allowed(e.PodEnd(0), e.PodEnd(1)).Contains(TCP, 80); got != c.want {
				t.Errorf("the engine says %v", got)
			}
			sides := []cyclonusSide{{"a", d.w.namespaces["a"], nil, "10.0.0.1"}, {"a", d.w.namespaces["a"], nil, "10.0.0.2"}}
			answers := cyclonus(t, []cyclonusCluster{{[]networkingv1.NetworkPolicy{c.policy}, sides, []cyclonusTraffic{{0, 1, 80, "http", corev1.ProtocolTCP}}}})
			if answers[0][0] == c.want {
				t.Errorf("cyclonus says the same now, and need not be explained any more: %s", c.why)
			}
		})
	}
}
