package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// From these minor versions of Kubernetes 1 on the API server judges by admission
// policies without being asked to.
const validatingPoliciesSince, mutatingPoliciesSince = 30, 36

func writeAdmission(version int) []power {
	resources := []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}
	if version >= validatingPoliciesSince {
		resources = append(resources, "validatingadmissionpolicies", "validatingadmissionpolicybindings")
	}
	if version >= mutatingPoliciesSince {
		resources = append(resources, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
	}
	return []power{{verbs: alterVerbs, group: admissionGroup, resources: resources, clusterScoped: true, may: "change what admission refuses, alters and reads"}}
}

var noAdmissionWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-admission-writers", Title: "Nobody writes admission webhooks and policies", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A mutating webhook sees every object that is written, Secrets included, and may put a container into every pod of the cluster. " +
			"Deleting or weakening a validating one takes the guard away.",
		Remedy: "Leave these objects to those who run the cluster. A controller that keeps a certificate in its own webhook fresh needs " +
			"get, update and patch on that one, by resourceNames.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide which configuration, if any, the holder has to keep.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(writeAdmission)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [admissionregistration.k8s.io]
    resources:
      - mutatingwebhookconfigurations # want
      - validatingwebhookconfigurations
    verbs: [get, list, create, patch]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: policies
rules:
  - apiGroups: [admissionregistration.k8s.io]
    resources: ["*"] # want
    verbs: [delete]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: operator
rules:
  - apiGroups: [admissionregistration.k8s.io]
    resources: [mutatingwebhookconfigurations]
    resourceNames: [operator]
    verbs: [update, patch]
  - apiGroups: [admissionregistration.k8s.io]
    resources: [validatingwebhookconfigurations]
    verbs: [get, list, watch]
`},
	},
}
