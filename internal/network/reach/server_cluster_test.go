package reach

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

var (
	networkPolicies = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	clusterPolicies = schema.GroupVersionResource{Group: tierGroup, Version: "v1alpha2", Resource: "clusternetworkpolicies"}
	definitions     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// TestServerPolicies asks a real API server which NetworkPolicies it takes: random ones,
// the ways to spoil them, and ways to write a block.
func TestServerPolicies(t *testing.T) {
	client := connectDynamic(t).Resource(networkPolicies).Namespace("default")
	written := func(spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": "p", "namespace": "default"}, "spec": spec}
	}
	var all []map[string]any
	for _, spoil := range spoilers {
		spec := map[string]any{"podSelector": map[string]any{}}
		spoil(spec)
		all = append(all, written(spec))
	}
	for _, block := range []string{"10.0.0.0/8", "10.1.2.3/8", "010.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "::/80", "FD00::1/8", "0.0.0.0/0", "::/0", "", "10.0.0.0", "10.0.0.0/33", "fe80::%eth0/10", "10.0.0.0/-1", "10.0.0.0/08"} {
		all = append(all, written(map[string]any{"podSelector": map[string]any{}, "ingress": spoiledBlock(block)}))
	}
	d := &dealer{Rand: rand.New(rand.NewPCG(8, 8)), plain: true}
	for range 300 {
		d.policy("default", "p")
	}
	for _, o := range d.objects {
		all = append(all, o.Content)
	}
	compareServer(t, client, all)
}

// TestServerTiers does the same for policies of tiers, with the definition of their module.
func TestServerTiers(t *testing.T) {
	testcluster.Exclusive(t, "clusternetworkpolicies")
	connected := connectDynamic(t)
	installDefinition(t, connected)
	var all []map[string]any
	for i, spoil := range tierSpoilers {
		spec := map[string]any{"tier": "Admin", "priority": int64(1), "subject": map[string]any{"namespaces": map[string]any{}}}
		spoil(spec)
		for _, list := range []string{"ingress", "egress"} {
			if rules, _ := spec[list].([]any); len(rules) == 1 {
				delete(rules[0].(map[string]any), "ports") // a field of v1alpha1
			}
		}
		all = append(all, map[string]any{"apiVersion": newTierVersion, "kind": "ClusterNetworkPolicy", "metadata": map[string]any{"name": fmt.Sprint("p", i)}, "spec": spec})
	}
	d := &dealer{Rand: rand.New(rand.NewPCG(8, 8))}
	for range 200 {
		d.clusterPolicy(fmt.Sprint("p", len(d.objects)))
	}
	for _, o := range d.objects {
		if !slices.Contains(d.refused, o.Name) && !hasUnknownPeer(o) {
			all = append(all, o.Content)
		}
	}
	compareServer(t, connected.Resource(clusterPolicies), all)
}

// hasUnknownPeer reports whether a peer is of no kind: one that a newer definition has.
func hasUnknownPeer(o *model.Object) bool {
	for d := range directions {
		for _, rule := range o.List("spec", d.String()) {
			peers, _ := model.Get(rule, d.peersField()).([]any)
			if slices.ContainsFunc(peers, func(p any) bool { return len(p.(map[string]any)) == 0 }) {
				return true
			}
		}
	}
	return false
}

func connectDynamic(t *testing.T) dynamic.Interface {
	config, _ := testcluster.Config(t)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// compareServer has each object refused by both, or by none.
func compareServer(t *testing.T, client dynamic.ResourceInterface, all []map[string]any) {
	refused, older := 0, 0
	for _, content := range all {
		_, err := client.Create(t.Context(), &unstructured.Unstructured{Object: runtime.DeepCopyJSON(content)}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			t.Fatalf("%v: %v", content, err)
		}
		if err != nil && strict(err) {
			older++
			err = nil
		}
		if err != nil {
			refused++
		}
		problems := NewCluster(model.NewWorld([]*model.Object{object(t, content)}, model.WorldOptions{}), Upstream).Problems
		says := slices.ContainsFunc(problems, func(p Problem) bool { return strings.HasPrefix(p.Reason, "the API server would refuse it") })
		if (err != nil) != says {
			t.Errorf("%v: the API server says %v, the problems are %v", content["spec"], err, problems)
		}
	}
	t.Logf("%d policies, %d of them refused, and %d that only older API servers take", len(all), refused, older)
}

// strict reports whether all that is wrong is how a block is written, which older API
// servers take. Policies that came to be there still count.
func strict(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return !slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return !strings.Contains(c.Message, "must not have bits set beyond the prefix length") && !strings.Contains(c.Message, "must not have leading 0s") &&
			!strings.Contains(c.Message, "must not have an IPv4-mapped IPv6 address")
	})
}

func installDefinition(t *testing.T, client dynamic.Interface) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	if err != nil {
		t.Fatalf("looking for the module of the definition: %v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(dir)), "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(text, &definition.Object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	name := definition.GetName()
	if _, err := client.Resource(definitions).Create(t.Context(), &definition, metav1.CreateOptions{}); err == nil {
		t.Cleanup(func() {
			_ = client.Resource(definitions).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		})
	} else if !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	for range 100 {
		if _, err = client.Resource(clusterPolicies).List(t.Context(), metav1.ListOptions{Limit: 1}); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the API server does not serve %s: %v", name, err)
}
