package model

import (
	"testing"
)

func marked(kind, name string, meta map[string]any) *Object {
	apiVersion := "apps/v1"
	if kind == "Pod" {
		apiVersion = "v1"
	}
	if meta == nil {
		meta = map[string]any{}
	}
	meta["name"], meta["namespace"], meta["uid"] = name, "n", "uid-"+name
	o, _ := NewObject(map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}, nil, Source{})
	return o
}

func ownedBy(apiVersion, kind, name, uid string) map[string]any {
	return map[string]any{"ownerReferences": []any{map[string]any{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": uid, "controller": true}}}
}

func labelled(key, value string) map[string]any {
	return map[string]any{"labels": map[string]any{key: value}}
}

func annotated(key, value string) map[string]any {
	return map[string]any{"annotations": map[string]any{key: value}}
}

func TestPlatformOf(t *testing.T) {
	addon := marked("Deployment", "dns", labelled("addonmanager.kubernetes.io/mode", "Reconcile"))
	replicas := marked("ReplicaSet", "dns-1", ownedBy("apps/v1", "Deployment", "dns", "uid-dns"))
	once := labelled("addonmanager.kubernetes.io/mode", "EnsureExists")
	once["labels"].(map[string]any)["kubernetes.io/cluster-service"] = "true"
	loop := marked("ReplicaSet", "loop", ownedBy("apps/v1", "ReplicaSet", "loop", "uid-loop"))
	for _, test := range []struct {
		object     *Object
		name, sign string
	}{
		{addon, "addon-manager", "label addonmanager.kubernetes.io/mode=Reconcile"},
		{replicas, "addon-manager", "label addonmanager.kubernetes.io/mode=Reconcile"},
		{marked("Pod", "dns-1-a", ownedBy("apps/v1", "ReplicaSet", "dns-1", "uid-dns-1")), "addon-manager", "label addonmanager.kubernetes.io/mode=Reconcile"},
		// An owner that was made again under the same name is another.
		{marked("Pod", "dns-1-b", ownedBy("apps/v1", "ReplicaSet", "dns-1", "other")), "", ""},
		{marked("Pod", "proxy-node1", ownedBy("v1", "Node", "node1", "u")), "kubelet", "owner Node/node1"},
		{marked("Pod", "proxy-node2", ownedBy("example.com/v1", "Node", "node1", "u")), "", ""},
		// Made once, and then the user's own.
		{marked("Deployment", "once", once), "", ""},
		{marked("Deployment", "service", labelled("kubernetes.io/cluster-service", "true")), "addon-manager", "label kubernetes.io/cluster-service=true"},
		{marked("Deployment", "no", labelled("kubernetes.io/cluster-service", "false")), "", ""},
		{marked("Deployment", "aks", labelled("kubernetes.azure.com/managedby", "AKS")), "AKS", "label kubernetes.azure.com/managedby=AKS"},
		{marked("Deployment", "eks", labelled("eks.amazonaws.com/component", "coredns")), "EKS", "label eks.amazonaws.com/component=coredns"},
		{marked("Deployment", "gke", annotated("components.gke.io/component-name", "pdcsi")), "GKE", "annotation components.gke.io/component-name=pdcsi"},
		{marked("Deployment", "ocp", annotated("include.release.openshift.io/single-node-developer", "true")), "OpenShift", "annotation include.release.openshift.io/single-node-developer=true"},
		{marked("Deployment", "k3s", annotated("objectset.rio.cattle.io/owner-gvk", "k3s.cattle.io/v1, Kind=Addon")), "K3s", "annotation objectset.rio.cattle.io/owner-gvk=k3s.cattle.io/v1, Kind=Addon"},
		{marked("Deployment", "rancher", annotated("objectset.rio.cattle.io/owner-gvk", "fleet.cattle.io/v1, Kind=Bundle")), "", ""},
		{marked("Deployment", "kops", labelled("addon.kops.k8s.io/name", "coredns.addons.k8s.io")), "kOps", "label addon.kops.k8s.io/name=coredns.addons.k8s.io"},
		{marked("Deployment", "helm", labelled("app.kubernetes.io/managed-by", "Helm")), "", ""},
		{loop, "", ""},
	} {
		w := NewWorld([]*Object{addon, replicas, loop, test.object}, WorldOptions{Live: true})
		got := w.PlatformOf(test.object)
		if got == nil {
			got = &Keeper{}
		}
		if got.Name != test.name || got.Sign != test.sign {
			t.Errorf("%s: %+v, want %s, %s", test.object.Name, *got, test.name, test.sign)
		}
	}
	// A namespace proves nothing.
	o := marked("Deployment", "mine", nil)
	o.Content["metadata"].(map[string]any)["namespace"], o.Namespace = "kube-system", "kube-system"
	if got := NewWorld([]*Object{o}, WorldOptions{Live: true}).PlatformOf(o); got != nil {
		t.Errorf("a workload in kube-system: %+v", *got)
	}
}

func TestKeeperOf(t *testing.T) {
	for want, meta := range map[string]map[string]any{
		"AKS":                             labelled("kubernetes.azure.com/managedby", "aks"),
		"Helm release shop":               annotated("meta.helm.sh/release-name", "shop"),
		"Helm":                            labelled("app.kubernetes.io/managed-by", "Helm"),
		"Argo CD application web":         annotated("argocd.argoproj.io/tracking-id", "web:apps/Deployment:n/x"),
		"Flux kustomization apps":         labelled("kustomize.toolkit.fluxcd.io/name", "apps"),
		"Config Sync":                     annotated("configmanagement.gke.io/managed", "enabled"),
		"Operator Lifecycle Manager op.1": labelled("olm.owner", "op.1"),
		"":                                labelled("app.kubernetes.io/managed-by", "my-team"),
	} {
		o := marked("Deployment", "x", meta)
		got := NewWorld([]*Object{o}, WorldOptions{Live: true}).KeeperOf(o)
		if got == nil {
			got = &Keeper{}
		}
		if got.Name != want {
			t.Errorf("%v: %q, want %q", meta, got.Name, want)
		}
	}
}

func TestReplaced(t *testing.T) {
	a, b := marked("Deployment", "a", nil), marked("Deployment", "b", nil)
	w := NewWorld([]*Object{a, b}, WorldOptions{Live: true, Unobserved: []Unobserved{{GroupKind: GroupKind{Kind: "Pod"}, Reason: "no"}}})
	content := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "a", "namespace": "n"}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}
	changed := a.With(content)
	got := w.Replaced(map[*Object]*Object{a: changed})
	kind := GroupKind{"apps", "Deployment"}
	if got.Objects[0] != changed || got.Objects[1] != b || got.Kind(kind)[0] != changed || got.Unobserved(GroupKind{Kind: "Pod"}, "n") != "no" || !got.Live || !got.Complete {
		t.Errorf("%+v", got)
	}
	if w.Objects[0] != a || w.Kind(kind)[0] != a || changed.Pod() == nil {
		t.Error("the world itself was changed")
	}
}
