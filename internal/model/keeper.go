package model

import (
	"fmt"
	"strings"
)

// Keeper is who puts an object back when somebody else changes it.
type Keeper struct {
	// Name is what keeps it: "AKS", "Helm release shop".
	Name string
	// Sign is what says so: a label, an annotation, an owner.
	Sign string
}

// sign is a label or an annotation by which a keeper marks what it keeps. A tenant
// can set any of them: they tell things apart, and prove nothing.
type sign struct {
	keeper string
	// key may end in *, which stands for any rest.
	key string
	// value is compared without regard to case; empty takes any, and a * at its end
	// any rest.
	value      string
	annotation bool
}

// platforms mark what comes with the cluster.
var platforms = []sign{
	// kubernetes/kubernetes, cluster/addons/addon-manager/README.md: Reconcile is put
	// back. EnsureExists is made once and is then the user's own.
	{keeper: "addon-manager", key: "addonmanager.kubernetes.io/mode", value: "Reconcile"},
	// The older mark of the same. Where EnsureExists says that it is the user's, it is.
	{keeper: "addon-manager", key: "kubernetes.io/cluster-service", value: "true"},
	// plugin/pkg/auth/authorizer/rbac/bootstrappolicy: the API server restores them.
	{keeper: "kube-apiserver", key: "kubernetes.io/bootstrapping", value: "rbac-defaults"},
	{keeper: "AKS", key: "kubernetes.azure.com/managedby", value: "aks"},
	{keeper: "AKS", key: "app.kubernetes.io/managed-by", value: "aks"},
	{keeper: "EKS", key: "eks.amazonaws.com/component"},
	{keeper: "EKS", key: "app.kubernetes.io/managed-by", value: "eks"},
	{keeper: "GKE", key: "components.gke.io/component-name", annotation: true},
	{keeper: "GKE", key: "app.kubernetes.io/managed-by", value: "gke"},
	{keeper: "kOps", key: "addon.kops.k8s.io/name"},
	{keeper: "OpenShift", key: "include.release.openshift.io/*", value: "true", annotation: true},
	{keeper: "K3s", key: "objectset.rio.cattle.io/owner-gvk", value: "k3s.cattle.io/v1, Kind=Addon", annotation: true},
}

// deployers mark what they deploy for the cluster's users.
var deployers = []sign{
	{keeper: "Helm release", key: "meta.helm.sh/release-name", annotation: true},
	{keeper: "Argo CD application", key: "argocd.argoproj.io/tracking-id", annotation: true},
	{keeper: "Argo CD application", key: "argocd.argoproj.io/instance"},
	{keeper: "Flux kustomization", key: "kustomize.toolkit.fluxcd.io/name"},
	{keeper: "Flux release", key: "helm.toolkit.fluxcd.io/name"},
	{keeper: "Operator Lifecycle Manager", key: "olm.owner"},
	{keeper: "Fleet", key: "objectset.rio.cattle.io/id", annotation: true},
	{keeper: "kapp", key: "kapp.k14s.io/app"},
	{keeper: "Config Sync", key: "configmanagement.gke.io/managed", value: "enabled", annotation: true},
	{keeper: "Helm", key: "app.kubernetes.io/managed-by", value: "Helm"},
}

func (s *sign) on(labels, annotations map[string]string) (key, value string, ok bool) {
	in := labels
	if s.annotation {
		in = annotations
	}
	if prefix, many := strings.CutSuffix(s.key, "*"); many {
		for k, v := range in {
			if strings.HasPrefix(k, prefix) && strings.EqualFold(v, s.value) {
				// Any of them will do, and the same one each time.
				if key == "" || k < key {
					key, value = k, v
				}
			}
		}
		return key, value, key != ""
	}
	value, ok = in[s.key]
	return s.key, value, ok && (s.value == "" || strings.EqualFold(value, s.value))
}

func (s *sign) String() string {
	if s.annotation {
		return "annotation"
	}
	return "label"
}

// PlatformOf says which part of the platform keeps an object of a cluster, by the
// marks of the object itself or of what owns it; nil where nothing says that one
// does. A namespace says nothing: kube-system has workloads of users too.
func (w *World) PlatformOf(o *Object) *Keeper {
	// A chain of owners is short; one that names itself has no end.
	for range maxOwners {
		if k := platformSign(o); k != nil {
			return k
		}
		owner, by, _ := w.controllerOf(o)
		if by.GroupKind == (GroupKind{Kind: "Node"}) {
			return &Keeper{Name: "kubelet", Sign: "owner Node/" + by.Name}
		}
		if owner == nil {
			return nil
		}
		o = owner
	}
	return nil
}

// maxOwners bounds a chain of owners: of a Pod, a ReplicaSet and a Deployment, say.
const maxOwners = 5

func platformSign(o *Object) *Keeper {
	labels, annotations := o.Labels(), o.Annotations()
	once := labels["addonmanager.kubernetes.io/mode"] == "EnsureExists"
	for i := range platforms {
		s := &platforms[i]
		if once && s.keeper == "addon-manager" {
			continue
		}
		if key, value, ok := s.on(labels, annotations); ok {
			return &Keeper{Name: s.keeper, Sign: fmt.Sprintf("%s %s=%s", s, key, value)}
		}
	}
	return nil
}

// KeeperOf says who keeps an object of a cluster: the platform, or what deployed it
// there. Nil where nothing says that anybody does.
func (w *World) KeeperOf(o *Object) *Keeper {
	if k := w.PlatformOf(o); k != nil {
		return k
	}
	labels, annotations := o.Labels(), o.Annotations()
	for i := range deployers {
		s := &deployers[i]
		key, value, ok := s.on(labels, annotations)
		if !ok {
			continue
		}
		name := s.keeper
		if s.value == "" {
			// Argo CD writes application:group/kind:namespace/name.
			value, _, _ := strings.Cut(value, ":")
			name = strings.TrimSpace(name + " " + value)
		}
		return &Keeper{Name: name, Sign: fmt.Sprintf("%s %s=%s", s, key, value)}
	}
	return nil
}

// ControllerOf returns the object that makes o, nil where it was not read, and its
// name, empty where nothing makes o: "ReplicaSet/web-1".
func (w *World) ControllerOf(o *Object) (*Object, string) {
	owner, by, managed := w.controllerOf(o)
	if !managed {
		return nil, ""
	}
	return owner, by.Kind + "/" + by.Name
}

// makers are the objects that own others: what makes pods.
var makers = NewFact(func(w *World) map[ID]*Object {
	index := map[ID]*Object{}
	for _, o := range w.Objects {
		if o.pod != nil && o.GroupKind != (GroupKind{Kind: "Pod"}) {
			index[o.ID()] = o
		}
	}
	return index
})

func (w *World) controllerOf(o *Object) (owner *Object, by Owner, managed bool) {
	by, managed = o.Controller()
	owner = makers.Of(w)[by.ID]
	// An owner of the same name that was made later is another one.
	if owner != nil && owner.Text("metadata", "uid") != by.UID {
		owner = nil
	}
	return owner, by, managed
}
