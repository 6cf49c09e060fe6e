package workload

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/model"
)

// fixed is the content of an object after the fix of a control.
func fixed(t *testing.T, name string, parameters map[string]any, o *model.Object) map[string]any {
	t.Helper()
	m, err := admission.CompileMutation(controlNamed(t, name), parameters)
	if err != nil {
		t.Fatal(err)
	}
	content, err := m.Apply(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestNamespaceFixes fixes random labels and has Kubernetes read the result: it is
// valid, is as strict as is asked for and as it was, and only labels of that mode are
// changed.
func TestNamespaceFixes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	levels := []psapi.Level{psapi.LevelPrivileged, psapi.LevelBaseline, psapi.LevelRestricted}
	for range 60 {
		labels := map[string]any{"team": "shop"}
		for _, mode := range []string{"enforce", "audit", "warn"} {
			if level := pick("", "", "privileged", "baseline", "restricted", "Restricted", "strict"); level != "" {
				labels["pod-security.kubernetes.io/"+mode] = level
			}
			if version := pick("", "", "latest", "v1.34", "1.34", "v1.x"); version != "" {
				labels["pod-security.kubernetes.io/"+mode+"-version"] = version
			}
		}
		level := levels[random.IntN(3)]
		metadata := map[string]any{"name": "shop"}
		if random.IntN(5) > 0 {
			metadata["labels"] = labels
		}
		o, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, nil, model.Source{})
		was, _ := podSecurityPolicy(o)

		enforced := namespaceAfter(t, "pod-security-enforced", level, o)
		is, errs := podSecurityPolicy(enforced)
		want := was.Enforce
		want.Level = stricter(want.Level, level)
		if said := o.Labels()[psapi.EnforceLevelLabel]; said == "strict" {
			want.Level = level // which level that should be nobody knows
		}
		if len(invalidLabels(errs, psapi.EnforceLevelLabel, psapi.EnforceVersionLabel)) > 0 || is.Enforce != want {
			t.Fatalf("%v for %s: enforces %v, want %v, %v", o.Labels(), level, is.Enforce, want, errs)
		}
		sameLabels(t, o, enforced, psapi.EnforceLevelLabel, psapi.EnforceVersionLabel)

		warned := namespaceAfter(t, "pod-security-warned", level, o)
		is, errs = podSecurityPolicy(warned)
		least := stricter(level, was.Enforce.Level)
		if len(invalidLabels(errs, psapi.AuditLevelLabel, psapi.AuditVersionLabel, psapi.WarnLevelLabel, psapi.WarnVersionLabel)) > 0 ||
			is.Audit.Level != stricter(is.Audit.Level, least) || is.Warn.Level != stricter(is.Warn.Level, least) {
			t.Fatalf("%v for %s: audits %v, warns %v, want %v, %v", o.Labels(), level, is.Audit, is.Warn, least, errs)
		}
		sameLabels(t, o, warned, psapi.AuditLevelLabel, psapi.AuditVersionLabel, psapi.WarnLevelLabel, psapi.WarnVersionLabel)
	}
}

func namespaceAfter(t *testing.T, control string, level psapi.Level, o *model.Object) *model.Object {
	t.Helper()
	out, _ := model.NewObject(fixed(t, control, map[string]any{"level": string(level)}, o), nil, model.Source{})
	return out
}

func sameLabels(t *testing.T, before, after *model.Object, but ...string) {
	t.Helper()
	a, b := maps.Clone(before.Labels()), maps.Clone(after.Labels())
	for _, label := range but {
		delete(a, label)
		delete(b, label)
	}
	if len(a)+len(b) > 0 && !cmp.Equal(a, b) {
		t.Fatalf("other labels changed (-before +after):\n%s", cmp.Diff(a, b))
	}
}

// TestDefaultAccountTokenMounted finds a pod that gets no token of the default account
// but mounts one by itself, and leaves it to a person.
func TestDefaultAccountTokenMounted(t *testing.T) {
	const name = "dedicated-service-account"
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "token"}, "spec": map[string]any{
		"automountServiceAccountToken": false,
		"containers":                   []any{map[string]any{"name": "token", "image": "i"}},
		"volumes": []any{map[string]any{"name": "token", "projected": map[string]any{
			"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"path": "token"}}}}}},
	}}
	if got := details(t, evaluator(t, name, nil), pod); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	o, _ := model.NewObject(pod, nil, model.Source{})
	if diff := cmp.Diff(pod, fixed(t, name, nil, o)); diff != "" {
		t.Errorf("the fix changes it (-before +after):\n%s", diff)
	}
}
