package rbac

import (
	"slices"

	"bulkhead.dev/bulkhead/internal/model"
)

// Primitive is a kind of step: what it takes to act as somebody else, or as somebody
// who may do more.
type Primitive struct {
	// Name is for people and machines: mint-token.
	Name string `json:"name"`
	// Why says in a sentence what the step does.
	Why string `json:"why"`
	// Waits says that the step takes effect when somebody else acts the next time.
	Waits bool `json:"waits,omitempty"`

	// since is the first minor version of Kubernetes 1 that has it.
	since int
	// cluster steps are about objects of the whole cluster.
	cluster bool
	// own steps change the role that one is bound to in a namespace, whatever allows it.
	own bool
	// mixes says that a step in a namespace needs several rights.
	mixes bool
	// joins says that several identities may make the requests of the step, or that it is
	// good for another than who takes it.
	joins bool
	// toAccounts says that it leads to service accounts of the namespace.
	toAccounts bool
	// aboutTarget says that the first request names the object that the step leads through.
	aboutTarget bool
	find        func(*seeker)
}

// primitives lists the steps that count: after them one is somebody else as far as the
// API server can tell, or has rights that one had not. What needs more than permissions
// is none of them: to break out of a container to its node, to read the traffic of a
// Service, to sign with a key that one does not have. The order decides between chains
// of the same length: first what needs nobody else and leaves the least behind.
func primitives() []*Primitive {
	return []*Primitive{
		{Name: "impersonate", Why: "the API server takes the request for another's", cluster: true, aboutTarget: true, find: impersonate},
		{Name: "impersonate-account", Why: "the API server takes the request for a service account's", aboutTarget: true, find: impersonateAccount},
		{Name: "impersonate-constrained", Why: "the API server takes the request for another's, if both may make it", since: assumeSince, cluster: true, find: assume},
		{Name: "mint-token", Why: "a token of a service account is made and handed out", joins: true, toAccounts: true, aboutTarget: true, find: mintToken},
		{Name: "bind-role", Why: "bind allows to bind a role that one does not have, to oneself too", cluster: true, find: bindInCluster},
		{Name: "bind-role-in-namespace", Why: "bind allows to bind a role that one does not have, to oneself too, in a namespace", mixes: true, find: bindInNamespace},
		{Name: "rewrite-role", Why: "escalate allows to write into a role, to one's own too, what one may not do", joins: true, cluster: true, find: rewriteClusterRole},
		{Name: "rewrite-role-in-namespace", Why: "escalate allows to write into a role, to one's own too, what one may not do", joins: true, own: true, mixes: true, find: rewriteRole},
		{Name: "read-token", Why: "the Secret holds a token of a service account that does not expire", aboutTarget: true, find: readToken},
		{Name: "make-token-secret", Why: "a Secret of type kubernetes.io/service-account-token is filled with a token of the service account that it names", joins: true, toAccounts: true, mixes: true, find: makeTokenSecret},
		{Name: "approve-certificate", Why: "a client certificate in any name but of system:masters is asked for and approved", joins: true, cluster: true, find: approveCertificate},
		{Name: "run-as", Why: "a pod may name any service account of its namespace and gets its token", joins: true, toAccounts: true, find: runAs},
		{Name: "change-workload", Why: "a pod template may be changed to name any service account of its namespace", find: changeWorkload},
		{Name: "change-pod", Why: "the image of a running pod is replaced, and the new one finds its token", aboutTarget: true, find: changePod},
		{Name: "add-container", Why: "an ephemeral container is started beside the token of the pod", aboutTarget: true, find: addContainer},
		{Name: "exec", Why: "a command in the pod reads its token", aboutTarget: true, find: execIn},
		{Name: "kubelet", Why: "the API of the kubelet runs commands in every pod of the node; get suffices", cluster: true, find: askKubelet},
		{Name: "mutate-requests", Why: "a mutating webhook, or policy, rewrites what others write: pods of controllers, and bindings that an administrator makes", Waits: true, cluster: true, find: mutateRequests},
		{Name: "mutate-requests-by-policy", Why: "a mutating policy rewrites what others write: pods of controllers, and bindings that an administrator makes", joins: true, Waits: true, since: 36, cluster: true, find: mutateByPolicy},
	}
}

// seeker looks for the steps of one kind that somebody may take.
type seeker struct {
	view
	graph     *graph
	primitive *Primitive
	from      *node
	// together are the powers of all who act together, where a request may be anybody's.
	together *powers
	// of is the role that the step rewrites, if it does.
	of   *holding
	emit func(to nodeKey, at place, needs []*held)
}

// step notes a step if all that it needs is there.
func (s *seeker) step(to nodeKey, at place, needs ...*held) {
	if !slices.Contains(needs, nil) {
		s.emit(to, at, needs)
	}
}

// anybody is the view of all who act together: a request that stands alone may be made
// by any of them.
func (s *seeker) anybody() view { return view{s.together, s.namespace} }

// each notes a step to all places of a list, or to those of the names that one is
// limited to.
func (s *seeker) each(a ability, list *places, more ...*held) {
	if h := s.any(a); h != nil {
		s.step(list.key(s.namespace), place{namespace: s.namespace}, append([]*held{h}, more...)...)
		return
	}
	for _, name := range s.names(a) {
		for _, p := range list.find(s.namespace, name) {
			s.step(p.to, p, append([]*held{s.find(a, name)}, more...)...)
		}
	}
}

// create returns what it takes to make a role or binding of whatever name. A rule for
// create that names objects allows no plain create; it does allow to update, or to
// apply, one that is not there.
func (s *seeker) create(create, change ability) []*held {
	if h := s.find(create, ""); h != nil {
		return []*held{h}
	}
	for _, name := range s.names(create) {
		if h := s.find(change, name); h != nil {
			return []*held{s.find(create, name), h}
		}
	}
	return []*held{nil}
}

// accounts notes steps to service accounts that are there, and to those that one may
// make: a binding may name an account that is not there.
func (s *seeker) accounts(a ability, more ...*held) {
	s.each(a, s.graph.accounts, more...)
	if h := s.anybody().find(createAccounts, ""); h != nil {
		s.each(a, s.graph.anyAccounts, append(more, h)...)
	}
}

func mintToken(s *seeker) { s.accounts(requestTokens) }

func readToken(s *seeker) { s.each(seeSecrets, s.graph.tokens) }

// runsAny notes a step to whatever account a new object of a namespace names.
func (s *seeker) runsAny(needs ...*held) {
	at := place{namespace: s.namespace}
	s.step(s.graph.accounts.key(s.namespace), at, needs...)
	if h := s.anybody().find(createAccounts, ""); h != nil {
		s.step(s.graph.anyAccounts.key(s.namespace), at, append(needs, h)...)
	}
}

func makeTokenSecret(s *seeker) {
	if made, read := s.find(createSecrets, ""), s.anybody().anyOrNamed(seeSecrets); made != nil && read != nil {
		s.runsAny(made, read)
		return
	}
	for _, name := range s.names(createSecrets) {
		s.runsAny(s.find(createSecrets, name), s.find(applySecrets, name), s.anybody().find(seeSecrets, name))
	}
	// One that is there may be turned over to another account: the controller fills it
	// anew once its token is taken out.
	if s.anyOrNamed(changeSecrets) == nil || s.anybody().anyOrNamed(seeSecrets) == nil {
		return // there are many tokens to look through
	}
	if change, read := s.any(changeSecrets), s.anybody().any(seeSecrets); s.namespace == "" && change != nil && read != nil {
		s.step(s.graph.turned.key(""), place{}, change, read)
		if h := s.anybody().find(createAccounts, ""); h != nil {
			s.step(s.graph.turnedToAny.key(""), place{}, change, read, h)
		}
		return
	}
	for _, p := range s.graph.tokens.within(s.namespace) {
		if change, read := s.find(changeSecrets, p.name), s.anybody().find(seeSecrets, p.name); change != nil && read != nil {
			s.inside(p.namespace).runsAny(change, read)
		}
	}
}

// inside is the same seeker where a step is about one namespace.
func (s *seeker) inside(namespace string) *seeker {
	in := *s
	in.namespace = namespace
	return &in
}

func runAs(s *seeker) { s.runsAny(s.find(createWorkloads, "")) }

func changeWorkload(s *seeker) {
	for _, c := range changeable {
		s.change(c.by, c.kind, s.graph.accounts.key(s.namespace))
	}
}

func changePod(s *seeker)    { s.each(changePods, s.graph.running) }
func addContainer(s *seeker) { s.each(addContainers, s.graph.running) }
func execIn(s *seeker)       { s.each(runInPods, s.graph.running) }

func askKubelet(s *seeker) {
	s.step(s.graph.running.key(""), place{}, s.anyOrNamed(proxyToKubelets))
}

// impersonate takes others' names by headers: a group only together with a name.
func impersonate(s *seeker) {
	s.each(impersonateUsers, s.graph.users)
	if s.has&(1<<impersonateGroups) == 0 {
		return
	}
	name := s.anyOrNamed(impersonateUsers)
	if name == nil {
		name = s.anyOrNamed(impersonateAccounts)
	}
	for _, ns := range s.powers.allNamespaces() {
		if name == nil {
			name = view{s.powers, ns}.anyOrNamed(impersonateAccounts)
		}
	}
	if name != nil {
		s.each(impersonateGroups, s.graph.groups, name)
	}
}

func impersonateAccount(s *seeker) { s.each(impersonateAccounts, s.graph.anyAccounts) }

// signer is the one whose certificates the API server takes as proof of who somebody
// is; the other stands for all of its domain.
const signer, signers = "kubernetes.io/kube-apiserver-client", "kubernetes.io/*"

func approveCertificate(s *seeker) {
	approve := s.find(approveSigners, signer)
	if approve == nil {
		approve = s.find(approveSigners, signers)
	}
	// The name of the request is one's own choice.
	needs := []*held{s.anybody().find(createCSRs, ""), s.anyOrNamed(updateApprovals), approve, s.anybody().anyOrNamed(readCSRs)}
	for _, to := range []*places{s.graph.users, s.graph.anyAccounts, s.graph.commonGroups} {
		s.step(to.key(""), place{}, needs...)
	}
}

func mutateRequests(s *seeker) {
	s.step(adminKey, place{}, s.find(createWebhooks, ""))
	s.change(changeWebhooks, webhookKind, adminKey)
}

// mutateByPolicy needs a binding too, without which a policy does nothing.
func mutateByPolicy(s *seeker) {
	bound := s.anybody().anyOrNamed(writePolicyBindings)
	s.step(adminKey, place{}, s.find(createPolicies, ""), bound)
	s.change(changePolicies, policyKind, adminKey, bound)
}

var (
	webhookKind = model.GroupKind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}
	policyKind  = model.GroupKind{Group: "admissionregistration.k8s.io", Kind: "MutatingAdmissionPolicy"}
)

// change notes a step for each object of a kind that may be changed. What is not in
// files may be in the cluster.
func (s *seeker) change(a ability, kind model.GroupKind, otherwise nodeKey, more ...*held) {
	if list := s.graph.changeableObjects(kind); list != nil {
		s.each(a, list, more...)
		return
	}
	if h := s.anyOrNamed(a); h != nil {
		s.step(otherwise, place{namespace: s.namespace}, append([]*held{h}, more...)...)
	}
}
