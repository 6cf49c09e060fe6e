package psp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/admission"
)

// counting allows only what it is told to, and counts how often it is asked.
type counting struct {
	allow string
	asked int
}

func (c *counting) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if c.asked++; a.GetName() == c.allow && strings.HasPrefix(a.GetUser().GetName(), "system:serviceaccount:") {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func many(t *testing.T, n int) []*Policy {
	t.Helper()
	var out []*Policy
	for i := range n {
		m := permissive(fmt.Sprintf("p%02d", i))
		m.Spec.RunAsUser = IDs{Rule: MustRunAs, Ranges: []Range{{int64(1000 + i), 70000}}}
		m.Spec.ReadOnlyRootFilesystem = true
		m.Spec.RequiredDropCapabilities, m.Spec.AllowedCapabilities = []string{"ALL"}, nil
		p, problems := parse(t, m)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		out = append(out, p)
	}
	return out
}

// TestBudget: as many policies as are exported fit into the API server's budget, with
// a large pod that all of them admit and only the last may be used for; one more is
// refused, with the way out.
func TestBudget(t *testing.T) {
	for _, extensions := range []bool{false, true} {
		most := MaxPolicies(extensions)
		o := ExportOptions{Mode: admission.Deny, Minor: 37, Extensions: extensions}
		_, err := Export(many(t, most+1), o)
		if !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "--namespaces") {
			t.Errorf("%d policies: %v", most+1, err)
		}
		out, err := Export(many(t, most), o)
		if err != nil {
			t.Fatal(err)
		}
		mutating, err := admission.CompileNative(&out.Mutating.Spec, 37)
		if err != nil {
			t.Fatal(err)
		}
		validating, err := admission.CompileNative(&out.Validating.Spec, 37)
		if err != nil {
			t.Fatal(err)
		}
		pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "pod", "namespace": "shop"}}
		var containers []any
		for i := range 10 {
			containers = append(containers, object{"name": fmt.Sprintf("c%d", i), "image": "example.com/a:1", "ports": []any{object{"containerPort": int64(80)}}})
		}
		pod["spec"] = object{"serviceAccountName": "default", "containers": containers, "volumes": []any{object{"name": "a", "emptyDir": object{}}}}
		e, admitted := &exported{}, object(nil)
		for _, allow := range []string{fmt.Sprintf("p%02d", most-1), "none"} {
			asked := &counting{allow: allow}
			r := e.request(&question{User: "somebody"}, pod, nil)
			r.Authorizer = asked
			filled, err := mutating.Mutate(t.Context(), r)
			if err != nil {
				t.Fatalf("%d policies, extensions %v: %v", most, extensions, err)
			}
			mutations := asked.asked
			if r.Object = filled; allow == "none" {
				r.Object = admitted // for all to be asked about, it has to lack nothing
			}
			admitted = filled
			refused := validating.Validate(t.Context(), r)
			if allowed := allow != "none"; allowed != (len(refused) == 0) {
				t.Errorf("%s may be used, and the pod is refused with %q", allow, refused)
			} else if !allowed && !strings.Contains(refused[0], fmt.Sprintf("p%02d: neither the user", most-1)) {
				t.Errorf("refused with %q", refused)
			}
			t.Logf("%d policies, %s may be used: asked %d times to mutate and %d times to validate", most, allow, mutations, asked.asked-mutations)
		}
	}
}

// TestReleases: what is exported compiles in every release that can take it, and what
// a release cannot do is said.
func TestReleases(t *testing.T) {
	m := permissive("all")
	m.Annotations = map[string]string{seccompDefault: runtimeDefault, seccompAllowed: runtimeDefault, appArmorDefault: runtimeDefault, appArmorAllowed: runtimeDefault}
	m.Spec.DefaultAddCapabilities, m.Spec.AllowedCapabilities, m.Spec.RequiredDropCapabilities = []string{"CHOWN"}, []string{"SETUID"}, []string{"NET_ADMIN"}
	m.Spec.Volumes, m.Spec.AllowedHostPaths = []string{"secret", "hostPath"}, []AllowedHostPath{{"/a", true}, {"/b", false}}
	m.Spec.SELinux = SELinux{Rule: MustRunAs, SELinuxOptions: &SELinuxOptions{Level: "s0:c1,c2"}}
	ids := IDs{Rule: MustRunAs, Ranges: []Range{{1, 2}}}
	m.Spec.RunAsUser, m.Spec.RunAsGroup, m.Spec.FSGroup, m.Spec.SupplementalGroups = ids, &ids, ids, ids
	m.Spec.AllowedUnsafeSysctls, m.Spec.ForbiddenSysctls = []string{"kernel.*"}, []string{"net.*"}
	m.Spec.RuntimeClass = &RuntimeClass{AllowedRuntimeClassNames: []string{"a"}, DefaultRuntimeClassName: new("a")}
	m.Spec.HostPorts, m.Spec.AllowPrivilegeEscalation, m.Spec.ReadOnlyRootFilesystem = []Range{{1, 2}}, new(false), true
	p, problems := parse(t, m)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for minor := 29; minor <= 38; minor++ {
		for _, mode := range []admission.Mode{admission.Audit, admission.Warn, admission.Deny} {
			out, err := Export([]*Policy{p}, ExportOptions{Mode: mode, Minor: minor})
			if minor < 30 {
				if err == nil {
					t.Errorf("1.%d has no ValidatingAdmissionPolicy", minor)
				}
				continue
			}
			if err != nil {
				t.Errorf("1.%d, %s: %v", minor, mode, err)
				continue
			}
			if mutates := out.Mutating != nil; mutates != (mode == admission.Deny && minor >= mutatingMinor) {
				t.Errorf("1.%d, %s: mutates %v", minor, mode, mutates)
			}
			if said := strings.Contains(strings.Join(out.NotKept, "\n"), "nothing is filled in"); said == (out.Mutating != nil) {
				t.Errorf("1.%d, %s: not kept: %q", minor, mode, out.NotKept)
			}
		}
	}
}
