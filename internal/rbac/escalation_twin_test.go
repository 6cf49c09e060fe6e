package rbac

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestEscalationsTwin compares the distances to cluster admin in small random worlds
// with those of a naive search, which asks Access.Can about every pair.
func TestEscalationsTwin(t *testing.T) {
	rounds := 90
	if os.Getenv(requestsVariable) != "" {
		rounds = 600
	}
	reachable, far, joined, subjects, asGroup, skipped := 0, 0, 0, 0, 0, 0
	used := map[string]int{}
	for seed := range rounds {
		version := []int{34, 35, 37}[seed%3]
		g := &twinGenerator{Rand: rand.New(rand.NewPCG(uint64(seed), 5)), split: seed%2 == 1}
		w := g.world()
		e, err := AccessOf(w).Escalations(version)
		must(t, err)
		twin := newTwin(w, version)
		if twin == nil {
			skipped++
			continue
		}
		for key, n := range e.graph.nodes {
			if key.kind != subjectNode {
				continue
			}
			subjects++
			want, got := twin.distance(key.subject()), n.distance
			if got != want {
				t.Fatalf("seed %d: %s: %d steps, the twin finds %d\n%s", seed, key.subject(), got, want, dump(w))
			}
			last := e.joined[n]
			if got == unreachable {
				if want := twin.joint(key.subject()); want != (last != nil) {
					t.Fatalf("seed %d: %s: joined %v, the twin %v\n%s", seed, key.subject(), last != nil, want, dump(w))
				}
				if last == nil {
					continue
				}
				joined++
			}
			reachable++
			if got > 1 {
				far++
			}
			var steps []Step
			if last != nil {
				steps = e.graph.steps(last)
			} else if steps = e.graph.steps(e.graph.toAdmin(n)); len(steps) != got {
				t.Fatalf("seed %d: %s: the chain has %d steps and not %d", seed, key.subject(), len(steps), got)
			}
			for _, s := range steps {
				used[s.Name]++
			}
			twin.walk(t, key.subject(), steps)
		}
		asGroup += twin.listed(t, seed, e)
	}
	t.Logf("%d worlds, %d skipped, %d subjects, %d become cluster admin, %d of them by more than one step, %d by steps that several take together, %d listed as a group; steps: %v", rounds, skipped, subjects, reachable, far, joined, asGroup, used)
	if reachable < subjects/20 || reachable > subjects*19/20 || far < reachable/10 || joined == 0 || asGroup == 0 || skipped > rounds/4 {
		t.Error("the worlds are one-sided")
	}
}

// twinNode is a subject, or a role that was gained in a namespace; admin has neither.
type twinNode struct {
	subject         Subject
	role            roleKey
	namespace       string
	gained, isAdmin bool
	// through is the number of who impersonates it, constrained; from 1.
	through int
}

// twin searches every pair of nodes.
type twin struct {
	world   *model.World
	version int
	all     []twinNode
	sources []twinNode
	access  map[twinNode]*Access
	next    map[twinNode][]twinNode
	dist    map[twinNode]int
	answers map[twinNode]map[Request]bool
	bound   map[Subject][]twinNode
	// held are those who act together, and gained the roles of these that may be bound to
	// the others; nil where each acts alone.
	held, gained []twinNode
}

// maxTwin bounds the pairs of a naive search: where everybody may impersonate everybody,
// there are thousands.
const maxTwin = 200

// newTwin returns nil where there are too many pairs.
func newTwin(w *model.World, version int) *twin {
	tw := &twin{world: w, version: version, access: map[twinNode]*Access{}, next: map[twinNode][]twinNode{}, dist: map[twinNode]int{}, answers: map[twinNode]map[Request]bool{}, bound: map[Subject][]twinNode{}}
	add := func(n twinNode) {
		if !slices.Contains(tw.all, n) {
			tw.all = append(tw.all, n)
		}
	}
	add(twinNode{isAdmin: true})
	add(twinNode{subject: Subject{Kind: "Group", Name: mastersGroup}})
	for _, s := range AccessOf(w).Subjects() {
		add(twinNode{subject: s})
	}
	for _, ns := range twinNamespaces {
		for _, name := range append(twinNames, tw.kind("ServiceAccount", ns)...) {
			add(twinNode{subject: Subject{"ServiceAccount", ns, name}})
		}
	}
	for _, o := range w.Objects {
		switch o.Kind {
		case "ClusterRole":
			for _, ns := range append(twinNamespaces, "") {
				add(twinNode{role: roleKey{"", o.Name}, namespace: ns, gained: true})
			}
		case "Role":
			add(twinNode{role: roleKey{o.Namespace, o.Name}, namespace: o.Namespace, gained: true})
		}
	}
	if version >= 36 {
		for _, from := range slices.Clone(tw.all) {
			if tw.alone(from, Request{Verb: "*", Group: "*", Resource: "*"}) {
				continue // who may do everything needs no more steps
			}
			for _, to := range slices.Clone(tw.all) {
				if tw.assumes(from, to) {
					tw.sources = append(tw.sources, from)
					to.through = len(tw.sources)
					add(to)
					tw.next[from] = append(tw.next[from], to)
				}
				if len(tw.all) > maxTwin {
					return nil
				}
			}
		}
	}
	for _, from := range tw.all {
		if from.isAdmin || len(tw.bindings(twinNode{subject: from.subject, gained: from.gained})) == 0 {
			continue // nobody may do anything without a binding
		}
		for _, to := range tw.all {
			if to.through == 0 && tw.step(from, to) {
				tw.next[from] = append(tw.next[from], to)
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, n := range tw.all {
			d := unreachable
			if n.isAdmin || tw.can(n, Request{Verb: "*", Group: "*", Resource: "*"}) {
				d = 0
			}
			for _, to := range tw.next[n] {
				d = min(d, tw.get(to)+1)
			}
			if d < tw.get(n) {
				tw.dist[n], changed = d, true
			}
		}
	}
	return tw
}

func (tw *twin) get(n twinNode) int {
	if d, ok := tw.dist[n]; ok {
		return d
	}
	return unreachable
}

func (tw *twin) distance(s Subject) int { return tw.get(twinNode{subject: s}) }

// kind lists the names of objects of a kind in a namespace.
func (tw *twin) kind(kind, namespace string) []string {
	var out []string
	for _, o := range tw.world.Objects {
		if o.Kind == kind && o.Namespace == namespace {
			out = append(out, o.Name)
		}
	}
	return out
}

// can reports what somebody may do, with the roles that were gained.
func (tw *twin) can(n twinNode, r Request) bool {
	return tw.alone(n, r) || !n.gained && n.through == 0 && slices.ContainsFunc(tw.gained, func(g twinNode) bool { return tw.alone(g, r) })
}

func (tw *twin) alone(n twinNode, r Request) bool {
	if n.through > 0 {
		return tw.ask(n, r) // of these there are too many to remember
	}
	if tw.answers[n] == nil {
		tw.answers[n] = map[Request]bool{}
	}
	known, ok := tw.answers[n][r]
	if !ok {
		known = tw.ask(n, r)
		tw.answers[n][r] = known
	}
	return known
}

// ask asks the index; of what was gained, that of a world with this one binding.
func (tw *twin) ask(n twinNode, r Request) bool {
	if n.isAdmin {
		return true
	}
	if n.through > 0 {
		if r.Verb == "*" || strings.HasPrefix(r.Verb, "impersonate") {
			return false
		}
		on, mode := r, "user-info"
		if n.subject.Kind == "ServiceAccount" {
			mode = "serviceaccount"
		}
		on.Verb = "impersonate-on:" + mode + ":" + r.Verb
		base := n
		base.through = 0
		return tw.can(base, r) && (r.Verb == "bind" || r.Verb == "escalate" || r.Verb == "approve" || tw.can(tw.sources[n.through-1], on))
	}
	if !n.gained {
		_, ok, _ := AccessOf(tw.world).Can(IdentityOf(n.subject), r)
		return ok
	}
	if tw.access[n] == nil {
		var objects []*model.Object
		for _, o := range tw.world.Objects {
			if o.Kind == "Role" || o.Kind == "ClusterRole" {
				objects = append(objects, o)
			}
		}
		kind, bindingKind := "Role", "RoleBinding"
		if n.role.namespace == "" {
			kind = "ClusterRole"
		}
		meta := map[string]any{"name": "gained", "namespace": n.namespace}
		if n.namespace == "" {
			bindingKind = "ClusterRoleBinding"
		}
		b, _ := model.NewObject(map[string]any{"apiVersion": apiGroup + "/v1", "kind": bindingKind, "metadata": meta,
			"roleRef":  map[string]any{"apiGroup": apiGroup, "kind": kind, "name": n.role.name},
			"subjects": []any{map[string]any{"kind": "User", "name": "gained"}}}, nil, model.Source{})
		tw.access[n] = AccessOf(model.NewWorld(append(objects, b), model.WorldOptions{Live: true}))
	}
	_, ok, _ := tw.access[n].Can(Identity{User: "gained"}, r)
	return ok
}

// anyOf reports whether one of the verbs is allowed on an object of one of the names.
func (tw *twin) any(n twinNode, namespace, what, verbs string, names ...string) bool {
	group, resource, _ := strings.Cut(what, "/")
	resource, sub, _ := strings.Cut(resource, "/")
	for _, verb := range strings.Fields(verbs) {
		for _, name := range names {
			if tw.can(n, Request{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name}) {
				return true
			}
		}
	}
	return false
}

// every is any name that a rule has, and one that none has.
var everyName = append([]string{"another"}, slices.DeleteFunc(slices.Clone(twinNamed), func(s string) bool { return s == "" })...)

func (tw *twin) step(from, to twinNode) bool {
	switch {
	case to.isAdmin:
		return tw.mutates(from) || tw.rewrites(from, "") || tw.binds(from, twinNode{role: roleKey{"", clusterAdmin}, gained: true})
	case to.gained:
		return tw.binds(from, to) || to.role == roleKey{"", clusterAdmin} && to.namespace != "" && tw.rewrites(from, to.namespace)
	case tw.certificate(from) && to.subject.Name != mastersGroup:
		return true
	case to.subject.Kind == rbacv1.UserKind:
		return tw.any(from, "", "/users", "impersonate", to.subject.Name)
	case to.subject.Kind == rbacv1.GroupKind:
		name := tw.any(from, "", "/users", "impersonate", everyName...)
		for _, ns := range twinNamespaces {
			name = name || tw.any(from, ns, "/serviceaccounts", "impersonate", everyName...)
		}
		return name && tw.any(from, "", "/groups", "impersonate", to.subject.Name)
	}
	return tw.account(from, to.subject)
}

// assumes reports whether one may impersonate another, constrained.
func (tw *twin) assumes(from, to twinNode) bool {
	const group = "authentication.k8s.io/"
	switch {
	case from.isAdmin || to.isAdmin || to.gained || from == to || to.subject.Name == mastersGroup:
		return false
	case to.subject.Kind == "ServiceAccount":
		return tw.any(from, to.subject.Namespace, group+"serviceaccounts", "impersonate:serviceaccount", to.subject.Name)
	case to.subject.Kind == "User":
		return tw.any(from, "", group+"users", "impersonate:user-info", to.subject.Name)
	}
	return tw.any(from, "", group+"groups", "impersonate:user-info", to.subject.Name) && tw.any(from, "", group+"users", "impersonate:user-info", everyName...)
}

func (tw *twin) certificate(from twinNode) bool {
	const csr = "certificates.k8s.io/certificatesigningrequests"
	return tw.any(from, "", "certificates.k8s.io/signers", "approve", "kubernetes.io/kube-apiserver-client", "kubernetes.io/*") && tw.any(from, "", csr+"/approval", "update patch", everyName...) &&
		tw.anybody(from, "", csr, "create", "") && tw.anybody(from, "", csr, "get list watch", everyName...)
}

func (tw *twin) mutates(from twinNode) bool {
	const group = "admissionregistration.k8s.io/"
	return tw.any(from, "", group+"mutatingwebhookconfigurations", "create", "") ||
		tw.any(from, "", group+"mutatingwebhookconfigurations", "update patch", tw.kind("MutatingWebhookConfiguration", "")...) ||
		tw.version >= 36 && (tw.any(from, "", group+"mutatingadmissionpolicies", "create", "") || tw.any(from, "", group+"mutatingadmissionpolicies", "update patch", tw.kind("MutatingAdmissionPolicy", "")...)) &&
			tw.anybody(from, "", group+"mutatingadmissionpolicybindings", "create update patch", append(everyName, "")...)
}

// bindings are those that a node is subject of, with the roles that they bind.
func (tw *twin) bindings(n twinNode) (out []twinNode) {
	if n.through > 0 {
		return tw.bindings(tw.sources[n.through-1])
	}
	if n.gained {
		return []twinNode{n}
	}
	out, known := tw.bound[n.subject]
	if known {
		return out
	}
	for _, o := range tw.world.Objects {
		if !strings.HasSuffix(o.Kind, "Binding") {
			continue
		}
		var b rbacv1.RoleBinding
		_ = model.Decode(o.Content, &b)
		for _, s := range b.Subjects {
			if slices.Contains(IdentityOf(n.subject).subjects(), newSubject(s, o.Namespace)) {
				out = append(out, twinNode{role: refKey(b.RoleRef, o.Namespace), namespace: o.Namespace})
			}
		}
	}
	tw.bound[n.subject] = out
	return out
}

// rewrites reports whether a role that holds in the namespace, or in the whole cluster,
// may be written into.
func (tw *twin) rewrites(from twinNode, namespace string) bool {
	bindings := slices.Clone(tw.bindings(from))
	for _, n := range tw.held {
		bindings = append(bindings, tw.bindings(n)...)
	}
	for _, b := range bindings {
		if b.namespace != namespace || !slices.ContainsFunc(tw.all, func(n twinNode) bool { return n.gained && n.role == b.role }) {
			continue
		}
		what, in := apiGroup+"/clusterroles", ""
		if b.role.namespace != "" {
			what, in = apiGroup+"/roles", b.role.namespace
		}
		if tw.any(from, in, what, "escalate", b.role.name) && tw.any(from, in, what, "update patch", b.role.name) {
			return true
		}
		if b.role == (roleKey{"", "c2"}) { // the one that is aggregated
			if tw.any(from, "", what, "create", "") && tw.any(from, "", what, "escalate", "") {
				return true
			}
			for _, name := range everyName {
				if tw.any(from, "", what, "create", name) && tw.any(from, "", what, "patch update", name) && tw.any(from, "", what, "escalate", name) {
					return true
				}
			}
		}
	}
	return false
}

func (tw *twin) binds(from, to twinNode) bool {
	resource, kind := apiGroup+"/rolebindings", "RoleBinding"
	if to.namespace == "" {
		resource, kind = apiGroup+"/clusterrolebindings", "ClusterRoleBinding"
	}
	what := apiGroup + "/clusterroles"
	if to.role.namespace != "" {
		what = apiGroup + "/roles"
	}
	if !tw.any(from, to.namespace, what, "bind", to.role.name) {
		return false
	}
	if tw.any(from, to.namespace, resource, "create", "") {
		return true
	}
	for _, name := range everyName {
		if tw.any(from, to.namespace, resource, "create", name) && tw.any(from, to.namespace, resource, "patch update", name) {
			return true
		}
	}
	for _, o := range tw.world.Objects {
		if o.Kind == kind && o.Namespace == to.namespace && o.Text("roleRef", "name") == to.role.name && (o.Text("roleRef", "kind") == "Role") == (to.role.namespace != "") &&
			tw.any(from, to.namespace, resource, "update patch", o.Name) {
			return true
		}
	}
	return false
}

// account reports whether a token of a service account may be had.
func (tw *twin) account(from twinNode, to Subject) bool {
	ns := to.Namespace
	if tw.any(from, ns, "/serviceaccounts", "impersonate", to.Name) {
		return true
	}
	read, run := "get list watch", "create"
	if tw.version <= 34 {
		run = "create get"
	}
	for _, o := range tw.world.Objects {
		switch {
		case o.Namespace != ns:
		case o.Kind == "Secret" && o.Annotations()["kubernetes.io/service-account.name"] == to.Name && tw.any(from, ns, "/secrets", read, o.Name):
			return true
		case o.Kind == "Pod" && o.Text("spec", "serviceAccountName") == to.Name &&
			(tw.any(from, ns, "/pods", "update patch", o.Name) || tw.any(from, ns, "/pods/ephemeralcontainers", "update patch", o.Name) || tw.any(from, "", "/nodes/proxy", "get create", everyName...) ||
				tw.any(from, ns, "/pods/exec", run, o.Name) || tw.any(from, ns, "/pods/attach", run, o.Name)):
			return true
		}
	}
	there := to.Name == "default" || slices.Contains(tw.kind("ServiceAccount", ns), to.Name)
	if there && (tw.any(from, ns, "apps/deployments", "update patch", tw.kind("Deployment", ns)...) || tw.any(from, ns, "batch/cronjobs", "update patch", tw.kind("CronJob", ns)...)) {
		return true
	}
	if !there && !tw.anybody(from, ns, "/serviceaccounts", "create", "") {
		return false
	}
	if tw.any(from, ns, "/serviceaccounts/token", "create", to.Name) || tw.any(from, ns, "/pods", "create", "") || tw.any(from, ns, "/replicationcontrollers", "create", "") || tw.any(from, ns, "batch/jobs", "create", "") ||
		tw.any(from, ns, "/secrets", "create", "") && tw.anybody(from, ns, "/secrets", read, everyName...) {
		return true
	}
	for _, name := range everyName {
		if tw.any(from, ns, "/secrets", "create", name) && tw.any(from, ns, "/secrets", "patch", name) && tw.anybody(from, ns, "/secrets", read, name) {
			return true
		}
	}
	for _, name := range tw.kind("Secret", ns) {
		if tw.any(from, ns, "/secrets", "update patch", name) && tw.anybody(from, ns, "/secrets", read, name) {
			return true
		}
	}
	return false
}
