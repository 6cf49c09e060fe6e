package rbac

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionreviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// walker takes the steps of a chain, with the credentials that it has got so far.
type walker struct {
	*fixture
	now *rest.Config
	// own are the credentials of who impersonates, while one does so constrained.
	own *rest.Config
	// known are the credentials of everybody that the chain has led to, and last whom the
	// last step did.
	known map[string]*rest.Config
	last  string
}

// maker has the credentials of who makes a request, where that is not who takes the step.
func (w *walker) maker(t *testing.T, client kubernetes.Interface, n Needed) kubernetes.Interface {
	t.Helper()
	if n.As == nil {
		return client
	}
	c, err := kubernetes.NewForConfig(w.known[n.As.String()])
	must(t, err)
	return c
}

func (w *walker) as(t *testing.T) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(w.now)
	must(t, err)
	return c
}

// take makes the requests of a step, after the API server has said that it would allow
// each of them.
func (w *walker) take(t *testing.T, s Step) {
	t.Helper()
	if w.last != "" && w.last != s.By.String() && w.known[s.By.String()] != nil {
		w.now = w.known[s.By.String()]
		w.own = w.now
	}
	client, constrained := w.as(t), w.own != w.now
	for _, n := range s.Needs {
		if constrained {
			break // not even to ask is allowed; the request itself is made below
		}
		eventually(t, fmt.Sprintf("%s is allowed for %s", n.Request, s.Name), func(context.Context) bool { return selfReview(t, w.maker(t, client, n), n.Request) })
	}
	defer func() {
		if s.For != nil {
			w.now = w.known[s.For.String()]
		}
		w.last = s.To.String()
		w.known[w.last] = w.now
		switch {
		case s.Name == "impersonate-constrained":
		case constrained && s.To.Subject == nil:
			w.now = w.own
		default:
			w.own = w.now
		}
	}()
	switch s.Name {
	case "mint-token":
		w.now = w.bearer(mintFor(t, client, *s.To.Subject))
	case "impersonate", "impersonate-account", "impersonate-constrained":
		w.impersonate(t, s)
	case "read-token":
		w.readToken(t, client, s)
	case "make-token-secret":
		w.makeTokenSecret(t, client, s)
	case "bind-role", "bind-role-in-namespace":
		w.bindRole(t, client, s)
	case "rewrite-role":
		w.rewriteClusterRole(t, client, s)
	case "rewrite-role-in-namespace":
		patchRules(t, func(patch []byte) error {
			_, err := client.RbacV1().Roles(w.other).Patch(t.Context(), s.Needs[1].Name, types.JSONPatchType, patch, metav1.PatchOptions{})
			return err
		})
	case "approve-certificate":
		w.certificate(t, client, s)
	case "run-as":
		w.runAs(t, client, s)
	case "change-workload":
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"serviceAccountName":%q,"serviceAccount":%q}}}}`, s.To.Subject.Name, s.To.Subject.Name)
		d, err := client.AppsV1().Deployments(w.other).Patch(t.Context(), s.Needs[0].Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		must(t, err)
		if d.Spec.Template.Spec.ServiceAccountName != s.To.Subject.Name {
			t.Fatalf("the template has the account %s", d.Spec.Template.Spec.ServiceAccountName)
		}
		w.now = w.token(t, *s.To.Subject)
	case "change-pod":
		_, err := client.CoreV1().Pods(w.other).Patch(t.Context(), s.Needs[0].Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c","image":"registry.example/mine:1"}]}}`), metav1.PatchOptions{})
		must(t, err)
		w.now = w.token(t, *s.To.Subject)
	case "add-container":
		patch := `{"spec":{"ephemeralContainers":[{"name":"mine","image":"registry.example/mine:1","targetContainerName":"c"}]}}`
		_, err := client.CoreV1().Pods(w.other).Patch(t.Context(), s.Needs[0].Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "ephemeralcontainers")
		must(t, err)
		w.now = w.token(t, *s.To.Subject)
	case "exec", "kubelet": // no kubelet would answer: what the API server allows was asked above
		w.now = w.token(t, *s.To.Subject)
	case "mutate-requests":
		w.hook(t, client)
	case "mutate-requests-by-policy":
		w.mutate(t, client, s)
	default:
		t.Fatalf("the test does not know how to walk %s", s.Name)
	}
}

// isAdmin asks as the last of the chain.
func (w *walker) isAdmin(t *testing.T) {
	t.Helper()
	client := w.as(t)
	eventually(t, "the last of the chain may do everything", func(context.Context) bool {
		return selfReview(t, client, Request{Verb: "*", Group: "*", Resource: "*"})
	})
	if _, err := client.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mintFor(t *testing.T, client kubernetes.Interface, s Subject) string {
	t.Helper()
	r, err := client.CoreV1().ServiceAccounts(s.Namespace).CreateToken(t.Context(), s.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	return r.Status.Token
}

func (w *walker) impersonate(t *testing.T, s Step) {
	t.Helper()
	c, who := rest.CopyConfig(w.now), *s.To.Subject
	switch who.Kind {
	case "Group":
		c.Impersonate = rest.ImpersonationConfig{UserName: s.Needs[1].Name, Groups: []string{who.Name}}
		if s.Needs[1].Resource == "serviceaccounts" {
			c.Impersonate.UserName = "system:serviceaccount:" + s.Needs[1].Namespace + ":" + s.Needs[1].Name
		}
	default:
		c.Impersonate = rest.ImpersonationConfig{UserName: IdentityOf(who).User}
	}
	w.now = c
}

// readToken reads a Secret in the way that the chain says, until it has the token.
func (w *walker) readToken(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	r := s.Needs[0].Request
	w.now = w.bearer(w.secretToken(t, client, r))
}

func (w *walker) secretToken(t *testing.T, client kubernetes.Interface, r Request) string {
	t.Helper()
	token := ""
	eventually(t, "the Secret has a token", func(ctx context.Context) bool {
		if r.Verb == "get" {
			s, err := client.CoreV1().Secrets(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
			must(t, err)
			token = string(s.Data[corev1.ServiceAccountTokenKey])
			return token != ""
		}
		list, err := client.CoreV1().Secrets(r.Namespace).List(ctx, metav1.ListOptions{})
		must(t, err)
		for _, s := range list.Items {
			if s.Name == r.Name {
				token = string(s.Data[corev1.ServiceAccountTokenKey])
			}
		}
		return token != ""
	})
	return token
}

func (w *walker) makeTokenSecret(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx, account := t.Context(), s.To.Subject
	secret := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Type: corev1.SecretTypeServiceAccountToken,
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Annotations: map[string]string{corev1.ServiceAccountNameKey: account.Name}}}
	switch first := s.Needs[0].Request; {
	case first.Verb == "create" && first.Name == "":
		_, err := client.CoreV1().Secrets(account.Namespace).Create(ctx, secret, metav1.CreateOptions{})
		must(t, err)
	case first.Verb == "create":
		text, err := json.Marshal(secret)
		must(t, err)
		_, err = client.CoreV1().Secrets(account.Namespace).Patch(ctx, first.Name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "test"})
		must(t, err)
	default:
		old, err := client.CoreV1().Secrets(account.Namespace).Get(ctx, first.Name, metav1.GetOptions{})
		must(t, err)
		boss, err := w.client.CoreV1().ServiceAccounts(account.Namespace).Get(ctx, account.Name, metav1.GetOptions{})
		must(t, err)
		delete(old.Data, corev1.ServiceAccountTokenKey)
		old.Annotations = map[string]string{corev1.ServiceAccountNameKey: account.Name, corev1.ServiceAccountUIDKey: string(boss.UID)}
		_, err = client.CoreV1().Secrets(account.Namespace).Update(ctx, old, metav1.UpdateOptions{})
		must(t, err)
		secret.Name = first.Name
	}
	reader := w.maker(t, client, s.Needs[len(s.Needs)-1])
	w.now = w.bearer(w.secretToken(t, reader, Request{Verb: "get", Namespace: account.Namespace, Name: secret.Name}))
}

// self is the user that the credentials are of, as a binding names it.
func (w *walker) self(t *testing.T, client kubernetes.Interface) rbacv1.Subject {
	t.Helper()
	if w.own != w.now {
		own, err := kubernetes.NewForConfig(w.own)
		must(t, err)
		client = own
	}
	r, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)
	return rbacv1.Subject{APIGroup: apiGroup, Kind: "User", Name: r.Status.UserInfo.Username}
}

func (w *walker) bindRole(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx, me := t.Context(), w.self(t, client)
	ref := rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: s.Needs[0].Name}
	if s.Needs[0].Resource == "roles" {
		ref.Kind = "Role"
	}
	if s.Name == "bind-role-in-namespace" {
		_, err := client.RbacV1().RoleBindings(s.To.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: w.id + "-mine"}, RoleRef: ref, Subjects: []rbacv1.Subject{me}}, metav1.CreateOptions{})
		must(t, err)
		return
	}
	b := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: w.id + "-mine"}, RoleRef: ref, Subjects: []rbacv1.Subject{me}}
	w.cleanup(t, func(ctx context.Context) {
		_ = w.client.RbacV1().ClusterRoleBindings().Delete(ctx, b.Name, metav1.DeleteOptions{})
	})
	var err error
	switch write := s.Needs[1].Request; {
	case write.Verb == "create" && write.Name == "":
		_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, b, metav1.CreateOptions{})
	case write.Verb == "create": // an update makes what is not there
		_, err = client.RbacV1().ClusterRoleBindings().Update(ctx, b, metav1.UpdateOptions{})
	default:
		patch := fmt.Sprintf(`[{"op":"add","path":"/subjects/-","value":{"apiGroup":%q,"kind":"User","name":%q}}]`, apiGroup, me.Name)
		_, err = client.RbacV1().ClusterRoleBindings().Patch(ctx, write.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	}
	must(t, err)
}

// patchRules adds a rule that allows everything.
func patchRules(t *testing.T, patch func([]byte) error) {
	t.Helper()
	must(t, patch([]byte(`[{"op":"add","path":"/rules/-","value":{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}}]`)))
}

func (w *walker) rewriteClusterRole(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx := t.Context()
	if write := s.Needs[1].Request; write.Verb == "create" {
		r := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.id + "-mine", Labels: map[string]string{"into": w.id}}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}}
		w.cleanup(t, func(ctx context.Context) {
			_ = w.client.RbacV1().ClusterRoles().Delete(ctx, r.Name, metav1.DeleteOptions{})
		})
		_, err := client.RbacV1().ClusterRoles().Create(ctx, r, metav1.CreateOptions{})
		must(t, err)
		return
	} else if write.Verb == "update" {
		r, err := client.RbacV1().ClusterRoles().Get(ctx, write.Name, metav1.GetOptions{})
		must(t, err)
		r.Rules = append(r.Rules, rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
		_, err = client.RbacV1().ClusterRoles().Update(ctx, r, metav1.UpdateOptions{})
		must(t, err)
		return
	}
	patchRules(t, func(patch []byte) error {
		_, err := client.RbacV1().ClusterRoles().Patch(ctx, s.Needs[1].Name, types.JSONPatchType, patch, metav1.PatchOptions{})
		return err
	})
}

// certificate asks for a client certificate of the target, approves it and uses it.
func (w *walker) certificate(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx, who := t.Context(), *s.To.Subject
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	must(t, err)
	name := pkix.Name{CommonName: IdentityOf(who).User}
	if who.Kind == "Group" {
		name = pkix.Name{CommonName: "somebody", Organization: []string{who.Name}}
	}
	request, err := x509.CreateCertificateRequest(crand.Reader, &x509.CertificateRequest{Subject: name}, key)
	must(t, err)
	csr, err := w.maker(t, client, s.Needs[0]).CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature},
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})}}, metav1.CreateOptions{})
	must(t, err)
	w.cleanup(t, func(ctx context.Context) {
		_ = w.client.CertificatesV1().CertificateSigningRequests().Delete(ctx, w.id, metav1.DeleteOptions{})
	})
	if s.Needs[1].Verb == "update" {
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "test"})
		_, err = client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, csr.Name, csr, metav1.UpdateOptions{})
	} else {
		patch := `{"status":{"conditions":[{"type":"Approved","status":"True","reason":"test"}]}}`
		_, err = client.CertificatesV1().CertificateSigningRequests().Patch(ctx, csr.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "approval")
	}
	must(t, err)
	var certificate []byte
	client = w.maker(t, client, s.Needs[3])
	eventually(t, "the certificate is issued", func(ctx context.Context) bool {
		if s.Needs[3].Verb == "list" {
			list, err := client.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{})
			must(t, err)
			for _, c := range list.Items {
				if c.Name == w.id {
					certificate = c.Status.Certificate
				}
			}
			return len(certificate) > 0
		}
		c, err := client.CertificatesV1().CertificateSigningRequests().Get(ctx, w.id, metav1.GetOptions{})
		must(t, err)
		certificate = c.Status.Certificate
		return len(certificate) > 0
	})
	der, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	c := rest.AnonymousClientConfig(w.base)
	c.CertData, c.KeyData = certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	w.now = c
}

func podSpec(account string) corev1.PodSpec {
	return corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "registry.example/c:1"}}}
}

func deployment(name, account string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(account)}}}
}

// runAs makes a pod of the account, or has a controller make it. No kubelet runs it, so
// that the token is the test's own.
func (w *walker) runAs(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx, who := t.Context(), *s.To.Subject
	var err error
	switch r := s.Needs[0]; r.Resource {
	case "pods":
		_, err = client.CoreV1().Pods(who.Namespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: podSpec(who.Name)}, metav1.CreateOptions{})
	case "deployments":
		_, err = client.AppsV1().Deployments(who.Namespace).Create(ctx, deployment("mine", who.Name), metav1.CreateOptions{})
	default:
		t.Fatalf("the test does not know how to make %s", r.Resource)
	}
	must(t, err)
	eventually(t, "a pod of the account is there", func(ctx context.Context) bool {
		list, err := w.client.CoreV1().Pods(who.Namespace).List(ctx, metav1.ListOptions{})
		must(t, err)
		for _, p := range list.Items {
			if p.Name != "runner" && p.Spec.ServiceAccountName == who.Name {
				return true
			}
		}
		return false
	})
	w.now = w.token(t, who)
}

// mutate writes a policy that adds the walker to a binding, which an administrator then
// makes for somebody else.
func (w *walker) mutate(t *testing.T, client kubernetes.Interface, s Step) {
	t.Helper()
	ctx, me, name := t.Context(), w.self(t, client), w.id+"-made-later"
	fail, never := admissionv1.Fail, admissionv1.NeverReinvocationPolicy
	policy := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: w.id}, Spec: admissionv1.MutatingAdmissionPolicySpec{FailurePolicy: &fail, ReinvocationPolicy: never,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{ResourceNames: []string{name}, RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{apiGroup}, APIVersions: []string{"v1"}, Resources: []string{"clusterrolebindings"}}}}}},
		Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{
			Expression: fmt.Sprintf(`[JSONPatch{op: "add", path: "/subjects/-", value: {"apiGroup": %q, "kind": "User", "name": %q}}]`, apiGroup, me.Name)}}}}}
	_, err := client.AdmissionregistrationV1().MutatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{})
	must(t, err)
	client = w.maker(t, client, s.Needs[1])
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: w.id}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: w.id}}
	_, err = client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{})
	must(t, err)
	w.cleanup(t, func(ctx context.Context) {
		_ = w.client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Delete(ctx, w.id, metav1.DeleteOptions{})
		_ = w.client.AdmissionregistrationV1().MutatingAdmissionPolicies().Delete(ctx, w.id, metav1.DeleteOptions{})
		_ = w.client.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
	})
	w.administratorBinds(t, name)
}

// administratorBinds makes a binding for somebody else until it is changed on its way.
func (w *walker) administratorBinds(t *testing.T, name string) {
	t.Helper()
	eventually(t, "what an administrator makes is changed", func(ctx context.Context) bool {
		_ = w.client.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
		made, err := w.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{APIGroup: apiGroup, Kind: "ClusterRole", Name: clusterAdmin}, Subjects: []rbacv1.Subject{{APIGroup: apiGroup, Kind: "User", Name: "administrator"}}}, metav1.CreateOptions{})
		must(t, err)
		return len(made.Subjects) == 2
	})
}

// hook does the same by a webhook that this test serves.
func (w *walker) hook(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx, me, name := t.Context(), w.self(t, client), w.id+"-made-later"
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var review admissionreviewv1.AdmissionReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		patchType := admissionreviewv1.PatchTypeJSONPatch
		review.Response = &admissionreviewv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: &patchType,
			Patch: fmt.Appendf(nil, `[{"op":"add","path":"/subjects/-","value":{"apiGroup":%q,"kind":"User","name":%q}}]`, apiGroup, me.Name)}
		_ = json.NewEncoder(rw).Encode(review)
	}))
	t.Cleanup(server.Close)
	ignore, none := admissionv1.Ignore, admissionv1.SideEffectClassNone
	_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: w.id}, Webhooks: []admissionv1.MutatingWebhook{{
		Name: "hook.example.com", FailurePolicy: &ignore, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		ClientConfig:    admissionv1.WebhookClientConfig{URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
		MatchConditions: []admissionv1.MatchCondition{{Name: "mine", Expression: fmt.Sprintf("request.name == %q", name)}},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{apiGroup}, APIVersions: []string{"v1"}, Resources: []string{"clusterrolebindings"}}}}}}}, metav1.CreateOptions{})
	must(t, err)
	w.cleanup(t, func(ctx context.Context) {
		_ = w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, w.id, metav1.DeleteOptions{})
		_ = w.client.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
	})
	w.administratorBinds(t, name)
}
