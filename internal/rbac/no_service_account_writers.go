package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func writesAccounts(int) []power {
	return []power{{verbs: writeVerbs, resources: []string{"serviceaccounts"}, may: "give service accounts roles of the cloud"}}
}

var noServiceAccountWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-service-account-writers", Title: "Few write service accounts", Severity: finding.Low, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "An annotation of a service account says which role it has in the cloud. Who writes service accounts gives one to an account that it can run pods as, " +
			"where the trust of the cloud role allows it, and adds Secrets to pull images with.",
		Remedy:    "Leave service accounts to the account that deploys. In the cloud, let the trust of each role name one service account in full.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder installs workloads with accounts of their own.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: anywhere, find: anyOf(writesAccounts)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: deployer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [serviceaccounts] # want
    verbs: [get, patch]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: deployer
  namespace: shop
rules:
  - apiGroups: [""]
    resources: [serviceaccounts]
    verbs: [get, list, watch, delete]
  - apiGroups: [""]
    resources: [serviceaccounts]
    resourceNames: [web]
    verbs: [patch]
  - apiGroups: [""]
    resources: [serviceaccounts/token]
    resourceNames: [web]
    verbs: [create]
`},
	},
}
