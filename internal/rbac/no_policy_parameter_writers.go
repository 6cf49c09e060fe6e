package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func parameterControl(in *check.Input) []check.Judgement {
	return rolesControl{scope: anywhere, find: inAnyVersion(changesParameters(in))}.judge(in)
}

func parameterKinds() []model.GroupKind {
	var out []model.GroupKind
	for _, k := range policyKinds {
		out = append(out, k.policy, k.binding)
	}
	return out
}

var noPolicyParameterWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-policy-parameter-writers", Title: "Nobody changes what admission policies read", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "An admission policy refuses what its parameters say: who changes them, a ConfigMap of allowed registries for instance, lifts the policy " +
			"without touching it. Where parameters are read from the namespace of what is judged, its tenants must not write them.",
		Remedy:    "Keep parameters in a namespace of their own, by a paramRef that names it, and let those write there who write the policies.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder decides on policies.",
	Subsumes: wildcardControls,
	Needs:    slices.Concat(grantKinds, parameterKinds()),
	World:    parameterControl,
	Examples: check.Examples{
		Bad: []string{`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: registries
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
  validations:
    - expression: "object.spec.containers.all(c, c.image.startsWith(params.data.registry))"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: registries
spec:
  policyName: registries
  paramRef: {name: registries, namespace: policies, parameterNotFoundAction: Deny}
  validationActions: [Deny]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: settings
  namespace: policies
rules:
  - apiGroups: [""]
    resources: [configmaps] # want
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: settings
rules:
  - apiGroups: [""]
    resources: [configmaps] # want
    resourceNames: [registries]
    verbs: [update]
`},
		Good: []string{`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: registries
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
  validations:
    - expression: "object.spec.containers.all(c, c.image.startsWith(params.data.registry))"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: registries
spec:
  policyName: registries
  paramRef: {name: registries, namespace: policies, parameterNotFoundAction: Deny}
  validationActions: [Deny]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: settings
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: settings
  namespace: policies
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [other]
    verbs: [update]
`},
	},
}
