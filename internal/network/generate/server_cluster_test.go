package generate

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestServerTakes asks a real API server to take what is written for random cases. It
// has nothing to add: what it would keep is what was written.
func TestServerTakes(t *testing.T) {
	config, _ := testcluster.Config(t)
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for seed := range uint64(150) {
		d := deal(seed)
		w := model.NewWorld(d.objects, model.WorldOptions{})
		set, err := Generate(&Request{Cluster: reach.NewCluster(w, d.profile), World: w, Namespaces: d.in, Wants: d.wants})
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := WriteYAML(&text, set.Policies); err != nil {
			t.Fatal(err)
		}
		written, err := ReadYAML(text.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range written {
			p.Namespace = metav1.NamespaceDefault
			got, err := client.NetworkingV1().NetworkPolicies(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
			if err != nil {
				t.Errorf("seed %d: %v\n%s", seed, err, text.String())
				continue
			}
			taken++
			if !equality.Semantic.DeepEqual(got.Spec, p.Spec) {
				t.Errorf("seed %d: %s is kept as %+v, and was written as %+v", seed, p.Name, got.Spec, p.Spec)
			}
		}
	}
	t.Logf("%d policies taken", taken)
	if taken < 300 {
		t.Errorf("only %d policies were asked about", taken)
	}
}
