package network

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// doors are the ways into a workload from the internet. Ports of nodes are among them where a
// node has a public address; for the rest there are no-node-port and no-host-ports.
type doors struct {
	pod *reach.Pod
	// open are those by which policies let traffic in, unknown why it is not known.
	open    []string
	unknown string
}

// pointsOf are the ways into a world.
var pointsOf = model.NewFact(func(w *model.World) *entry.Points { return entry.New(w, engines.Of(w)) })

// opaque are objects that open ways in and are not read, by namespace.
var opaque = model.NewFact(func(w *model.World) map[string]*model.Object {
	out := map[string]*model.Object{}
	for _, o := range pointsOf.Of(w).NotUnderstood {
		out[o.Namespace] = o
	}
	return out
})

var doorsOf = model.NewFact(func(w *model.World) map[string]*doors {
	out := map[string]*doors{}
	points := pointsOf.Of(w)
	for i := range points.Entries {
		e := &points.Entries[i]
		if e.Exposure != entry.Internet || e.Type == entry.HostNetwork {
			continue // policies are not about the network of nodes
		}
		for _, b := range e.Backends {
			if len(b.Pods) == 0 || b.Verdict == entry.Denied || someOnly(b.Admitted) {
				continue
			}
			d := out[b.Workload()]
			if d == nil {
				d = &doors{pod: b.Pods[0]}
				out[b.Workload()] = d
			}
			if b.Verdict == entry.Unknown {
				d.unknown = fmt.Sprintf("whether %s lets the internet in is not known: %s", e, strings.Join(b.Unknown, "; "))
				continue
			}
			if way := fmt.Sprintf("%s (%s)", e, e.Type); !slices.Contains(d.open, way) {
				d.open = append(d.open, way)
			}
		}
	}
	return out
})

// someOnly reports whether policies let in named blocks, which are less than half of all
// addresses of a family.
func someOnly(admitted []netip.Prefix) bool {
	four, six := 0.0, 0.0
	for _, p := range admitted {
		if p.Addr().Is4() {
			four += math.Exp2(float64(-p.Bits()))
		} else {
			six += math.Exp2(float64(-p.Bits()))
		}
	}
	return len(admitted) > 0 && four < 0.5 && six < 0.5
}

func judgeExposed(in *check.Input) []check.Judgement {
	w := in.World
	all := doorsOf.Of(w)
	var out []check.Judgement
	c := clusters.Of(w)
	for _, workload := range engines.Of(w).Workloads() {
		pod := c.Pods[workload.Pods[0]]
		o := makerOf(w, pod)
		switch d := all[workload.String()]; {
		case pod.HostNetwork, d != nil && !w.Closed(pod.Namespace), d != nil && len(d.open) == 0 && !w.Closed(""):
			out = append(out, check.Inapplicable(o)) // policies, and the pods of controllers, may be in other files
		case d == nil && opaque.Of(w)[pod.Namespace] != nil:
			way := opaque.Of(w)[pod.Namespace]
			out = append(out, check.Unobserved(o, "whether %s leads to it is not known: its kind is not read", way.Ref()))
		case d == nil:
			out = append(out, check.Passed(o))
		case len(d.open) > 0:
			out = append(out, check.Failed(o, check.Violation{Path: model.Path(nil).Keys("metadata", "name"),
				Detail: "the internet reaches it by " + fewOf(d.open)}))
		default:
			out = append(out, check.Unobserved(o, "%s", d.unknown))
		}
	}
	return out
}

var noExposedWorkloads = check.Control{
	Rule: finding.Rule{
		Name: "no-exposed-workloads", Title: "Workloads are not reached from the internet", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "What is reached from the internet is tried by everybody, at every hour. Each such workload is a way in, and there should be few that are not meant: " +
			"a Service of type LoadBalancer, an Ingress, a Gateway or a port of a node with a public address leads to it, and network policies let the traffic in.",
		Remedy: "Waive it for what is meant to be public. For the rest, make the load balancer an internal one, name the blocks that may use it in " +
			"loadBalancerSourceRanges, or limit the ingress of the pods by a NetworkPolicy.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which workloads are public.",
	Needs:   slices.Concat(workloadKinds, defaultDenyNeeds, exposingKinds),
	World:   judgeExposed,
	Examples: check.Examples{
		Bad: []string{exposedExample("# want", "", "")},
		Good: []string{exposedExample("", "  annotations:\n    networking.gke.io/load-balancer-type: Internal\n", ""),
			exposedExample("", "", "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  podSelector:\n    matchLabels: {app: web}\n"+
				"  ingress:\n    - from:\n        - podSelector: {matchLabels: {app: front}}\n")},
	},
}

// exposingKinds are those of Kubernetes and its Gateway API that lead to pods from outside.
var exposingKinds = []model.GroupKind{{Kind: "Service"}, {Group: "networking.k8s.io", Kind: "Ingress"}, {Group: "networking.k8s.io", Kind: "IngressClass"}, {Kind: "Node"},
	gatewayKind, {Group: gatewayGroup, Kind: "GatewayClass"}, {Group: gatewayGroup, Kind: "HTTPRoute"}, {Group: gatewayGroup, Kind: "GRPCRoute"},
	{Group: gatewayGroup, Kind: "TLSRoute"}, {Group: gatewayGroup, Kind: "TCPRoute"}, {Group: gatewayGroup, Kind: "UDPRoute"}, {Group: gatewayGroup, Kind: "ReferenceGrant"}}

// exposedExample is a pod behind a load balancer.
func exposedExample(want, annotations, policy string) string {
	pod := webPod
	if want != "" {
		pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web " + want + webPod[len("apiVersion: v1\nkind: Pod\nmetadata:\n  name: web"):]
	}
	return "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n---\n" + pod + "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n" + annotations +
		"spec:\n  type: LoadBalancer\n  externalTrafficPolicy: Local\n  selector: {app: web}\n  ports:\n    - {port: 443, targetPort: 8443}\n" + policy
}
