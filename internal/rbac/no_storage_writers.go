package rbac

import (
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

func configuresStorage(int) []power {
	return []power{{verbs: writeVerbs, group: "storage.k8s.io", clusterScoped: true, may: "change how the cluster stores and mounts data",
		resources: []string{"csidrivers", "storageclasses", "csinodes", "volumeattachments", "volumeattributesclasses"}}}
}

var noStorageWriters = check.Control{
	Rule: finding.Rule{
		Name: "no-storage-writers", Title: "Nobody configures the storage of the cluster", Severity: finding.Medium, Layer: finding.LayerRBAC, Since: "v0.1",
		Why: "A CSIDriver says which tokens of service accounts a driver is handed for the pods that it serves. " +
			"A StorageClass says which driver makes volumes, with which credentials and options of mounting; an attachment brings the data of a volume to a node.",
		Remedy:    "Leave these objects to those who run the cluster. Waive this control for the accounts of a CSI driver.",
		FixSafety: finding.FixManual,
	},
	FixNote:  "Decide whether the holder is part of a CSI driver.",
	Subsumes: wildcardControls,
	Needs:    grantKinds,
	World:    rolesControl{scope: everyNamespace, find: anyOf(configuresStorage)}.judge,
	Examples: check.Examples{
		Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: storage
rules:
  - apiGroups: [storage.k8s.io]
    resources: [storageclasses, csidrivers] # want
    verbs: [get, create]
`},
		Good: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: storage
rules:
  - apiGroups: [storage.k8s.io]
    resources: [storageclasses]
    verbs: [get, list, watch]
  - apiGroups: [storage.k8s.io]
    resources: [csistoragecapacities, volumeattachments/status]
    verbs: [create, patch]
  - apiGroups: [""]
    resources: [persistentvolumeclaims]
    verbs: [create]
`},
	},
}
