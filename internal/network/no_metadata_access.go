package network

import (
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// metadataAddresses are where clouds give the credentials of a machine to who asks, by the
// beginning of providerID: docs.aws.amazon.com "Use the Instance Metadata Service",
// cloud.google.com "View and query VM metadata", learn.microsoft.com "What is IP address
// 168.63.129.16", alibabacloud.com "View instance metadata". Others have the first one.
var metadataAddresses = map[string][]string{
	"":         {"169.254.169.254", "fd00:ec2::254"},
	"aws":      {"169.254.169.254", "fd00:ec2::254"},
	"gce":      {"169.254.169.254", "fd20:ce::254"},
	"azure":    {"169.254.169.254", "168.63.129.16"},
	"alicloud": {"100.100.100.200"},
}

// withoutMetadata are providers of nodes that are no cloud.
var withoutMetadata = []string{"kind", "k3s", "k0s", "minikube", "metal3", "vsphere", "kubevirt", "docker"}

// provider is the beginning of the providerID of nodes: aws, gce. It is empty where no node
// says so, and known is false where no node is seen.
func provider(w *model.World) (name string, known bool) {
	for _, o := range w.Kind(model.GroupKind{Kind: "Node"}) {
		known = true
		if scheme, _, ok := strings.Cut(o.Text("spec", "providerID"), "://"); ok {
			return scheme, true
		}
	}
	return "", known
}

func judgeMetadata(in *check.Input) []check.Judgement {
	w := in.World
	cloud, known := provider(w)
	if slices.Contains(withoutMetadata, cloud) || known && cloud == "" && w.Live {
		return eachNamespace(func(*model.World, string) check.Judgement { return check.Inapplicable(nil) })(in)
	}
	texts := metadataAddresses[cloud]
	if texts == nil {
		texts = []string{"169.254.169.254"}
	}
	four, six := families(clusters.Of(w))
	var addresses []netip.Addr
	for _, text := range texts {
		if a := netip.MustParseAddr(text); a.Is4() && four || a.Is6() && six {
			addresses = append(addresses, a)
		}
	}
	return judgeExits(in, addressExits(w, addresses, reach.TCP, 80), reaches("%s"))
}

// families says which addresses pods have, both where that is not known.
func families(c *reach.Cluster) (four, six bool) {
	for _, p := range c.Pods {
		for _, a := range p.Addresses {
			four, six = four || a.Is4(), six || a.Is6()
		}
	}
	if !four && !six {
		return true, true
	}
	return four, six
}

var noMetadataAccess = check.Control{
	Rule: finding.Rule{
		Name: "no-metadata-access", Title: "Pods do not reach the cloud's metadata service", Severity: finding.Medium, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "The metadata service gives the node's credentials to whoever asks from the node, its pods included. " +
			"With them an attacker in any container acts as the node, in the cluster and in the cloud.",
		Remedy: "Leave 169.254.169.254/32 out of what pods may send to, by except in an ipBlock, or deny it for all namespaces by a ClusterNetworkPolicy of tier Admin. " +
			"Allow it to the few pods that need it: with GKE's workload identity, the pods that use it. " +
			"On AWS require IMDSv2 with a hop limit of 1 as well.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Find out which pods get their credentials there; they lose them once it is closed.",
	Needs:   reachNeeds,
	World:   judgeMetadata,
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
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
        - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  containers:
    - name: web
      image: example.com/web:1
`},
		Good: []string{`apiVersion: v1
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
        - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
        - ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128"]}
    # By another port than the service's.
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  containers:
    - name: web
      image: example.com/web:1
`, `apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata:
  name: no-metadata
spec:
  tier: Admin
  priority: 10
  subject:
    namespaces: {}
  egress:
    - action: Deny
      to:
        - networks: [169.254.169.254/32, "fd00:ec2::254/128"]
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
