package reach

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// written gives the policies and pods of a shape objects, as if they were read.
func (s shape) written(tb testing.TB) *Cluster {
	c := s.cluster(tb)
	object := func(of any) *model.Object {
		text, err := json.Marshal(of)
		if err != nil {
			tb.Fatal(err)
		}
		var content map[string]any
		if err := json.Unmarshal(text, &content); err != nil {
			tb.Fatal(err)
		}
		o, _ := model.NewObject(content, nil, model.Source{})
		return o
	}
	for i := range s.namespaces {
		for n, spec := range s.specs(i, "t0") {
			p := c.Policies[i*s.policies+n]
			p.Object = object(&networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
				ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: spec})
		}
	}
	return c
}

// BenchmarkCan is the question of net can, at 9,750 pods and 3,000 policies: the answer
// alone, asked of an engine that is built, and apart from it the explanation and the
// smallest change, and who could reach a pod and be reached by it that does not exist yet.
func BenchmarkCan(b *testing.B) {
	c := shapes[2].written(b)
	e := New(c)
	r := rand.New(rand.NewPCG(1, 2))
	side := func() Side { return Side{Pod: c.Pods[r.IntN(len(c.Pods))]} }
	b.Run("answer", func(b *testing.B) {
		for b.Loop() {
			e.Between(side(), side()).Contains(TCP, 8080)
		}
	})
	b.Run("explanation", func(b *testing.B) {
		for b.Loop() {
			c.Explain(side(), side(), TCP, 8080)
		}
	})
	b.Run("change", func(b *testing.B) {
		for b.Loop() {
			c.Turn(side(), side(), OnePort(TCP, 8080))
		}
	})
	b.Run("exposure", func(b *testing.B) {
		for b.Loop() {
			e.ExposureOf(c.Pods[r.IntN(len(c.Pods))])
		}
	})
}
