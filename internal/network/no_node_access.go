package network

import (
	"fmt"
	"net/netip"
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// kubeletPort is where each node's kubelet answers, and runs commands in pods for who may.
const kubeletPort = 10250

func judgeNodeAccess(in *check.Input) []check.Judgement {
	w := in.World
	c := clusters.Of(w)
	var addresses []netip.Addr
	for _, n := range c.Nodes {
		addresses = append(addresses, n.Addresses...)
	}
	if len(addresses) == 0 {
		return eachNamespace(func(*model.World, string) check.Judgement { return check.Inapplicable(nil) })(in)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return judgeExits(in, addressExits(w, addresses, reach.TCP, kubeletPort), func(workloads, to string) string {
		return reaches("%s")(workloads, fmt.Sprintf("the kubelet of nodes: %s", to))
	})
}

var noNodeAccess = check.Control{
	Rule: finding.Rule{
		Name: "no-node-access", Title: "Pods do not reach the kubelets of nodes", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A kubelet shows the pods of its node, and runs commands in them for whoever it takes for authorized. " +
			"A token that allows that, or a kubelet that asks for none, is worth something only to who reaches port 10250.",
		Remedy: "Leave the addresses of nodes out of what pods may send to: by except in an ipBlock, or by a rule of a ClusterNetworkPolicy of tier Admin with nodes. " +
			"Allow it to what collects metrics of kubelets.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which pods need the kubelets: metrics-server, Prometheus and agents of monitoring do.",
	Needs:   reachNeeds,
	World:   judgeNodeAccess,
	Examples: check.Examples{
		Bad: []string{nodeExample + `---
apiVersion: v1
kind: Namespace
metadata:
  name: shop # want
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock: {cidr: 192.168.0.0/16}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
spec:
  containers:
    - name: web
      image: example.com/web:1
`},
		Good: []string{nodeExample + `---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock: {cidr: 192.168.0.0/16, except: [192.168.7.0/24]}
    - to:
        - ipBlock: {cidr: 192.168.7.0/24}
      ports:
        - {port: 443}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
spec:
  containers:
    - name: web
      image: example.com/web:1
`, `# Which nodes there are is not known.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
spec:
  containers:
    - name: web
      image: example.com/web:1
`},
	},
}

const nodeExample = `apiVersion: v1
kind: Node
metadata:
  name: node-1
status:
  addresses:
    - {type: InternalIP, address: 192.168.7.1}
`
