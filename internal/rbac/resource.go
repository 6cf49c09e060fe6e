package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// shortNames are those that the API server itself serves for resources. A test holds
// them against its discovery.
var shortNames = map[string]string{
	"cm": "configmaps", "cs": "componentstatuses", "ep": "endpoints", "ev": "events", "limits": "limitranges", "no": "nodes", "ns": "namespaces",
	"po": "pods", "pv": "persistentvolumes", "pvc": "persistentvolumeclaims", "quota": "resourcequotas", "rc": "replicationcontrollers",
	"sa": "serviceaccounts", "svc": "services", "crd": "customresourcedefinitions", "crds": "customresourcedefinitions", "deploy": "deployments",
	"ds": "daemonsets", "rs": "replicasets", "sts": "statefulsets", "hpa": "horizontalpodautoscalers", "cj": "cronjobs",
	"csr": "certificatesigningrequests", "ing": "ingresses", "netpol": "networkpolicies", "pdb": "poddisruptionbudgets",
	"pc": "priorityclasses", "sc": "storageclasses", "vac": "volumeattributesclasses", "ip": "ipaddresses",
}

// Resource is what a person has named: how rules write it, and where it lives.
type Resource struct {
	Group, Name, Subresource string
	Namespaced               bool
	// Known says that it is a resource of Kubernetes, or of a definition in the world.
	Known bool
}

// FindResource reads pods, po, Pod, deployments.apps, pods/exec or *, as kubectl does:
// the plural, the singular, a short name or the kind, with or without its group, and
// with its subresource. Custom resources are those whose definitions the world has.
func FindResource(w *model.World, text string) (Resource, error) {
	whole, sub, hasSub := strings.Cut(text, "/")
	name, group, grouped := strings.Cut(whole, ".")
	if name == "" || hasSub && sub == "" {
		return Resource{}, fmt.Errorf("%q is no resource: write it like pods, pods/exec or deployments.apps", text)
	}
	found := Resource{Group: group, Name: strings.ToLower(name), Subresource: sub, Namespaced: true}
	if name == "*" {
		if !grouped {
			found.Group = "*" // as kubectl auth can-i has it
		}
		found.Known = true
		return found, nil
	}
	plural := cmp.Or(shortNames[found.Name], found.Name)
	var matches []Resource
	for _, r := range resourcesOf(w) {
		if (r.Name == plural || strings.EqualFold(r.Kind, name)) && (!grouped || r.Group == group) {
			matches = append(matches, Resource{r.Group, r.Name, sub, r.Namespaced, true})
		}
	}
	if len(matches) == 0 {
		// Names that stand for no object, such as users and signers, are asked about too.
		found.Known = serverResources()[found.Group][found.Name]
		return found, nil
	}
	// Of several groups that of core comes first, and one that is no longer served last.
	return slices.MinFunc(matches, func(a, b Resource) int {
		old := func(r Resource) int {
			if r.Group == "extensions" {
				return 1
			}
			return 0
		}
		return cmp.Or(old(a)-old(b), cmp.Compare(a.Group, b.Group))
	}), nil
}

// resourcesOf are those of Kubernetes itself, and those that the world defines.
func resourcesOf(w *model.World) []model.Resource {
	out := model.BuiltinResources()
	for _, o := range w.Kind(model.DefinitionKind) {
		out = append(out, model.DefinedResource(o))
	}
	return out
}

// ParseSubject reads who somebody is: jane or User/jane, Group/dev, and of service
// accounts ServiceAccount/NAMESPACE/NAME, sa/NAMESPACE/NAME or the user name
// system:serviceaccount:NAMESPACE:NAME.
func ParseSubject(text string) (Subject, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok {
		if text == "" {
			return Subject{}, fmt.Errorf("a subject has a name: jane, Group/dev or sa/shop/web")
		}
		return newSubject(userNamed(text), ""), nil
	}
	switch strings.ToLower(kind) {
	case "user":
		if name != "" {
			return newSubject(userNamed(name), ""), nil
		}
	case "group":
		if name != "" {
			return Subject{Kind: "Group", Name: name}, nil
		}
	case "sa", "serviceaccount":
		if ns, account, ok := strings.Cut(name, "/"); ok && ns != "" && account != "" {
			return Subject{"ServiceAccount", ns, account}, nil
		}
	default:
		// Names of users may have slashes: those of SPIFFE, for one.
		return newSubject(userNamed(text), ""), nil
	}
	return Subject{}, fmt.Errorf("%q is no subject: write jane, User/jane, Group/dev or sa/NAMESPACE/NAME", text)
}
