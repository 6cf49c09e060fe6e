package admission_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

func exportAll(t *testing.T, o admission.ExportOptions) *admission.Exported {
	t.Helper()
	all, err := catalog.Controls()
	if err != nil {
		t.Fatal(err)
	}
	o.Parameters, o.Now = check.Defaults(all), exportTime
	out, err := admission.Export(all, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExportTargets: each release gets what its API server can compile, and every
// control that judges one object is a policy or is left out with a reason.
func TestExportTargets(t *testing.T) {
	objects := len(objectControls(t))
	before := 0
	for _, minor := range []int{30, 32, 33, 34, 35, 36, 38} {
		o := admission.ExportOptions{Mode: admission.Deny, Minor: minor, Mutate: minor >= 34, Annotations: &check.AnnotationSettings{Namespaces: []string{"shop-*"}}}
		out := exportAll(t, o)
		validating, mutating, newer := 0, 0, 0
		for _, p := range out.Policies {
			switch {
			case p.Validating != nil:
				validating++
				if p.Validating.APIVersion != "admissionregistration.k8s.io/v1" {
					t.Errorf("1.%d: %s", minor, p.Validating.APIVersion)
				}
			default:
				mutating++
				if beta := strings.HasSuffix(p.Mutating.APIVersion, "/v1beta1"); beta != (minor < 36) {
					t.Errorf("1.%d: %s", minor, p.Mutating.APIVersion)
				}
			}
		}
		for _, l := range out.LeftOut {
			if strings.HasPrefix(l.Reason, "does not compile in Kubernetes 1.") && !l.Mutating {
				newer++
			}
			if l.Reason == "" {
				t.Errorf("1.%d: %s is left out without a reason", minor, l.Control)
			}
		}
		if validating+newer != objects {
			t.Errorf("1.%d: %d policies and %d that do not compile, of %d controls", minor, validating, newer, objects)
		}
		if validating < before || minor >= 35 && newer > 0 || validating == 0 {
			t.Errorf("1.%d: %d policies, %d do not compile", minor, validating, newer)
		}
		before = validating
		t.Logf("1.%d: %d validating, %d mutating, %d do not compile", minor, validating, mutating, newer)
	}
}

// TestStatic has the API server's own loader read what is written for it.
func TestStatic(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := admissionv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	write := func(o admission.ExportOptions) (dir string, written int) {
		dir = t.TempDir()
		out := exportAll(t, o)
		var docs []string
		for _, p := range out.Policies {
			for _, object := range p.Objects() {
				data, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				docs = append(docs, string(data))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "bulkhead.yaml"), []byte(strings.Join(docs, "\n---\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir, len(out.Policies)
	}
	dir, written := write(admission.ExportOptions{Mode: admission.Deny, Minor: 37, Static: true})
	policies, bindings, _, err := loader.LoadPolicyManifests(dir, decoder, accept[*admissionv1.ValidatingAdmissionPolicy], accept[*admissionv1.ValidatingAdmissionPolicyBinding],
		func(b *admissionv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
	if err != nil || len(policies) != written || len(bindings) != written || written == 0 {
		t.Errorf("%d policies and %d bindings of %d: %v", len(policies), len(bindings), written, err)
	}
	dir, written = write(admission.ExportOptions{Mode: admission.Deny, Minor: 37, Static: true, Mutate: true})
	mutating, mutatingBindings, _, err := loader.LoadPolicyManifests(dir, decoder, accept[*admissionv1.MutatingAdmissionPolicy], accept[*admissionv1.MutatingAdmissionPolicyBinding],
		func(b *admissionv1.MutatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
	if err != nil || len(mutating) != written || len(mutatingBindings) != written || written == 0 {
		t.Errorf("%d policies and %d bindings of %d: %v", len(mutating), len(mutatingBindings), written, err)
	}
	dir, _ = write(admission.ExportOptions{Mode: admission.Deny, Minor: 37})
	if _, _, _, err := loader.LoadPolicyManifests(dir, decoder, accept[*admissionv1.ValidatingAdmissionPolicy], accept[*admissionv1.ValidatingAdmissionPolicyBinding],
		func(b *admissionv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName }); err == nil {
		t.Error("the loader takes names that are for the API, so this test says nothing")
	}
}

func accept[T runtime.Object](o runtime.Object) ([]T, error) {
	if typed, ok := o.(T); ok {
		return []T{typed}, nil
	}
	return nil, loader.ErrUnrecognizedType
}
