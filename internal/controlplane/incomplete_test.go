package controlplane

import (
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestIncomplete: objects of which nothing or little is written have nothing wrong
// with them, and can be judged.
func TestIncomplete(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	text := `{apiVersion: v1, kind: Secret, metadata: {name: a, annotations: }, data: , stringData: }
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: a}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: a}, spec: {local: {}, hostPath: }}
---
{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: a}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, spec: {conversion: }}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: a}, webhooks: }
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: a}, webhooks: [{name: a}, {name: b, rules: [{operations: , apiGroups: , resources: }], clientConfig: }]}
`
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text))
	for _, p := range file.Problems {
		t.Fatal(p.Message)
	}
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{model.NewWorld(file.Objects, model.WorldOptions{})}},
		check.Options{Controls: controls, Version: 37,
			Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
				return admission.Compile(cs, p, v)
			}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Findings {
		t.Errorf("%s %s: %s: %s", f.Object, f.Control, f.Verdict, f.Message)
	}
}
