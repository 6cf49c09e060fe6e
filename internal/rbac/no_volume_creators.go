package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func createVolumes(int) []power {
	return []power{{verbs: []string{"create", "update", "patch"}, resources: []string{"persistentvolumes"}, clusterScoped: true,
		may: "make a PersistentVolume of any folder of a node"}}
}

var noVolumeCreators = check.Control{
	Rule: finding.Rule{
		Name: "no-volume-creators", Title: "Nobody writes PersistentVolumes", Severity: finding.High, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A PersistentVolume may be a folder of the node it is used on. Who writes one claims the root of a node into a pod " +
			"that every Pod Security level admits, because the pod itself only names a claim.",
		Remedy: "Let people ask for storage with PersistentVolumeClaims and leave PersistentVolumes to the storage provisioner. " +
			"Waive this control for the provisioner's own account.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder is a storage provisioner.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(createVolumes)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: storage-admin
rules:
  - apiGroups: [""]
    resources: [persistentvolumes, persistentvolumeclaims] # want
    verbs: [get, create, delete]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: provisioner
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:persistent-volume-provisioner # want
subjects:
  - {kind: ServiceAccount, name: nfs, namespace: storage}
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: storage-user
rules:
  - apiGroups: [""]
    resources: [persistentvolumeclaims, persistentvolumes/status]
    verbs: [create, update]
  - apiGroups: [""]
    resources: [persistentvolumes]
    verbs: [get, list, watch]
`},
	},
}
