package reach

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// FuzzCluster makes clusters of whatever is written, and asks what can be asked. The engine
// and the explanations have to agree.
func FuzzCluster(f *testing.F) {
	f.Add(pair + seen + policyOfDB("{ipBlock: {cidr: '::ffff:10.0.0.0/104', except: [010.1.0.0/16]}}") + policyOfWeb("{namespaceSelector: {}, podSelector: {}}"))
	f.Add(pair + tierOfWeb("t", "{action: Accept, to: [{}]}, {action: Deny, to: [{nodes: {}}, {networks: ['::/80', 0.0.0.0/0]}]}"))
	f.Add("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n, hostNetwork: true, containers: [{ports: [{name: a, containerPort: 70000}, 7]}]}, status: {podIPs: [{ip: x}, 3], podIP: '::ffff:1.2.3.4'}}\n---\n" +
		"{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{address: 10.0.0.1}, {}]}}\n---\n" +
		"{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c}, spec: {endpointSelector: {matchLabels: 3}}, specs: [4]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
		if len(file.Objects) > 40 {
			return
		}
		world := model.NewWorld(file.Objects, model.WorldOptions{})
		for _, profile := range Profiles {
			c := NewCluster(world, profile)
			e := New(c)
			asked := 0
			e.Connections(func(to End, from []Cell) {
				for _, cell := range from {
					if cell.Ports.Empty() || cell.Peers.IsEmpty() {
						t.Errorf("an empty cell for %v", to)
					}
				}
			})
			for i, from := range c.Pods {
				for j, to := range c.Pods {
					if asked++; asked > 200 {
						return
					}
					a, b := Side{Pod: from}, Side{Pod: to}
					allowed := e.Allowed(e.PodEnd(i), e.PodEnd(j))
					explained := c.Explain(a, b, TCP, 80)
					if got := allowed.Contains(TCP, 80); got != (explained.Egress.Allowed && explained.Ingress.Allowed) {
						t.Errorf("%v to %v: %v, explained as %+v", from, to, got, explained)
					}
					e.Unknown(e.PodEnd(i), e.PodEnd(j))
					c.Doubts(a, b)
					c.Disagree(a, b, UDP, 53)
				}
			}
			if profile.Name == Upstream.Name {
				e.Map()
			}
		}
	})
}
