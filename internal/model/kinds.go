package model

import "strings"

type scope int

const (
	// unknownScope is a custom resource whose definition was not seen: it is
	// namespaced if it says so.
	unknownScope scope = iota
	namespaced
	clusterScoped
)

// Resource is a kind as the API serves it.
type Resource struct {
	GroupKind
	// Name is the plural in paths and rules: deployments.
	Name       string
	Namespaced bool
}

// resources are the kinds of Kubernetes and of its Gateway API, by group: kind,
// plural, and a dot before kinds that belong to the whole cluster. A test holds
// them against the API server's own discovery.
const resources = `
core .ComponentStatus/componentstatuses ConfigMap/configmaps Endpoints/endpoints Event/events LimitRange/limitranges .Namespace/namespaces .Node/nodes .PersistentVolume/persistentvolumes PersistentVolumeClaim/persistentvolumeclaims Pod/pods PodTemplate/podtemplates ReplicationController/replicationcontrollers ResourceQuota/resourcequotas Secret/secrets ServiceAccount/serviceaccounts Service/services
admissionregistration.k8s.io .MutatingAdmissionPolicy/mutatingadmissionpolicies .MutatingAdmissionPolicyBinding/mutatingadmissionpolicybindings .MutatingWebhookConfiguration/mutatingwebhookconfigurations .ValidatingAdmissionPolicy/validatingadmissionpolicies .ValidatingAdmissionPolicyBinding/validatingadmissionpolicybindings .ValidatingWebhookConfiguration/validatingwebhookconfigurations
apiextensions.k8s.io .CustomResourceDefinition/customresourcedefinitions
apiregistration.k8s.io .APIService/apiservices
apps ControllerRevision/controllerrevisions DaemonSet/daemonsets Deployment/deployments ReplicaSet/replicasets StatefulSet/statefulsets
autoscaling HorizontalPodAutoscaler/horizontalpodautoscalers
batch CronJob/cronjobs Job/jobs
certificates.k8s.io .CertificateSigningRequest/certificatesigningrequests .ClusterTrustBundle/clustertrustbundles PodCertificateRequest/podcertificaterequests
coordination.k8s.io Lease/leases
discovery.k8s.io EndpointSlice/endpointslices
events.k8s.io Event/events
extensions DaemonSet/daemonsets Deployment/deployments Ingress/ingresses NetworkPolicy/networkpolicies .PodSecurityPolicy/podsecuritypolicies ReplicaSet/replicasets
flowcontrol.apiserver.k8s.io .FlowSchema/flowschemas .PriorityLevelConfiguration/prioritylevelconfigurations
gateway.networking.k8s.io .GatewayClass/gatewayclasses Gateway/gateways GRPCRoute/grpcroutes HTTPRoute/httproutes ReferenceGrant/referencegrants TCPRoute/tcproutes TLSRoute/tlsroutes UDPRoute/udproutes
networking.k8s.io .IPAddress/ipaddresses Ingress/ingresses .IngressClass/ingressclasses NetworkPolicy/networkpolicies .ServiceCIDR/servicecidrs
node.k8s.io .RuntimeClass/runtimeclasses
policy PodDisruptionBudget/poddisruptionbudgets .PodSecurityPolicy/podsecuritypolicies
policy.networking.k8s.io .AdminNetworkPolicy/adminnetworkpolicies .BaselineAdminNetworkPolicy/baselineadminnetworkpolicies .ClusterNetworkPolicy/clusternetworkpolicies
rbac.authorization.k8s.io .ClusterRole/clusterroles .ClusterRoleBinding/clusterrolebindings Role/roles RoleBinding/rolebindings
resource.k8s.io .DeviceClass/deviceclasses .DeviceTaintRule/devicetaintrules ResourceClaim/resourceclaims ResourceClaimTemplate/resourceclaimtemplates .ResourceSlice/resourceslices
scheduling.k8s.io .PriorityClass/priorityclasses
storage.k8s.io .CSIDriver/csidrivers .CSINode/csinodes CSIStorageCapacity/csistoragecapacities .StorageClass/storageclasses .VolumeAttachment/volumeattachments .VolumeAttributesClass/volumeattributesclasses
storagemigration.k8s.io .StorageVersionMigration/storageversionmigrations
`

var builtin = parseResources(resources)

func parseResources(table string) map[GroupKind]Resource {
	out := map[GroupKind]Resource{}
	for line := range strings.Lines(table) {
		group, kinds, _ := strings.Cut(strings.TrimSpace(line), " ")
		if group == "core" {
			group = ""
		}
		for _, k := range strings.Fields(kinds) {
			kind, name, _ := strings.Cut(k, "/")
			bare, cluster := strings.CutPrefix(kind, ".")
			gk := GroupKind{group, bare}
			out[gk] = Resource{GroupKind: gk, Name: name, Namespaced: !cluster}
		}
	}
	return out
}

// BuiltinResource returns how the API serves a kind of Kubernetes itself or of
// its Gateway and network-policy APIs.
func BuiltinResource(gk GroupKind) (Resource, bool) {
	r, ok := builtin[gk]
	return r, ok
}

// BuiltinResources lists all of them, in no order.
func BuiltinResources() []Resource {
	out := make([]Resource, 0, len(builtin))
	for _, r := range builtin {
		out = append(out, r)
	}
	return out
}

// DefinitionKind is the kind of a CustomResourceDefinition.
var DefinitionKind = GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// DefinedResource is the custom resource that a definition defines.
func DefinedResource(definition *Object) Resource {
	return Resource{GroupKind: GroupKind{definition.Text("spec", "group"), definition.Text("spec", "names", "kind")},
		Name: definition.Text("spec", "names", "plural"), Namespaced: definition.Text("spec", "scope") != "Cluster"}
}

// scopes knows the scope of built-in kinds and of those whose definition is
// among the objects.
type scopes map[GroupKind]scope

func newScopes(objects []*Object) scopes {
	s := scopes{}
	for _, o := range objects {
		if o.GroupKind != DefinitionKind {
			continue
		}
		if r := DefinedResource(o); r.Namespaced {
			s[r.GroupKind] = namespaced
		} else {
			s[r.GroupKind] = clusterScoped
		}
	}
	return s
}

func (s scopes) of(gk GroupKind) scope {
	if r, ok := builtin[gk]; ok {
		if r.Namespaced {
			return namespaced
		}
		return clusterScoped
	}
	return s[gk]
}
