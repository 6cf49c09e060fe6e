package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// ownPolicyFiles are policies of each form about workloads, and one that asks what a
// service account may do.
const ownPolicyFiles = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pulls}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations:
  - expression: object.spec.containers.all(c, c.imagePullPolicy == 'Always')
    messageExpression: "'does not always pull: ' + object.spec.containers.filter(c, c.imagePullPolicy != 'Always').map(c, c.name).join(', ')"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: pulls}
spec: {policyName: pulls, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: history}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments, statefulsets, daemonsets]}]}
  validations:
  - expression: object.spec.revisionHistoryLimit <= int(params.data.most)
    messageExpression: "string(object.spec.revisionHistoryLimit) + ' revisions'"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: history}
spec: {policyName: history, validationActions: [Audit], paramRef: {name: history, namespace: policies, parameterNotFoundAction: Deny}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: history, namespace: policies}, data: {most: "3"}}
---
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: replicated}
spec:
  crd: {spec: {names: {kind: Replicated}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package replicated
      violation[{"msg": msg}] {
        input.review.object.spec.replicas < 2
        msg := sprintf("has %v replicas", [input.review.object.spec.replicas])
      }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: Replicated
metadata: {name: all}
spec: {match: {kinds: [{apiGroups: [apps], kinds: [Deployment]}]}}
`

const askingPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: asks}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [serviceaccounts]}]}
  validations:
  - expression: "!authorizer.serviceAccount(object.metadata.namespace, object.metadata.name).group('').resource('secrets').namespace(object.metadata.namespace).check('get').allowed()"
    message: reads secrets
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: asks}
spec: {policyName: asks, validationActions: [Deny]}
`

// TestOwnPoliciesOnACluster: policies of the user's own find the same in a cluster as in
// the files that it was made of, and ask it who may do what.
func TestOwnPoliciesOnACluster(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	c.waitForPods(t, "shop"+c.suffix, 4)
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(policies, []byte(ownPolicyFiles), 0o600); err != nil {
		t.Fatal(err)
	}
	names := "vap-pulls,vap-history,gatekeeper-replicated-all"
	files, _ := scanResult(t, c.folder, "--policy", policies, "--control", names)
	cluster, _ := scanResult(t, "--kubeconfig", c.path, "--policy", policies, "--control", names)
	want := c.failures(files)
	if len(want) < 5 {
		t.Fatalf("only %d failures in the files", len(want))
	}
	same(t, "the cluster", want, c.failures(cluster))

	asks := filepath.Join(t.TempDir(), "asks.yaml")
	if err := os.WriteFile(asks, []byte(askingPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	ns := "shop" + c.suffix
	for _, object := range []map[string]any{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "curious", "namespace": ns}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": "curious", "namespace": ns},
			"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": []any{"get"}}}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": "curious", "namespace": ns},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "curious"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "curious", "namespace": ns}}},
	} {
		c.apply(t, object)
	}
	r, s := scanResult(t, "--kubeconfig", c.path, "--policy", asks, "--control", "vap-asks", "-n", ns)
	found := c.failures(r)
	// The example's deployer may do everything in the namespace.
	want = map[string]bool{}
	for _, account := range []string{"curious", "deployer"} {
		want["fail vap-asks "+ns+"/ServiceAccount/"+account+"  : reads secrets"] = true
	}
	if same(t, "the cluster", want, found); t.Failed() {
		t.Log(s.stderr)
	}
}
