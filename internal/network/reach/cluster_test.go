package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestPods says which pods there are in what is written, and by whom.
func TestPods(t *testing.T) {
	const owned = "ownerReferences: [{apiVersion: %s, kind: %s, name: %s, controller: true}]"
	object := func(version, kind, name, owner, spec, status string) string {
		meta := "name: " + name + ", namespace: a"
		if parts := strings.Fields(owner); len(parts) == 3 {
			meta += ", " + fmt.Sprintf(owned, parts[0], parts[1], parts[2])
		}
		return fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {%s}, spec: {%s}, status: {%s}}\n---\n", version, kind, meta, spec, status)
	}
	const template = "template: {spec: {containers: [{name: c}]}}"
	pod := func(name, owner, status string) string {
		return object("v1", "Pod", name, owner, "containers: [{name: c}]", status)
	}
	deployment := object("apps/v1", "Deployment", "web", "", template, "")
	replicaSet := object("apps/v1", "ReplicaSet", "web-1", "apps/v1 Deployment web", template, "")
	for _, c := range []struct {
		name, text string
		live       bool
		want       string
	}{
		{"a template", deployment, false, "Deployment/web (Deployment)"},
		{"a template with its replica set first", replicaSet + deployment, false, "Deployment/web (Deployment)"},
		{"a template with its replica set", deployment + replicaSet, false, "Deployment/web (Deployment)"},
		{"pods of a deployment", deployment + replicaSet + pod("p", "apps/v1 ReplicaSet web-1", "") + pod("q", "apps/v1 ReplicaSet web-1", ""), true, "Deployment/web (Pod) Deployment/web (Pod)"},
		{"a replica set that is not seen", pod("p", "apps/v1 ReplicaSet web-1", ""), true, "ReplicaSet/web-1 (Pod)"},
		{"pods that have ended", deployment + replicaSet + pod("p", "apps/v1 ReplicaSet web-1", "phase: Failed") + pod("q", "", "phase: Succeeded"), true, "Deployment/web (Deployment)"},
		{"static pods of a node", pod("api", "v1 Node n", "") + pod("etcd", "v1 Node n", ""), true, "Pod/api (Pod) Pod/etcd (Pod)"},
		{"scaled to nothing, in a cluster", object("apps/v1", "Deployment", "web", "", "replicas: 0, "+template, ""), true, ""},
		{"scaled to nothing, in files", object("apps/v1", "Deployment", "web", "", "replicas: 0, "+template, ""), false, "Deployment/web (Deployment)"},
		{"a job of a cron job", object("batch/v1", "CronJob", "night", "", "jobTemplate: {spec: {"+template+"}}", "") + object("batch/v1", "Job", "night-1", "batch/v1 CronJob night", template, ""), true, "CronJob/night (CronJob)"},
		{"a job that has ended", object("batch/v1", "Job", "once", "", template, "conditions: [{type: Complete, status: 'True'}]"), true, ""},
		{"owners in a ring", object("apps/v1", "Deployment", "a", "apps/v1 Deployment b", template, "") + object("apps/v1", "Deployment", "b", "apps/v1 Deployment a", template, "") + pod("p", "apps/v1 Deployment a", ""), true, "Deployment/b (Pod)"},
		{"the same twice", deployment + deployment, false, "Deployment/web (Deployment)"},
		{"generated names", strings.Repeat("{apiVersion: v1, kind: Pod, metadata: {generateName: x-, namespace: a}, spec: {containers: []}}\n---\n", 2), false, "Pod/x-* (Pod) Pod/x-* (Pod)"},
	} {
		cluster := clusterOf(t, c.text, model.WorldOptions{Live: c.live}, Upstream)
		var got []string
		for _, p := range cluster.Pods {
			got = append(got, p.Workload()+" ("+p.Object.Kind+")")
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, should be %s", c.name, got, c.want)
		}
	}
}

// TestProblems has a policy that the API server refuses for every rule, and where it says so.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ spec, at, reason string }{
		{"podSelector: {matchLabels: {'a b': x}}", "5:", "name part must consist"},
		{"policyTypes: [Both]", "5:", "neither Ingress nor Egress"},
		{"policyTypes: [Ingress, Egress, Egress]", "5:", "more than two"},
		{"ingress:\n  - from:\n    - {}", "7:", "needs podSelector"},
		{"ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/8}\n      podSelector: {}", "7:", "stands beside"},
		{"ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/40}", "7:", "is no CIDR"},
		{"egress:\n  - to:\n    - ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}", "7:", "no part of"},
		{"egress:\n  - to:\n    - ipBlock: {cidr: 10.0.0.0/8, except: [fd00::/16]}", "7:", "no part of"},
		{"ingress:\n  - ports:\n    - {port: http, endPort: 90}", "7:", "cannot stand beside a named port"},
		{"ingress:\n  - ports:\n    - {endPort: 90}", "7:", "endPort needs port"},
		{"ingress:\n  - ports:\n    - {port: 90, endPort: 80}", "7:", "is not between"},
		{"ingress:\n  - ports:\n    - {port: 70000}", "7:", "is not between"},
		{"ingress:\n  - ports:\n    - {port: ''}", "7:", "no name of a port"},
		{"ingress:\n  - ports:\n    - {port: 80, protocol: ''}", "7:", "protocol is empty"},
		{"ingress:\n  - ports:\n    - {port: 80, protocol: ICMP}", "7:", "unknown protocol"},
		{"ingress: yes", "1:", "cannot restore"},
	} {
		text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: missing}\nspec:\n  " + c.spec + "\n"
		expectProblem(t, text, c.at, c.reason)
	}
}

// TestTierProblems does the same for policies of tiers.
func TestTierProblems(t *testing.T) {
	const ports = "\n    - action: Deny\n      from: [{namespaces: {}}]\n      protocols:\n      - "
	for _, c := range []struct{ version, kind, name, spec, at, reason string }{
		{"v1alpha2", "ClusterNetworkPolicy", "p", "tier: Middle\n  priority: 1\n  subject: {namespaces: {}}", "5:", "neither Admin nor Baseline"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "priority: 1001\n  tier: Admin\n  subject: {namespaces: {}}", "5:", "between 0 and 1000"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {}\n  tier: Admin", "5:", "needs namespaces or pods"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}, pods: {}}\n  tier: Admin", "5:", "stands beside"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:\n  - action: Allow\n    from: [{namespaces: {}}]", "8:", "Accept, Deny or Pass"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:\n  - action: Deny", "8:", "needs a peer"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  egress:\n  - action: Deny\n    to:\n    - {namespaces: {}, networks: [10.0.0.0/8]}", "10:", "more than one of"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  egress:\n  - action: Deny\n    to:\n    - networks: [10.0.0.0]", "10:", "is no CIDR"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  egress:\n  - action: Deny\n    to:\n    - domainNames: [example.com]", "10:", "accept only"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  egress:\n  - action: Accept\n    to:\n    - networks: [10.0.0.0/8]\n    protocols: [{destinationNamedPort: web}]", "10:", "no named ports"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:" + ports + "{}", "11:", "needs tcp"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:" + ports + "{tcp: {destinationPort: {number: 1}}, udp: {destinationPort: {number: 1}}}", "11:", "more than one of tcp"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:" + ports + "{tcp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}", "11:", "both number and range"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:" + ports + "{tcp: {destinationPort: {range: {start: 5, end: 5}}}}", "11:", "write number"},
		{"v1alpha2", "ClusterNetworkPolicy", "p", "subject: {namespaces: {}}\n  tier: Admin\n  ingress:" + ports + "{tcp: {destinationPort: {}}}", "11:", "not between 1 and 65535"},
		{"v1alpha1", "AdminNetworkPolicy", "p", "subject: {namespaces: {}}\n  priority: 1\n  ingress:\n  - action: Accept\n    from: [{namespaces: {}}]", "8:", "Allow, Deny or Pass"},
		{"v1alpha1", "AdminNetworkPolicy", "p", "subject: {namespaces: {}}\n  priority: 1\n  ingress:\n  - action: Deny\n    from: [{namespaces: {}}]\n    ports:\n    - {}", "11:", "needs portNumber"},
		{"v1alpha1", "AdminNetworkPolicy", "p", "subject: {namespaces: {}}\n  priority: 1\n  ingress:\n  - action: Deny\n    from: [{namespaces: {}}]\n    ports:\n    - {namedPort: web, portNumber: {port: 80}}", "11:", "more than one of portNumber"},
		{"v1alpha1", "BaselineAdminNetworkPolicy", "default", "subject: {namespaces: {}}\n  ingress:\n  - action: Pass\n    from: [{namespaces: {}}]", "7:", "Allow or Deny"},
		{"v1alpha1", "BaselineAdminNetworkPolicy", "other", "subject: {namespaces: {}}", "3:", "is named default"},
	} {
		text := "apiVersion: policy.networking.k8s.io/" + c.version + "\nkind: " + c.kind + "\nmetadata: {name: " + c.name + "}\nspec:\n  " + c.spec + "\n"
		expectProblem(t, text, c.at, c.reason)
	}
}

func expectProblem(t *testing.T, text, at, reason string) {
	t.Helper()
	c := clusterOf(t, text, model.WorldOptions{}, Upstream)
	if len(c.Problems) != 1 || len(c.Policies)+len(c.Admin)+len(c.Baseline) > 0 {
		t.Errorf("problems %v, should be one:\n%s", c.Problems, text)
		return
	}
	p := c.Problems[0]
	if got := fmt.Sprintf("%d:", p.At.Line); got != at || p.At.File != "test.yaml" || !strings.Contains(p.Reason, reason) {
		t.Errorf("%s:%s %s, should be at %s and say %q:\n%s", p.At.File, got, p.Reason, at, reason, text)
	}
}

func TestDuplicates(t *testing.T) {
	policy := func(kind string) string { return policyOfDB("{podSelector: {matchLabels: {app: " + kind + "}}}") }
	c := clusterOf(t, pair+policy("old")+policy("new"), model.WorldOptions{}, Upstream)
	if len(c.Policies) != 1 || len(c.Problems) != 1 || c.Problems[0].At.Line != 5 {
		t.Fatalf("%d policies, problems %v", len(c.Policies), c.Problems)
	}
	if got := c.Policies[0].Rules[Ingress][0].Peers[0].Pods.String(); got != "app=new" {
		t.Errorf("the policy that counts is that of %s", got)
	}
}

// TestBlocks has ways to write a block that an API server takes.
func TestBlocks(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "010.0.0.0/8": "10.0.0.0/8", "::ffff:10.0.0.0/104": "10.0.0.0/8", "FD00::1/8": "fd00::/8", "0.0.0.0/0": "0.0.0.0/0",
		"::/0": "::/0", "": "", "10.0.0.0": "", "10.0.0.0/33": "", "fd00::/129": "", "fe80::%eth0/10": "", "::ffff:0:0/90": "::ffc0:0:0/90", "::ffff:0:0/96": "0.0.0.0/0", "10.0.0.0/-1": "",
	} {
		got, err := parseCIDR(text)
		if want == "" && err == nil || want != "" && (err != nil || got != netip.MustParsePrefix(want)) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// TestOrder has pods of a cluster that was made by hand, in no order.
func TestOrder(t *testing.T) {
	c := clusterOf(t, pair+seen+policyOfDB("{namespaceSelector: {matchLabels: {team: a}}}"), model.WorldOptions{}, Upstream)
	for _, ns := range []string{"data", "shop", "data", "shop"} {
		c.Pods = append(c.Pods, &Pod{Namespace: ns, Kind: "Pod", Name: fmt.Sprint("p", len(c.Pods)), Labels: map[string]string{"app": fmt.Sprint(len(c.Pods))}})
	}
	slices.Reverse(c.Pods)
	e := New(c)
	for i, from := range c.Pods {
		for j, to := range c.Pods {
			want := to.Namespace == "shop" || from.Namespace == "shop"
			if got := e.Allowed(e.PodEnd(i), e.PodEnd(j)).Contains(TCP, 80); got != want {
				t.Errorf("%v to %v: %v", from, to, got)
			}
		}
	}
}
