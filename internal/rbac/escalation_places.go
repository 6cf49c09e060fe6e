package rbac

import (
	"cmp"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// place is an object that leads to somebody: a pod to its service account.
type place struct {
	namespace, name string
	to              nodeKey
}

// places are all objects of a kind that lead to somebody, in order.
type places struct {
	number int
	all    []place
	in     map[string][]place
	named  map[string][]place
	// unobserved says why some of a namespace may be missing.
	unobserved func(namespace string) string
}

func newPlaces(all []place, unobserved func(string) string) *places {
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name), a.to.compare(b.to))
	})
	p := &places{all: slices.Compact(all), in: map[string][]place{}, named: map[string][]place{}, unobserved: unobserved}
	for _, at := range p.all {
		p.in[at.namespace] = append(p.in[at.namespace], at)
		p.named[at.name] = append(p.named[at.name], at)
	}
	return p
}

// key is the node of whoever some object of a namespace leads to, or of all namespaces
// where that is empty.
func (p *places) key(namespace string) nodeKey {
	return nodeKey{kind: someNode, list: p.number, namespace: namespace}
}

func (p *places) within(namespace string) []place {
	if namespace == "" {
		return p.all
	}
	return p.in[namespace]
}

func (p *places) find(namespace, name string) []place {
	all := p.named[name]
	if namespace == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(at place) bool { return at.namespace != namespace })
}

// addPlaces numbers a list, so that nodes can name it.
func (g *graph) addPlaces(all []place, unobserved func(string) string) *places {
	p := newPlaces(all, unobserved)
	p.number = len(g.lists)
	g.lists = append(g.lists, p)
	return p
}

// findPlaces lists all objects of the world that steps lead through.
func (g *graph) findPlaces() {
	w := g.index.world
	var users, groups, common []place
	known := map[Subject]bool{}
	for s := range g.bound {
		at := place{name: s.Name, to: subjectKey(s)}
		switch {
		case s.Kind == rbacv1.ServiceAccountKind:
			known[s] = true
		case s.Kind == rbacv1.UserKind:
			users = append(users, at)
		case s.Name != mastersGroup:
			groups, common = append(groups, at), append(common, at)
		}
	}
	masters := Subject{Kind: rbacv1.GroupKind, Name: mastersGroup}
	groups = append(groups, place{name: mastersGroup, to: subjectKey(masters)})
	g.users, g.groups, g.commonGroups = g.addPlaces(users, nil), g.addPlaces(groups, nil), g.addPlaces(common, nil)

	there := map[Subject]bool{}
	for _, o := range w.Kind(serviceAccountKind) {
		there[Subject{rbacv1.ServiceAccountKind, o.Namespace, o.Name}] = true
	}
	for ns := range g.namespaces {
		there[Subject{rbacv1.ServiceAccountKind, ns, "default"}] = true // a controller makes it
	}
	var accounts, anyAccounts []place
	for s := range there {
		known[s] = true
	}
	for s := range known {
		at := place{s.Namespace, s.Name, subjectKey(s)}
		anyAccounts = append(anyAccounts, at)
		// Controllers make their accounts themselves, when they first need them.
		if there[s] || !w.Closed(s.Namespace) || w.Unobserved(serviceAccountKind, s.Namespace) != "" {
			accounts = append(accounts, at)
		}
	}
	unread := func(gk model.GroupKind, what string) func(string) string {
		return func(namespace string) string { return g.unread(gk, namespace, what) }
	}
	g.accounts = g.addPlaces(accounts, unread(serviceAccountKind, "service accounts"))
	g.anyAccounts = g.addPlaces(anyAccounts, nil)
	g.tokens = g.addPlaces(g.tokenSecrets(), unread(secretKind, "Secrets"))
	var turned, turnedToAny []place
	for _, ns := range slices.Sorted(maps.Keys(g.tokens.in)) {
		turned = append(turned, place{ns, "", g.accounts.key(ns)})
		turnedToAny = append(turnedToAny, place{ns, "", g.anyAccounts.key(ns)})
	}
	g.turned, g.turnedToAny = g.addPlaces(turned, g.accounts.unobserved), g.addPlaces(turnedToAny, nil)
	g.running = g.addPlaces(g.runningPods(), unread(podKind, "pods"))
	var roles []place
	for key := range g.index.roles {
		if r := g.role(key); r != nil && key.namespace != "" {
			roles = append(roles, place{key.namespace, key.name, gainedKey(key.namespace, r)})
		}
	}
	g.namespacedRoles = g.addPlaces(roles, nil)
}

var (
	secretKind = model.GroupKind{Kind: "Secret"}
	podKind    = model.GroupKind{Kind: "Pod"}
)

// unread says why objects of a kind may be missing, empty where they are not.
func (g *graph) unread(gk model.GroupKind, namespace, what string) string {
	w := g.index.world
	reason := w.Unobserved(gk, namespace)
	if namespace == "" {
		for _, u := range w.Coverage() {
			if u.GroupKind == gk {
				reason = cmp.Or(reason, u.Reason)
			}
		}
	}
	if reason == "" {
		return ""
	}
	return what + " could not all be read: " + reason
}

// tokenSecrets are Secrets that a controller fills with a token.
func (g *graph) tokenSecrets() []place {
	var out []place
	for _, o := range g.index.world.Kind(secretKind) {
		account := o.Annotations()["kubernetes.io/service-account.name"]
		if o.Text("type") == "kubernetes.io/service-account-token" && account != "" {
			out = append(out, place{o.Namespace, o.Name, subjectKey(Subject{rbacv1.ServiceAccountKind, o.Namespace, account})})
		}
	}
	return out
}

// runningPods are the pods that have a token; in files, those that objects make.
func (g *graph) runningPods() []place {
	w := g.index.world
	objects := w.Objects
	if w.Live {
		objects = w.Kind(podKind)
	}
	var out []place
	for _, o := range objects {
		p := o.Pod()
		if p == nil || o.Ended() || NoToken(w, p) != "" {
			continue
		}
		out = append(out, place{o.Namespace, o.Name, subjectKey(Subject{rbacv1.ServiceAccountKind, o.Namespace, p.ServiceAccount()})})
	}
	return out
}

// changeable are the kinds whose pod template may be changed after they are made; that
// of a Job may not.
var changeable = []struct {
	by   ability
	kind model.GroupKind
}{
	{changeDeployments, model.GroupKind{Group: "apps", Kind: "Deployment"}},
	{changeDaemonSets, model.GroupKind{Group: "apps", Kind: "DaemonSet"}},
	{changeStatefulSets, model.GroupKind{Group: "apps", Kind: "StatefulSet"}},
	{changeReplicaSets, model.GroupKind{Group: "apps", Kind: "ReplicaSet"}},
	{changeCronJobs, model.GroupKind{Group: "batch", Kind: "CronJob"}},
	{changeReplicationControllers, model.GroupKind{Kind: "ReplicationController"}},
}

// changeableObjects lists the objects of a kind, nil where there may be others: those
// of a namespace lead to its accounts, those of the whole cluster to everything.
func (g *graph) changeableObjects(kind model.GroupKind) *places {
	if known, ok := g.changed[kind]; ok {
		return known
	}
	var list *places
	if w := g.index.world; w.Complete && g.unread(kind, "", "") == "" {
		var all []place
		for _, o := range w.Kind(kind) {
			to := adminKey
			if o.Namespace != "" {
				to = g.accounts.key(o.Namespace)
			}
			all = append(all, place{o.Namespace, o.Name, to})
		}
		list = g.addPlaces(all, nil)
	}
	g.changed[kind] = list
	return list
}
