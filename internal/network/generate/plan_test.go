package generate

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// generated makes policies for wants of namespace shop.
func generated(t *testing.T, text string, wants ...*Want) (*Set, string) {
	t.Helper()
	w, c := world(t, text)
	set, err := Generate(&Request{Cluster: c, World: w, Namespaces: []string{"shop"}, Wants: wants})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteYAML(&out, set.Policies); err != nil {
		t.Fatal(err)
	}
	return set, out.String()
}

func wantOf(from, to, why string, port uint16) *Want {
	end := func(name string) End { return End{Workload, "shop", name} }
	return &Want{From: end(from), To: end(to), Ports: reach.OnePort(reach.TCP, port), Why: Evidence{Text: why}}
}

const running = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, version: "2"}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true, uid: a}]}
spec: {selector: {matchLabels: {app: web, pod-template-hash: x1}}, template: {metadata: {labels: {app: web, pod-template-hash: x1}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-a, namespace: shop, labels: {app: web, version: "1", pod-template-hash: x1}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true, uid: b}]}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-b, namespace: shop, labels: {app: web, version: "2", pod-template-hash: x2}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true, uid: b}]}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 9090}]}]}
status: {phase: Running, podIP: 10.0.0.2}
`

// TestSelectors: pods are chosen by labels that stay, and told from others by as few more
// as it takes.
func TestSelectors(t *testing.T) {
	canary := strings.ReplaceAll(app("canary", ""), "labels: {app: canary}", "labels: {app: web, track: canary}")
	for _, c := range []struct {
		name, text, subject, want string
	}{
		{"what the workload selects by", running, "Deployment/web", "  podSelector:\n    matchLabels:\n      app: web\n"},
		{"another that has more labels", app("web", "") + canary, "Deployment/web", "  podSelector:\n    matchExpressions:\n    - key: track\n      operator: DoesNotExist\n    matchLabels:\n      app: web\n"},
		{"the one with more", app("web", "") + canary, "Deployment/canary", "  podSelector:\n    matchLabels:\n      app: web\n      track: canary\n"},
		{"a job without a selector", "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: web, namespace: shop}\nspec: {template: {metadata: {labels: {app: web, helm.sh/chart: x-1.2}}, spec: {containers: [{name: c, image: i}]}}}\n", "Job/web",
			"  podSelector:\n    matchLabels:\n      app: web\n"},
	} {
		set, text := generated(t, c.text, wantOf(c.subject, c.subject, "it", 80))
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: no\n%s in\n%s", c.name, c.want, text)
		}
		if proof, err := set.Prove(); err != nil || proof.Failed() {
			t.Errorf("%s: %+v, %v", c.name, proof, err)
		}
	}
}

// TestTwins: workloads that no label tells apart are named, and what one gets from the
// other is no success.
func TestTwins(t *testing.T) {
	twin := strings.ReplaceAll(app("twin", ""), "app: twin", "app: web")
	set, text := generated(t, app("web", "")+twin+app("db", ""), wantOf("Deployment/web", "Deployment/db", "it", 80))
	proof, err := set.Prove()
	if err != nil || !proof.Failed() || len(proof.Excess) != 1 || proof.Excess[0].From != "shop/Deployment/twin" {
		t.Errorf("%+v, %v", proof, err)
	}
	if !strings.Contains(text, "# No label that stays tells it from shop/Deployment/twin.") {
		t.Error(text)
	}
}

// TestNames: a name of a port is written only where pods differ in its number.
func TestNames(t *testing.T) {
	want := wantOf("Deployment/web", "Deployment/web", "it", 80)
	want.Ports, want.Names = reach.Ports{}, []reach.NamedPort{{Protocol: reach.TCP, Name: "http"}}
	set, text := generated(t, running, want)
	if proof, err := set.Prove(); err != nil || proof.Failed() || strings.Count(text, "port: http") != 2 {
		t.Errorf("%+v, %v\n%s", proof, err, text)
	}
	set, text = generated(t, strings.ReplaceAll(running, "9090", "8080"), want)
	if proof, err := set.Prove(); err != nil || proof.Failed() || strings.Count(text, "port: 8080") != 2 || strings.Contains(text, "http") {
		t.Errorf("%+v, %v\n%s", proof, err, text)
	}
}

// TestOthers: what policies of others let through needs no rule, and those of an earlier
// run are replaced.
func TestOthers(t *testing.T) {
	both := app("web", "") + app("db", "")
	theirs := "\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME, namespace: shop}\nspec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}\n"
	set, text := generated(t, both+strings.Replace(theirs, "NAME", "db", 1), wantOf("Deployment/web", "Deployment/db", "it", 80))
	if strings.Contains(text, "About shop/Deployment/db") || !strings.Contains(text, "About shop/Deployment/web") {
		t.Error(text)
	}
	proof, err := set.Prove()
	if err != nil || proof.Failed() || proof.Left != 0 {
		t.Errorf("%+v, %v", proof, err)
	}
	ours := strings.Replace(theirs, "NAME", "old, labels: {"+Marker+": "+MarkerValue+"}", 1)
	set, text = generated(t, both+ours, wantOf("Deployment/web", "Deployment/db", "it", 80))
	if !strings.Contains(text, "About shop/Deployment/db") || !slices.Equal(set.Stale, []string{"shop/old"}) {
		t.Errorf("%v\n%s", set.Stale, text)
	}
}

// TestComments: what somebody else wrote stays a comment.
func TestComments(t *testing.T) {
	_, text := generated(t, app("web", "")+app("db", ""), wantOf("Deployment/web", "Deployment/db", "env A\n---\nkind: Evil\r\n\u2028\u2029\x85\x00\x1b[31m"+strings.Repeat("x", 1000), 80))
	if policies, err := ReadYAML([]byte(text)); err != nil || len(policies) != 3 || strings.ContainsAny(text, "\r\x00\x1b\u2028\u2029\u0085") || strings.Contains(text, "\nkind: Evil") {
		t.Errorf("%v\n%s", err, text)
	}
}
