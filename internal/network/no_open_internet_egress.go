package network

import (
	"github.com/RoaringBitmap/roaring/v2"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// internetExits are the classes that may send to every public address of a family, by some
// port other than that of DNS.
func internetExits(w *model.World) []exit {
	e, s := engines.Of(w), outside.Of(w)
	four, six := families(clusters.Of(w))
	public := reach.PublicAddresses()
	beyondDNS := func(p reach.Ports) bool { return !p.Minus(dnsPorts).Empty() }
	exits := map[bool]*exit{}
	for _, end := range s.ends {
		r, _ := e.RangeOf(end)
		is4 := r.From().Is4()
		if !public.OverlapsRange(r) || is4 && !four || !is4 && !six {
			continue
		}
		x := exits[is4]
		if x == nil {
			x = &exit{"the whole internet", roaring.New(), []reach.End{end}}
			x.classes.Or(s.by(end, beyondDNS))
			exits[is4] = x
			continue
		}
		if !x.classes.IsEmpty() {
			x.classes.And(s.by(end, beyondDNS))
		}
	}
	var out []exit
	for _, is4 := range []bool{true, false} {
		if exits[is4] != nil {
			out = append(out, *exits[is4])
		}
	}
	return out
}

// dnsPorts are those that names are asked for by.
var dnsPorts = reach.OnePort(reach.UDP, 53).Union(reach.OnePort(reach.TCP, 53))

func judgeInternetEgress(in *check.Input) []check.Judgement {
	return judgeExits(in, internetExits(in.World), reaches("%s"))
}

var noOpenInternetEgress = check.Control{
	Rule: finding.Rule{
		Name: "no-open-internet-egress", Title: "Pods do not reach the whole internet", Severity: finding.Low, Layer: finding.LayerNetwork, Since: "v0.1",
		Why: "Whoever gets into a pod that may send anywhere fetches tools, reports to a machine of their own, and takes the data there.",
		Remedy: "Allow the blocks of addresses that the pods call, or send what goes out through a proxy or an egress gateway, which knows names. " +
			"DNS alone does not count.",
		FixSafety: finding.FixManual,
	},
	FixNote: "Find out what the pods call outside; the rest is cut off.",
	Needs:   reachNeeds,
	World:   judgeInternetEgress,
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
        - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.0.0/16]}
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
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
    - to:
        - ipBlock: {cidr: 93.184.215.0/24}
        - ipBlock: {cidr: 10.0.0.0/8}
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
