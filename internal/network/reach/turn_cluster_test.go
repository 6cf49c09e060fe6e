package reach

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestServerTurns asks a real API server whether it takes what is proposed: policies that
// are created, and those that are changed, as they are then.
func TestServerTurns(t *testing.T) {
	testcluster.Exclusive(t, "clusternetworkpolicies")
	connected := connectDynamic(t)
	installDefinition(t, connected)
	taken := map[string]int{}
	for seed := range uint64(60) {
		d := deal(seed, Upstream)
		c := NewCluster(model.NewWorld(d.objects, model.WorldOptions{Live: true}), d.w.profile)
		if len(c.Pods) < 2 || len(c.Pods) > 20 {
			continue
		}
		for range 4 {
			from, to := Side{Pod: pick(d, c.Pods)}, Side{Pod: pick(d, c.Pods)}
			for _, turn := range c.Turn(from, to, OnePort(TCP, uint16(pick(d, dealtPorts)))) {
				e, err := c.edit(turn.Edits)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range e.objects {
					if hasUnknownPeer(o) {
						continue // as it was before
					}
					var client dynamic.ResourceInterface
					switch o.GroupKind {
					case networkPolicyKind:
						client = connected.Resource(networkPolicies).Namespace("default")
					case clusterPolicyKind:
						client = connected.Resource(clusterPolicies)
					default:
						continue // pods, and the older version, of which there is no definition
					}
					u := (&unstructured.Unstructured{Object: o.Content}).DeepCopy()
					if o.GroupKind == networkPolicyKind {
						u.SetNamespace("default")
					}
					if _, err := client.Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}); err != nil && !strict(err) {
						t.Errorf("seed %d: %s: %v", seed, turn.Edits[0].Text, err)
					}
					taken[o.Kind]++
				}
			}
		}
	}
	t.Logf("%v", taken)
	if taken["NetworkPolicy"] == 0 || taken["ClusterNetworkPolicy"] == 0 {
		t.Error("too little was proposed")
	}
}
