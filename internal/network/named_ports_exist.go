package network

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// owners are how many pods a rule is about that may receive, and which of them name a port.
type owners struct {
	total int
	named map[reach.NamedPort]bool
}

// ownersOf are the pods that resolve the names of a rule's ports: for what is received those
// that the policy is about, for what is sent its peers.
func ownersOf(w *model.World, p *reach.Policy, d reach.Direction, r *reach.Rule) owners {
	o := owners{named: map[reach.NamedPort]bool{}}
	add := func(pods []*reach.Pod, s labels.Selector) {
		for _, pod := range pods {
			if s.Matches(labels.Set(pod.Labels)) {
				o.total++
				for name := range pod.Named {
					o.named[name] = true
				}
			}
		}
	}
	if d == reach.Ingress {
		add(podsIn.Of(w)[p.Namespace], p.Subject)
		return o
	}
	for _, peer := range r.Peers {
		if peer.Pods == nil {
			continue
		}
		if peer.Namespaces == nil {
			add(podsIn.Of(w)[p.Namespace], peer.Pods)
			continue
		}
		for _, ns := range clusters.Of(w).Namespaces {
			if peer.Namespaces.Matches(labels.Set(ns.Labels)) {
				add(podsIn.Of(w)[ns.Name], peer.Pods)
			}
		}
	}
	return o
}

// allSeen reports whether the pods that resolve a rule's names are all known.
func allSeen(w *model.World, p *reach.Policy, d reach.Direction, r *reach.Rule) bool {
	closed := func(ns string) bool { return w.Closed(ns) && !reach.UnknownMakers.Of(w)[ns] }
	if d == reach.Ingress {
		return closed(p.Namespace)
	}
	for _, peer := range r.Peers {
		if peer.Block.IsValid() || peer.Pods != nil && peer.Namespaces == nil && !closed(p.Namespace) {
			return false
		}
		if peer.Namespaces != nil && !w.Closed("") {
			return false
		}
	}
	return !r.AllPeers
}

func judgeNamedPorts(w *model.World, p *reach.Policy) check.Judgement {
	asked := false
	var out []check.Violation
	for d := range p.Rules {
		for _, r := range p.Rules[d] {
			var known *owners
			for i, port := range r.Ports {
				if port.Name == "" {
					continue
				}
				asked = true
				if !allSeen(w, p, reach.Direction(d), r) {
					continue
				}
				if known == nil {
					o := ownersOf(w, p, reach.Direction(d), r)
					known = &o
				}
				if known.total > 0 && !known.named[reach.NamedPort{Protocol: port.Protocol, Name: port.Name}] {
					out = append(out, check.Violation{Path: rulePath(reach.Direction(d), r.Index, model.Key("ports"), model.Index(i), model.Key("port")),
						Detail: fmt.Sprintf("it is about %s, and none has a port %s of %s", count(known.total, "pod", "pods"), port.Name, port.Protocol)})
				}
			}
		}
	}
	if !asked {
		return check.Inapplicable(p.Object)
	}
	return check.Failed(p.Object, out...)
}

var namedPortsExist = check.Control{
	Rule: finding.Rule{
		Name: "named-ports-exist", Title: "Ports that network policies name exist", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "A name of a port stands for what each pod that receives gives it to, by name and protocol. Where none has the name, " +
			"nothing is allowed. Names of the ports of a Service do not count.",
		Remedy:    "Give the container port the name, or write the number that the pods listen at.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Decide which port was meant.",
	Needs:   networkPolicySelectsPods.Needs,
	World:   eachPolicy(judgeNamedPorts),
	Examples: check.Examples{
		Bad: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
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
      ports:
        - {name: http, containerPort: 8080}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - ports:
        - port: web # want
        - port: http
        - protocol: UDP
          port: http # want
`},
		Good: []string{`apiVersion: v1
kind: Namespace
metadata:
  name: shop
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
      ports:
        - {name: http, containerPort: 8080}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  ingress:
    - ports:
        - port: http
  egress:
    # Who is in other namespaces is not known.
    - to:
        - namespaceSelector: {matchLabels: {team: bank}}
      ports:
        - port: ledger
`},
	},
}
