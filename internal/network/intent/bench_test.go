package intent

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// BenchmarkProve proves 50 assertions of a cluster of 9,750 pods and 3,000 policies, of
// which an engine is built.
func BenchmarkProve(b *testing.B) {
	var text strings.Builder
	for i := range 750 {
		ns := fmt.Sprintf("ns-%03d", i)
		fmt.Fprintf(&text, "{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {team: t%d}}}\n---\n", ns, i%10)
		for j := range 13 {
			fmt.Fprintf(&text, "{apiVersion: v1, kind: Pod, metadata: {name: app-%d, namespace: %s, labels: {app: app-%d, tier: %s}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: %d}]}]}, status: {podIP: 10.%d.%d.%d}}\n---\n",
				j, ns, j, []string{"front", "back", "db"}[j%3], 8080+j%3, i>>8, i&255, j+1)
		}
		for n, spec := range []string{
			"podSelector: {}, policyTypes: [Ingress, Egress]",
			"podSelector: {matchLabels: {tier: back}}, ingress: [{from: [{podSelector: {matchLabels: {tier: front}}}], ports: [{port: http}]}]",
			fmt.Sprintf("podSelector: {matchLabels: {tier: front}}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: t%d}}}]}], egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.%d.0/24]}}]}]", i%10, i%100),
			"podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ns-000}}}], ports: [{port: 53}, {port: 53, protocol: UDP}]}]",
		} {
			fmt.Fprintf(&text, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p%d, namespace: %s}, spec: {%s}}\n---\n", n, ns, spec)
		}
	}
	file := manifest.NewDecoder().Decode(model.Source{File: "bench.yaml"}, []byte(text.String()))
	if len(file.Problems) > 0 {
		b.Fatal(file.Problems)
	}
	w := model.NewWorld(file.Objects, model.WorldOptions{})
	e := reach.New(reach.NewCluster(w, reach.Upstream))
	for _, future := range []bool{false, true} {
		assertions := benchAssertions(b, future)
		b.Run(fmt.Sprint("future=", future), func(b *testing.B) {
			for b.Loop() {
				Prove(e, w, assertions, nil)
			}
		})
	}
}

func benchAssertions(b *testing.B, future bool) []*Assertion {
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: bulkhead.dev/v1\nkind: NetworkCheck\nspec:\n  future: %t\n  assertions:\n", future)
	for i := range 10 {
		ns := fmt.Sprintf("ns-%03d", i*70)
		fmt.Fprintf(&text, "  - {namespace: %s, only: {from: tier=front, to: tier=back, ports: [8080-8082]}}\n", ns)
		fmt.Fprintf(&text, "  - {namespace: %s, deny: {from: internet, to: tier=db}}\n", ns)
		fmt.Fprintf(&text, "  - {namespace: %s, internetOnlyBy: [tier=front]}\n", ns)
		fmt.Fprintf(&text, "  - {isolated: {namespace: %s, except: [tier=front]}}\n", ns)
		fmt.Fprintf(&text, "  - {deny: {from: tier=db, to: ns/%s, ports: [80]}}\n", ns)
	}
	file := manifest.NewDecoder().Decode(model.Source{File: "check.yaml"}, []byte(text.String()))
	assertions, err := Parse(file.Objects[0], "")
	if err != nil {
		b.Fatal(err)
	}
	return assertions
}
