package generate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// realWorld reads all manifests of some real files, and skips where there are none.
func realWorld(t *testing.T, patterns ...string) (*model.World, *reach.Cluster) {
	t.Helper()
	dir := os.Getenv("BULKHEAD_INPUTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "inputs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real inputs at %s; set BULKHEAD_INPUTS", dir)
	}
	var objects []*model.Object
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file := manifest.NewDecoder().Decode(model.Source{File: filepath.Base(name)}, text)
			objects = append(objects, file.Objects...)
		}
	}
	w := model.NewWorld(objects, model.WorldOptions{})
	return w, reach.NewCluster(w, reach.Upstream)
}

func derive(t *testing.T, w *model.World, c *reach.Cluster, o ManifestOptions) (*Set, *Proof) {
	t.Helper()
	d := FromManifests(w, c, o)
	d.Add(FromResolver(w, c, o.Namespaces))
	set, err := Generate(&Request{Cluster: c, World: w, Namespaces: o.Namespaces, Wants: d.Wants, Assumed: d.Assumed, Notes: d.Notes, Nodes: []string{"192.168.0.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := set.Prove()
	if err != nil || proof.Failed() || len(set.Uncovered)+len(proof.Unknown) > 0 {
		t.Fatalf("%+v, %v, %v", proof, set.Uncovered, err)
	}
	return set, proof
}

// ingressOf lists who among workloads reaches each, and by which ports.
func ingressOf(c *reach.Cluster, namespace string) (out []string) {
	e := reach.New(c)
	for _, to := range e.Workloads() {
		for _, from := range e.Workloads() {
			ports := e.Allowed(e.PodEnd(from.Pods[0]), e.PodEnd(to.Pods[0]))
			if to.Namespace == namespace && from.Namespace == namespace && !ports.Empty() {
				out = append(out, fmt.Sprintf("%s -> %s %s", from.Name, to.Name, ports))
			}
		}
	}
	return out
}

// TestOnlineBoutique: of the manifests alone come the connections that the project's own
// policies list, but for the frontend, which these leave open by all ports; and these
// policies let through all that is derived.
func TestOnlineBoutique(t *testing.T) {
	const manifests, policies = "online-boutique/release/kubernetes-manifests.yaml", "online-boutique/kustomize/components/network-policies/network-policy-*.yaml"
	in := ManifestOptions{Namespaces: []string{"default"}}
	w, c := realWorld(t, manifests)
	set, proof := derive(t, w, c, in)
	if proof.Wanted != 18 || proof.Left != 0 {
		t.Errorf("%+v", proof)
	}
	after, err := set.After()
	if err != nil {
		t.Fatal(err)
	}
	w, c = realWorld(t, manifests, policies)
	frontend := func(s string) bool { return strings.Contains(s, "-> frontend ") }
	ours, theirs := ingressOf(after, "default"), slices.DeleteFunc(ingressOf(c, "default"), frontend)
	if got := slices.DeleteFunc(slices.Clone(ours), frontend); !slices.Equal(got, theirs) || len(theirs) != 15 {
		t.Errorf("%d connections %v, theirs are %d: %v", len(got), got, len(theirs), theirs)
	}
	if !slices.Contains(ours, "loadgenerator -> frontend TCP 8080") {
		t.Errorf("the frontend is not reached: %v", ours)
	}
	set, proof = derive(t, w, c, in)
	if len(set.Policies) != 0 || proof.Open != proof.Wanted {
		t.Errorf("%d policies beside theirs, %+v", len(set.Policies), proof)
	}
}

// TestKubePrometheus: its policies let through all that its manifests derive, but for what
// nobody denies. Without them the same is written anew.
func TestKubePrometheus(t *testing.T) {
	in := ManifestOptions{Namespaces: []string{"monitoring"}, APIServer: []string{"10.96.0.1/32"}}
	w, c := realWorld(t, "kube-prometheus/manifests/*.yaml")
	set, proof := derive(t, w, c, in)
	if len(set.Policies) != 1 || proof.Open != proof.Wanted {
		t.Errorf("%d policies beside theirs, %+v", len(set.Policies), proof)
	}
	without := *c
	without.Policies = nil
	set, proof = derive(t, w, &without, in)
	if len(set.Policies) != 9 || proof.Open != 0 || proof.Left != 0 {
		t.Errorf("%d policies, %+v", len(set.Policies), proof)
	}
}
