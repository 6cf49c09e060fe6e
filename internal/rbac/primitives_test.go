package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// tuple is a grant, and the control that finds it or must not.
type tuple struct {
	control, text string
	// since and until are the first and the last minor version of Kubernetes 1 in which
	// it is found; 0 is no bound.
	since, until int
	// apart is true of what makes nobody somebody else by itself: no chain of
	// escalation goes by it.
	apart bool
}

// primitive is a way to gain rights: its tuples, and what is nearly one.
type primitive struct {
	row         int
	name        string
	found, near []tuple
}

// everyPrimitive is the table of the ways in which rights lead to more rights. What
// ordinary roles have too is found in the whole cluster and, by another control of a
// lower severity, in a namespace.
func everyPrimitive() []primitive {
	return slices.Concat(podPrimitives, rolePrimitives, clusterPrimitives)
}

var podPrimitives = []primitive{
	{1, "read secrets", []tuple{
		{control: "no-secret-readers", text: cluster("get secrets")},
		{control: "no-secret-readers", text: cluster("list secrets")},
		{control: "no-secret-readers", text: cluster("watch secrets")},
		{control: "no-secret-readers-in-namespace", text: inShop("list secrets")},
	}, []tuple{
		{control: "no-secret-readers", text: cluster("get secrets =licence")},
		{control: "no-secret-readers", text: cluster("create,delete secrets")},
		{control: "no-secret-readers", text: inShop("get secrets")},
		{control: "no-secret-readers-in-namespace", text: inShop("get secrets =licence")},
	}},
	{2, "write a token Secret, and read it or start a pod", []tuple{
		{control: "no-token-secrets", text: cluster("create secrets", "get secrets")},
		{control: "no-token-secrets", text: cluster("create secrets", "get secrets =mine")},
		{control: "no-token-secrets", text: cluster("update secrets", "watch secrets")},
		{control: "no-token-secrets", text: cluster("patch secrets", "create pods")},
		{control: "no-token-secrets", text: cluster("create secrets", "create batch:jobs")},
		{control: "no-token-secrets", text: cluster("create secrets") + another("shop", "list secrets")},
		{control: "no-token-secrets-in-namespace", text: inShop("create,get secrets")},
		{control: "no-token-secrets-in-namespace", text: inShop("patch secrets") + another("", "create pods")},
	}, []tuple{
		{control: "no-token-secrets", text: cluster("create,update,patch secrets")},
		{control: "no-token-secrets", text: cluster("get,list,watch secrets")},
		{control: "no-token-secrets", text: cluster("update secrets", "get secrets =mine")},
		{control: "no-token-secrets", text: cluster("update secrets =mine", "get secrets")},
		{control: "no-token-secrets-in-namespace", text: inShop("create secrets") + another("tools", "get secrets")},
		{control: "no-token-secrets-in-namespace", text: inShop("create secrets") + theirs("{kind: User, name: jane}", "shop", "get secrets")},
	}},
	{3, "issue tokens", []tuple{
		{control: "no-token-minting", text: cluster("create serviceaccounts/token")},
		{control: "no-token-minting", text: inShop("create */token")},
	}, []tuple{
		{control: "no-token-minting", text: cluster("create serviceaccounts")},
		{control: "no-token-minting", text: cluster("create serviceaccounts/token =vault")},
		{control: "no-token-minting", text: cluster("get,update serviceaccounts/token")},
	}},
	{4, "create pods, write workloads", slices.Concat(
		each("no-pod-creators", cluster, "create pods", "create replicationcontrollers", "create apps:deployments", "update apps:daemonsets", "patch apps:statefulsets",
			"create apps:replicasets", "create batch:jobs", "patch batch:cronjobs", "update replicationcontrollers", "patch apps:deployments"),
		each("no-pod-creators-in-namespace", inShop, "create pods", "create,patch apps:deployments", "update batch:cronjobs"),
	), []tuple{
		{control: "no-pod-creators", text: inShop("create pods")},
		{control: "no-pod-creators", text: cluster("get,list,watch,delete pods", "patch apps:deployments/scale", "create example.com:deployments")},
		{control: "no-pod-creators", text: cluster("patch apps:deployments =web")},
		{control: "no-pod-creators-in-namespace", text: inShop("delete pods", "update apps:deployments/status")},
	}},
	{5, "change pods", slices.Concat(
		each("no-pod-creators", cluster, "update pods", "patch pods"),
		each("no-pod-creators-in-namespace", inShop, "update pods", "patch pods"),
	), []tuple{
		{control: "no-pod-creators", text: cluster("patch pods =web-0", "get pods", "update pods/ephemeralcontainers")},
	}},
	{6, "add containers", each("no-pod-exec", cluster, "update pods/ephemeralcontainers", "patch pods/ephemeralcontainers"), []tuple{
		{control: "no-pod-exec", text: cluster("get,create pods/ephemeralcontainers")},
	}},
	{7, "enter pods", slices.Concat(
		each("no-pod-exec", cluster, "create pods/exec", "create pods/attach"),
		each("no-pod-exec", inShop, "create pods/exec", "create */attach"),
		[]tuple{
			{control: "no-pod-exec", text: cluster("get pods/exec"), until: 34},
			{control: "no-pod-exec", text: inShop("get pods/attach"), until: 34},
			{control: "no-pod-exec", text: inShop("create pods/portforward"), apart: true},
			{control: "no-pod-exec", text: inShop("get pods/portforward"), until: 34, apart: true},
		},
	), []tuple{
		{control: "no-pod-exec", text: cluster("create pods/exec =toolbox")},
		{control: "no-pod-exec", text: cluster("create pods/*", "get pods/log")},
	}},
	{8, "proxy to pods and services", apart(
		each("no-pod-exec", inShop, "get pods/proxy", "create pods/proxy", "update pods/proxy", "patch pods/proxy", "delete pods/proxy"),
		each("no-pod-exec", cluster, "get services/proxy", "create services/proxy", "update services/proxy", "patch services/proxy", "delete services/proxy"),
	), []tuple{
		{control: "no-pod-exec", text: cluster("get services/proxy =metrics", "get services")},
	}},
	{9, "proxy to kubelets", each("no-node-proxy", cluster, "get nodes/proxy", "create nodes/proxy", "get nodes/proxy =node-1"), []tuple{
		{control: "no-node-proxy", text: inShop("get nodes/proxy")},
		{control: "no-node-proxy", text: cluster("get nodes/metrics,nodes/stats,nodes")},
	}},
}

const (
	rbacPrefix = apiGroup + ":"

	// aggregated is a role that takes in whatever is labelled so.
	aggregated = `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: sum}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: sum}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sum}, subjects: [` + shopWeb + `]}
---
`
	ownRole = `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: own, namespace: shop}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: own, namespace: shop}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: own}, subjects: [` + shopWeb + `]}
---
`
)

var rolePrimitives = []primitive{
	{10, "escalate, and write roles", slices.Concat(
		each("no-escalation-verbs", cluster, "escalate,update "+rbacPrefix+"clusterroles", "escalate,patch "+rbacPrefix+"clusterroles =role"),
		[]tuple{
			{control: "no-escalation-verbs", text: cluster("escalate,create "+rbacPrefix+"clusterroles") + aggregated},
			{control: "no-escalation-verbs-in-namespace", text: inShop("escalate,update "+rbacPrefix+"roles") + ownRole},
		},
		// The verb alone is given to nobody for anything else.
		apart(each("no-escalation-verbs", cluster, "escalate "+rbacPrefix+"roles")),
	), []tuple{
		{control: "no-escalation-verbs", text: cluster("create,update,patch " + rbacPrefix + "roles,clusterroles")},
		{control: "no-escalation-verbs-in-namespace", text: inShop("escalate " + rbacPrefix + "clusterroles")},
	}},
	{11, "bind, and write bindings", slices.Concat(
		[]tuple{
			{control: "no-escalation-verbs", text: cluster("bind "+rbacPrefix+"clusterroles", "create "+rbacPrefix+"clusterrolebindings")},
			{control: "no-escalation-verbs", text: cluster("bind "+rbacPrefix+"clusterroles =cluster-admin", "create "+rbacPrefix+"clusterrolebindings")},
			{control: "no-escalation-verbs", text: cluster("bind "+rbacPrefix+"roles", "create,patch "+rbacPrefix+"rolebindings"), apart: true},
			{control: "no-escalation-verbs-in-namespace", text: inShop("bind "+rbacPrefix+"clusterroles", "create "+rbacPrefix+"rolebindings")},
		},
		apart(each("no-escalation-verbs", cluster, "bind "+rbacPrefix+"clusterroles")),
		apart(each("no-escalation-verbs-in-namespace", inShop, "bind "+rbacPrefix+"roles")),
	), []tuple{
		{control: "no-escalation-verbs", text: cluster("create,update,patch " + rbacPrefix + "rolebindings,clusterrolebindings")},
		{control: "no-escalation-verbs", text: cluster("bind " + rbacPrefix + "clusterroles =view")},
	}},
	{12, "impersonate", slices.Concat(
		each("no-escalation-verbs", cluster, "impersonate users", "impersonate users,groups", "impersonate serviceaccounts"),
		apart(each("no-escalation-verbs", cluster, "impersonate groups", "impersonate groups =system:masters")),
		each("no-escalation-verbs-in-namespace", inShop, "impersonate serviceaccounts"),
		apart(each("no-impersonated-attributes", cluster, "impersonate authentication.k8s.io:uids", "impersonate authentication.k8s.io:userextras/scopes", "impersonate authentication.k8s.io:*")),
	), []tuple{
		{control: "no-escalation-verbs", text: cluster("impersonate users =jane")},
		{control: "no-escalation-verbs-in-namespace", text: inShop("impersonate users,groups")},
		{control: "no-impersonated-attributes", text: cluster("impersonate authentication.k8s.io:userextras/*,userextras", "impersonate authentication.k8s.io:userextras/scopes =view")},
		{control: "no-impersonated-attributes", text: inShop("impersonate authentication.k8s.io:uids")},
	}},
	{13, "constrained impersonation", []tuple{
		{control: "no-constrained-impersonation", since: 36, apart: true, text: cluster("impersonate:user-info authentication.k8s.io:users", "impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", since: 36, apart: true, text: cluster("impersonate:user-info authentication.k8s.io:groups", "impersonate:user-info authentication.k8s.io:users =jane", "impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", since: 36, text: cluster("impersonate:serviceaccount authentication.k8s.io:serviceaccounts", "impersonate-on:serviceaccount:create apps:deployments")},
		{control: "no-constrained-impersonation", since: 36, text: inShop("impersonate:serviceaccount authentication.k8s.io:serviceaccounts") + another("", "impersonate-on:serviceaccount:list secrets")},
		{control: "no-constrained-impersonation", since: 36, apart: true, text: cluster("impersonate:arbitrary-node authentication.k8s.io:nodes", "impersonate-on:arbitrary-node:list pods")},
		{control: "no-constrained-impersonation", since: 36, apart: true, text: cluster("impersonate:associated-node authentication.k8s.io:nodes", "impersonate-on:associated-node:get secrets")},
		{control: "no-constrained-impersonation", since: 36, apart: true, text: cluster("impersonate:associated-node authentication.k8s.io:nodes =*", "impersonate-on:associated-node:patch nodes/status")},
	}, []tuple{
		{control: "no-constrained-impersonation", text: cluster("impersonate:user-info authentication.k8s.io:users")},
		{control: "no-constrained-impersonation", text: cluster("impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", text: cluster("impersonate:user-info authentication.k8s.io:users", "impersonate-on:serviceaccount:get pods")},
		{control: "no-constrained-impersonation", text: cluster("impersonate:user-info authentication.k8s.io:users =jane", "impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", text: cluster("impersonate:user-info users", "impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", text: inShop("impersonate:user-info authentication.k8s.io:users", "impersonate-on:user-info:get pods")},
		{control: "no-constrained-impersonation", text: cluster("impersonate:associated-node authentication.k8s.io:nodes", "impersonate-on:associated-node:list pods")},
		{control: "no-constrained-impersonation", text: inShop("impersonate:serviceaccount authentication.k8s.io:serviceaccounts") + another("tools", "impersonate-on:serviceaccount:list secrets")},
	}},
	{14, "approve certificates", slices.Concat(
		apart(each("no-csr-approval", cluster, "approve certificates.k8s.io:signers", "approve certificates.k8s.io:signers =kubernetes.io/*", "approve certificates.k8s.io:signers =kubernetes.io/kube-apiserver-client")),
		[]tuple{{control: "no-csr-approval", text: cluster("create,get certificates.k8s.io:certificatesigningrequests", "update certificates.k8s.io:certificatesigningrequests/approval", "approve certificates.k8s.io:signers")}},
	), []tuple{
		{control: "no-csr-approval", text: cluster("create,get certificates.k8s.io:certificatesigningrequests", "update certificates.k8s.io:certificatesigningrequests/approval")},
		{control: "no-csr-approval", text: cluster("approve certificates.k8s.io:signers =example.com/*")},
		{control: "no-csr-approval", text: inShop("approve certificates.k8s.io:signers")},
	}},
	{15, "sign certificates", []tuple{
		{control: "no-csr-signing", apart: true, text: cluster("update certificates.k8s.io:certificatesigningrequests/status", "sign certificates.k8s.io:signers")},
		{control: "no-csr-signing", apart: true, text: cluster("sign certificates.k8s.io:signers =kubernetes.io/kubelet-serving") + another("", "patch certificates.k8s.io:certificatesigningrequests/status")},
	}, []tuple{
		{control: "no-csr-signing", text: cluster("sign certificates.k8s.io:signers")},
		{control: "no-csr-signing", text: cluster("update certificates.k8s.io:certificatesigningrequests/status")},
		{control: "no-csr-signing", text: cluster("update certificates.k8s.io:certificatesigningrequests/status", "sign certificates.k8s.io:signers =example.com/ca")},
	}},
}

var clusterPrimitives = []primitive{
	{16, "write webhooks", slices.Concat(
		each("no-admission-writers", cluster, "create admissionregistration.k8s.io:mutatingwebhookconfigurations", "patch admissionregistration.k8s.io:mutatingwebhookconfigurations"),
		apart(each("no-admission-writers", cluster, "patch admissionregistration.k8s.io:validatingwebhookconfigurations",
			"delete admissionregistration.k8s.io:validatingwebhookconfigurations")),
	), []tuple{
		{control: "no-admission-writers", text: cluster("patch admissionregistration.k8s.io:mutatingwebhookconfigurations =mine", "get,list,watch admissionregistration.k8s.io:*")},
		{control: "no-admission-writers", text: inShop("create admissionregistration.k8s.io:mutatingwebhookconfigurations")},
	}},
	{17, "write admission policies", []tuple{
		{control: "no-admission-writers", since: 30, apart: true, text: cluster("create admissionregistration.k8s.io:validatingadmissionpolicies")},
		{control: "no-admission-writers", since: 30, apart: true, text: cluster("delete admissionregistration.k8s.io:validatingadmissionpolicybindings")},
		{control: "no-admission-writers", since: 36, apart: true, text: cluster("update admissionregistration.k8s.io:mutatingadmissionpolicies")},
		{control: "no-admission-writers", since: 36, apart: true, text: cluster("patch admissionregistration.k8s.io:mutatingadmissionpolicybindings")},
		{control: "no-admission-writers", since: 36, text: cluster("create admissionregistration.k8s.io:mutatingadmissionpolicies,mutatingadmissionpolicybindings")},
	}, []tuple{
		{control: "no-admission-writers", text: cluster("get admissionregistration.k8s.io:validatingadmissionpolicies", "update admissionregistration.k8s.io:validatingadmissionpolicies/status")},
	}},
	{18, "write PersistentVolumes", each("no-volume-creators", cluster, "create persistentvolumes"), []tuple{
		{control: "no-volume-creators", text: cluster("create persistentvolumeclaims", "get persistentvolumes")},
		{control: "no-volume-creators", text: inShop("create persistentvolumes")},
	}},
	{19, "change namespaces", slices.Concat(
		each("no-namespace-writers", cluster, "patch namespaces", "update namespaces", "update namespaces =shop"),
		each("no-namespace-writers", inShop, "patch namespaces"),
	), []tuple{
		{control: "no-namespace-writers", text: cluster("get,create,delete namespaces", "patch namespaces/status", "update namespaces/finalize")},
	}},
	{20, "steal pods", []tuple{
		{control: "no-pod-stealing", text: cluster("patch nodes", "delete pods")},
		{control: "no-pod-stealing", text: cluster("update nodes/status", "create pods/eviction")},
		{control: "no-pod-stealing", text: cluster("patch nodes/status", "delete nodes")},
		{control: "no-pod-stealing", text: cluster("patch nodes") + another("shop", "deletecollection pods")},
	}, []tuple{
		{control: "no-pod-stealing", text: cluster("patch nodes", "patch nodes/status")},
		{control: "no-pod-stealing", text: cluster("delete pods", "create pods/eviction", "get nodes")},
		{control: "no-pod-stealing", text: cluster("patch nodes") + another("shop", "delete nodes")},
		{control: "no-pod-stealing", text: cluster("patch nodes =node-1", "delete pods")},
		{control: "no-pod-stealing", text: cluster("patch nodes") + theirs("{kind: User, name: jane}", "", "delete pods")},
	}},
	{21, "write status", slices.Concat(
		each("no-status-writers", cluster, "update pods/status", "patch services/status"),
		each("no-status-writers", inShop, "patch pods/status", "update services/status"),
	), []tuple{
		{control: "no-status-writers", text: cluster("get pods/status", "update apps:deployments/status", "patch pods,services")},
	}},
	{22, "direct traffic", slices.Concat(
		each("no-traffic-writers", cluster, "create services", "update endpoints", "patch discovery.k8s.io:endpointslices", "create networking.k8s.io:ingresses",
			"delete networking.k8s.io:networkpolicies", "create networking.k8s.io:networkpolicies", "patch gateway.networking.k8s.io:httproutes", "create gateway.networking.k8s.io:grpcroutes",
			"create gateway.networking.k8s.io:tcproutes", "create gateway.networking.k8s.io:tlsroutes", "create gateway.networking.k8s.io:udproutes"),
		each("no-traffic-writers-in-namespace", inShop, "create services", "update endpoints", "patch networking.k8s.io:networkpolicies"),
	), []tuple{
		{control: "no-traffic-writers", text: inShop("create services")},
		{control: "no-traffic-writers", text: cluster("get,list,watch,delete services", "update services/status", "update services =mine", "create networking.k8s.io:ingressclasses")},
		{control: "no-traffic-writers-in-namespace", text: inShop("get networking.k8s.io:networkpolicies")},
	}},
	{23, "write storage", each("no-storage-writers", cluster, "create storage.k8s.io:csidrivers", "update storage.k8s.io:storageclasses", "patch storage.k8s.io:*", "create storage.k8s.io:volumeattachments"), []tuple{
		{control: "no-storage-writers", text: cluster("get storage.k8s.io:storageclasses", "create storage.k8s.io:csistoragecapacities", "create persistentvolumeclaims")},
		{control: "no-storage-writers", text: inShop("create storage.k8s.io:storageclasses")},
	}},
	{24, "write definitions and policies of engines", slices.Concat(
		each("no-definition-writers", cluster, "create apiextensions.k8s.io:customresourcedefinitions", "delete apiextensions.k8s.io:customresourcedefinitions"),
		each("no-policy-writers", cluster, "update kyverno.io:clusterpolicies", "create policies.kyverno.io:mutatingpolicies", "create templates.gatekeeper.sh:constrainttemplates",
			"delete constraints.gatekeeper.sh:k8sallowedrepos", "patch mutations.gatekeeper.sh:assign", "create bulkhead.dev:waivers"),
		each("no-policy-writers", inShop, "create kyverno.io:policyexceptions", "create bulkhead.dev:waivers"),
	), []tuple{
		{control: "no-definition-writers", text: cluster("get apiextensions.k8s.io:customresourcedefinitions", "update apiextensions.k8s.io:customresourcedefinitions =shops.example.com")},
		{control: "no-policy-writers", text: cluster("get kyverno.io:*", "create wgpolicyk8s.io:policyreports", "patch constraints.gatekeeper.sh:k8sallowedrepos/status")},
		{control: "no-policy-writers", text: inShop("create kyverno.io:policies", "create kyverno.io:clusterpolicies")},
	}},
	{25, "change aws-auth and coredns", []tuple{
		{control: "no-system-config-writers", text: cluster("update configmaps")},
		{control: "no-system-config-writers", text: cluster("patch configmaps =aws-auth")},
		{control: "no-system-config-writers", text: in("kube-system", "patch configmaps =coredns")},
		{control: "no-system-config-writers", text: in("kube-system", "update configmaps")},
	}, []tuple{
		{control: "no-system-config-writers", text: in("kube-system", "update configmaps =election")},
		{control: "no-system-config-writers", text: inShop("update configmaps", "patch configmaps =aws-auth")},
		{control: "no-system-config-writers", text: cluster("get,create,delete configmaps")},
	}},
	{26, "register servers, bind pods, change what policies read", slices.Concat(
		each("no-api-service-writers", cluster, "create apiregistration.k8s.io:apiservices", "patch apiregistration.k8s.io:apiservices"),
		each("no-pod-binders", cluster, "create pods/binding", "create bindings"),
		[]tuple{
			{control: "no-policy-parameter-writers", text: policy("ValidatingAdmissionPolicy", "{name: limits, namespace: policies}") + in("policies", "update configmaps =limits")},
			{control: "no-policy-parameter-writers", text: policy("MutatingAdmissionPolicy", "{name: limits, namespace: policies}") + cluster("patch configmaps")},
			{control: "no-policy-parameter-writers", text: policy("ValidatingAdmissionPolicy", "{selector: {}}") + inShop("create configmaps")},
		},
	), []tuple{
		{control: "no-api-service-writers", text: cluster("patch apiregistration.k8s.io:apiservices =v1.example.com", "get,list,watch apiregistration.k8s.io:apiservices")},
		{control: "no-pod-binders", text: cluster("get pods/binding", "create pods/eviction", "create "+rbacPrefix+"bindings")},
		{control: "no-policy-parameter-writers", text: policy("ValidatingAdmissionPolicy", "{name: limits, namespace: policies}") + inShop("update configmaps")},
		{control: "no-policy-parameter-writers", text: policy("ValidatingAdmissionPolicy", "{name: limits, namespace: policies}") + in("policies", "update configmaps =other", "get configmaps")},
		{control: "no-policy-parameter-writers", text: strings.Replace(policy("ValidatingAdmissionPolicy", "{name: limits, namespace: policies}"), "policyName: p", "policyName: q", 1) + cluster("update configmaps")},
	}},
	{27, "wildcards, and deleting all at once", slices.Concat(
		each("no-full-access-roles", cluster, "* *:*"), each("no-full-access-roles", inShop, "* *:*"),
		each("no-wildcard-verbs", cluster, "* configmaps"), each("no-wildcard-resources", inShop, "get apps:*"), each("no-wildcard-groups", cluster, "get *:pods"),
		each("no-collection-deletion", cluster, "deletecollection apps:deployments"),
	), []tuple{
		{control: "no-full-access-roles", text: cluster("get,list,watch *:*")},
		{control: "no-wildcard-verbs", text: cluster("* configmaps =mine", "* example.com:shops")},
		{control: "no-wildcard-resources", text: cluster("get apps:*/status")},
		{control: "no-wildcard-groups", text: cluster("get pods", "get *:deployments =web")},
		{control: "no-collection-deletion", text: inShop("deletecollection apps:deployments")},
		{control: "no-collection-deletion", text: cluster("delete apps:deployments", "deletecollection example.com:shops")},
	}},
	{28, "cloud roles", slices.Concat(
		each("no-cloud-roles", account("web"), "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"),
		each("no-default-account-cloud-roles", account("default"), "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"),
		each("no-service-account-writers", inShop, "patch serviceaccounts", "update serviceaccounts"),
		each("no-service-account-writers", cluster, "patch serviceaccounts"),
	), []tuple{
		{control: "no-cloud-roles", text: account("web")("azure.workload.identity/tenant-id")},
		{control: "no-default-account-cloud-roles", text: account("web")("eks.amazonaws.com/role-arn")},
		{control: "no-service-account-writers", text: cluster("get,delete serviceaccounts", "patch serviceaccounts =web")},
	}},
	{29, "system:masters and everyone", []tuple{
		{control: "no-system-masters", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "view", "{kind: Group, name: system:masters}")},
		{control: "no-system-masters", text: "{apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth, namespace: kube-system}, data: {mapUsers: '[{username: jane, groups: [system:masters]}]'}}"},
		{control: "no-anonymous-access", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "view", "{kind: User, name: system:anonymous}")},
		{control: "no-anonymous-access", text: bind("RoleBinding", "shop", "b", "ClusterRole", "view", "{kind: Group, name: system:unauthenticated}")},
		{control: "no-authenticated-access", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "view", "{kind: Group, name: system:authenticated}")},
	}, []tuple{
		{control: "no-system-masters", text: bind("ClusterRoleBinding", "", "cluster-admin", "ClusterRole", "cluster-admin", "{kind: Group, name: system:masters}")},
		{control: "no-system-masters", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "view", "{kind: User, name: system:masters}")},
		{control: "no-anonymous-access", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "system:public-info-viewer", "{kind: Group, name: system:unauthenticated}")},
		{control: "no-authenticated-access", text: bind("ClusterRoleBinding", "", "b", "ClusterRole", "system:basic-user", "{kind: Group, name: system:authenticated}")},
	}},
}

// newest is the minor version of Kubernetes 1 that is judged for where none is said.
const newest = 37

// TestPrimitives judges each tuple by its control, on both sides of its bounds.
func TestPrimitives(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*check.Control{}
	for _, c := range controls {
		byName[c.Name] = c
	}
	for i, p := range everyPrimitive() {
		if p.row != i+1 || len(p.found) == 0 || len(p.near) == 0 {
			t.Errorf("row %d: %d, with %d tuples and %d that are none", i+1, p.row, len(p.found), len(p.near))
		}
		t.Run(fmt.Sprintf("%d %s", p.row, p.name), func(t *testing.T) {
			expect := func(tuple tuple, version int, want bool) {
				t.Helper()
				c := byName[tuple.control]
				if c == nil {
					t.Fatalf("there is no control %s", tuple.control)
				}
				if got := fails(t, c, tuple.text, version); (len(got) > 0) != want {
					t.Errorf("1.%d, %s: found %v, want %v:\n%s", version, c.Name, got, want, tuple.text)
				}
			}
			for _, tuple := range p.found {
				first, last := max(tuple.since, 25), newest
				if tuple.until > 0 {
					last = tuple.until
					expect(tuple, last+1, false)
				}
				if tuple.since > 0 {
					expect(tuple, first-1, false)
				}
				expect(tuple, first, true)
				expect(tuple, last, true)
			}
			for _, tuple := range p.near {
				expect(tuple, newest, false)
			}
		})
	}
	if n := len(everyPrimitive()); n != 29 {
		t.Errorf("the table has %d rows", n)
	}
}

// fails returns what one control finds.
func fails(t *testing.T, c *check.Control, text string, version int) []string {
	t.Helper()
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{world(t, text)}}, check.Options{Controls: []*check.Control{c}, Version: version,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		}})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range out.Findings {
		if f.Verdict != finding.Fail {
			t.Errorf("%s: %s is %s: %s", c.Name, f.Object, f.Verdict, f.Message)
		}
		found = append(found, f.Message)
	}
	return found
}

// each makes a tuple of each rule.
func each(control string, grant func(rules ...string) string, rules ...string) []tuple {
	var out []tuple
	for _, r := range rules {
		out = append(out, tuple{control: control, text: grant(r)})
	}
	return out
}

// apart marks what no chain of escalation goes by.
func apart(lists ...[]tuple) []tuple {
	out := slices.Concat(lists...)
	for i := range out {
		out[i].apart = true
	}
	return out
}

const shopWeb = "{kind: ServiceAccount, name: web, namespace: shop}"

// cluster is a role of rules like "get,list apps:deployments =web", which a service
// account holds in the whole cluster; inShop and in are those in a namespace.
func cluster(rules ...string) string { return granted("role", shopWeb, "", rules) }

func inShop(rules ...string) string { return granted("role", shopWeb, "shop", rules) }

func in(namespace string, rules ...string) string { return granted("role", shopWeb, namespace, rules) }

// another is a second role of the same account.
func another(namespace string, rules ...string) string {
	return granted("another", shopWeb, namespace, rules)
}

// theirs is a role of somebody else.
func theirs(subject, namespace string, rules ...string) string {
	return granted("theirs", subject, namespace, rules)
}

func granted(name, subject, namespace string, rules []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s/v1\nkind: ClusterRole\nmetadata: {name: %s}\nrules:\n", apiGroup, name)
	for _, r := range rules {
		verbs, rest, _ := strings.Cut(r, " ")
		resources, names, named := strings.Cut(rest, " =")
		group, list, ok := strings.Cut(resources, ":")
		if !ok {
			group, list = "", resources
		}
		fmt.Fprintf(&b, "- {apiGroups: [%q], resources: [%s], verbs: [%s]", group, inQuotes(list), inQuotes(verbs))
		if named {
			fmt.Fprintf(&b, ", resourceNames: [%s]", inQuotes(names))
		}
		b.WriteString("}\n")
	}
	kind := "ClusterRoleBinding"
	if namespace != "" {
		kind = "RoleBinding"
	}
	return b.String() + "---\n" + bind(kind, namespace, name, "ClusterRole", name, subject)
}

func inQuotes(list string) string {
	return `"` + strings.ReplaceAll(list, ",", `", "`) + `"`
}

// policy is an admission policy with a binding that refers to parameters.
func policy(kind, ref string) string {
	return fmt.Sprintf(`{apiVersion: %[1]s/v1, kind: %[2]s, metadata: {name: p}, spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}}
---
{apiVersion: %[1]s/v1, kind: %[2]sBinding, metadata: {name: p}, spec: {policyName: p, paramRef: %[3]s}}
---
`, admissionGroup, kind, ref)
}

// account is a service account with an annotation.
func account(name string) func(...string) string {
	return func(keys ...string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: shop, annotations: {%s: some-role}}}", name, keys[0])
	}
}
