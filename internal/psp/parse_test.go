package psp

import (
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

const good = `apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
  name: a
spec:
  seLinux: {rule: RunAsAny}
  runAsUser: {rule: RunAsAny}
  fsGroup: {rule: RunAsAny}
  supplementalGroups: {rule: RunAsAny}
`

// TestParse: what 1.24 would not have stored is said, with its line.
func TestParse(t *testing.T) {
	for _, test := range []struct {
		old, new string // a change of what is good
		line     int
		want     string
	}{
		{"", "", 0, ""},
		{"policy/v1beta1", "extensions/v1beta1", 0, ""},
		{"policy/v1beta1", "policy/v1", 1, "policy/v1 never had PodSecurityPolicies"},
		{"runAsUser: {rule: RunAsAny}", "runAsUser: {rule: MustRunAsRoot}", 7, `spec.runAsUser.rule: Unsupported value: "MustRunAsRoot"`},
		{"runAsUser: {rule: RunAsAny}", "runAsUser: {rule: MustRunAs, ranges: [{min: 5, max: 4}]}", 7, "spec.runAsUser.ranges[0]"},
		{"  fsGroup: {rule: RunAsAny}\n", "", 5, "spec.fsGroup.rule"},
		{"supplementalGroups: {rule: RunAsAny}", "supplementalGroups: {rule: RunAsAny}\n  hostPid: true", 10, "spec.hostPid: is no field"},
		{"supplementalGroups: {rule: RunAsAny}", "supplementalGroups: {rule: RunAsAny}\n  privileged: yes-please", 10, "spec.privileged: string is no bool"},
		{"supplementalGroups: {rule: RunAsAny}", "supplementalGroups: {rule: RunAsAny}\n  volumes: [secret, hostpath]", 10, "spec.volumes[1]"},
		{"supplementalGroups: {rule: RunAsAny}", "supplementalGroups: {rule: RunAsAny}\n  allowedHostPaths: [{pathPrefix: /a/../b}]", 10, "must not contain '..'"},
		{"name: a", "name: A", 4, "metadata.name"},
		{"name: a", "name: a\n  annotations: {seccomp.security.alpha.kubernetes.io/allowedProfileNames: 'runtime/default,any'}", 5, `"any": is no profile`},
	} {
		f := manifest.NewDecoder().Decode(model.Source{File: "psp.yaml"}, []byte(strings.Replace(good, test.old, test.new, 1)))
		if len(f.Problems) > 0 || len(f.Objects) != 1 {
			t.Fatalf("%q: %v", test.new, f.Problems)
		}
		p, problems := Parse(f.Objects[0])
		if (p == nil) != (test.want != "") || len(problems) > 1 {
			t.Errorf("%q: %v, problems %v", test.new, p, problems)
			continue
		}
		if test.want == "" {
			continue
		}
		if got := problems[0]; !strings.Contains(got.Message, test.want) || got.Location.Line != test.line {
			t.Errorf("%q: line %d: %s", test.new, got.Location.Line, got.Message)
		}
	}
}

// TestSort: a cluster has one policy of each name.
func TestSort(t *testing.T) {
	a, b := permissive("a"), permissive("b")
	first, _ := parse(t, a)
	second, _ := parse(t, b)
	again, _ := parse(t, a)
	if out, err := Sort([]*Policy{second, first, again}); err != nil || len(out) != 2 || out[0].Name != "a" {
		t.Errorf("%v, %v", out, err)
	}
	a.Spec.Privileged = false
	other, _ := parse(t, a)
	if _, err := Sort([]*Policy{first, other}); err == nil {
		t.Error("two that differ have one name")
	}
}
