package network

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestNull: a field that is written without a value is absent, as the API server
// takes it. Templates often write annotations so.
func TestNull(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"{apiVersion: v1, kind: Service, metadata: {name: a, annotations: , labels: }, spec: {type: ClusterIP, externalIPs: , loadBalancerSourceRanges: , ports: }}",
		"{apiVersion: v1, kind: Service, metadata: {name: a, annotations: }, spec: }",
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, annotations: }, spec: {tls: , rules: , defaultBackend: }}",
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {tls: [{hosts: }], rules: [{host: , http: }]}}",
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}",
	} {
		w := world(t, text, model.WorldOptions{})
		out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{Controls: controls, Version: 37,
			Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
				return admission.Compile(cs, p, v)
			}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Findings {
			t.Errorf("%s\n%s: %s: %s", text, f.Control, f.Verdict, f.Message)
		}
	}
}
