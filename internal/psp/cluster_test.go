package psp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// cluster is a real API server with a namespace for one test, in which somebody may
// write pods and use no policy.
type cluster struct {
	kube      kubernetes.Interface
	config    *rest.Config
	namespace string
}

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

func connect(t *testing.T) *cluster {
	t.Helper()
	config, _ := testcluster.Config(t)
	config.WarningHandler = rest.NoWarnings{} // pods have old annotations and volumes on purpose
	c := &cluster{kube: kubernetes.NewForConfigOrDie(config), config: config}
	must := func(err error) {
		t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	ns, err := c.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "psp-"}}, metav1.CreateOptions{})
	must(err)
	c.namespace = ns.Name
	t.Cleanup(func() {
		_ = c.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{})
	})
	for _, name := range []string{"default", "builder"} {
		_, err := c.kube.CoreV1().ServiceAccounts(ns.Name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(err)
	}
	for _, name := range []string{"gvisor", "kata", "other"} {
		class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Handler: name}
		if name == "gvisor" {
			class.Overhead = &nodev1.Overhead{PodFixed: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}}
		}
		_, err := c.kube.NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{})
		must(err)
	}
	c.role(t, "writers", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "pods/ephemeralcontainers"}, Verbs: []string{"*"}})
	c.bind(t, "writers", userSubject("somebody"), userSubject("nobody"))
	return c
}

func userSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}
}

func (c *cluster) accountSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: c.namespace, Name: name}
}

func (c *cluster) role(t *testing.T, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	if _, err := c.kube.RbacV1().Roles(c.namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) bind(t *testing.T, role string, subjects ...rbacv1.Subject) {
	t.Helper()
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: role + "-"}, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role}}
	if _, err := c.kube.RbacV1().RoleBindings(c.namespace).Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// grant lets subjects use policies.
func (c *cluster) grant(t *testing.T, policies []string, subjects ...rbacv1.Subject) {
	t.Helper()
	name := "use-" + strings.Join(policies, "-")
	c.role(t, name, rbacv1.PolicyRule{APIGroups: []string{"policy"}, Resources: []string{"podsecuritypolicies"}, ResourceNames: policies, Verbs: []string{"use"}})
	c.bind(t, name, subjects...)
}

// as is a client for pods of a user.
func (c *cluster) as(user string) dynamic.ResourceInterface {
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return dynamic.NewForConfigOrDie(config).Resource(podResource).Namespace(c.namespace)
}

func (c *cluster) create(ctx context.Context, user string, pod object, dryRun ...string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(pod)}
	u.SetNamespace(c.namespace)
	// The volume of the token has a random name.
	_ = unstructured.SetNestedField(u.Object, false, "spec", "automountServiceAccountToken")
	// An unmasked /proc takes a user namespace, which takes the namespaces of a pod.
	eachContainer(u.Object, func(_, sc object) {
		if spec := u.Object["spec"].(object); sc["procMount"] == "Unmasked" {
			spec["hostUsers"] = false
			delete(spec, "hostPID")
			delete(spec, "hostIPC")
			delete(spec, "hostNetwork")
		}
	})
	return c.as(user).Create(ctx, u, metav1.CreateOptions{DryRun: dryRun})
}

const dryRun = metav1.DryRunAll

// install writes what convert writes and waits until it is enforced: nobody, who may
// use no policy, is refused then.
//
// What fills pods in is read by another informer than what refuses them: mutated tells
// whether it is there, before anything can be refused.
func (c *cluster) install(t *testing.T, out *Exported, mutated func() bool) {
	t.Helper()
	r := c.kube.AdmissionregistrationV1()
	ctx := context.WithoutCancel(t.Context())
	if out.Mutating != nil {
		if _, err := r.MutatingAdmissionPolicies().Create(ctx, out.Mutating, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.MutatingAdmissionPolicies().Delete(ctx, out.Mutating.Name, metav1.DeleteOptions{}) })
		if _, err := r.MutatingAdmissionPolicyBindings().Create(ctx, out.MutatingBinding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = r.MutatingAdmissionPolicyBindings().Delete(ctx, out.MutatingBinding.Name, metav1.DeleteOptions{})
		})
		for deadline := time.Now().Add(30 * time.Second); !mutated(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the API server does not fill pods in")
			}
		}
	}
	if _, err := r.ValidatingAdmissionPolicies().Create(ctx, out.Validating, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.ValidatingAdmissionPolicies().Delete(ctx, out.Validating.Name, metav1.DeleteOptions{}) })
	if _, err := r.ValidatingAdmissionPolicyBindings().Create(ctx, out.ValidatingBinding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.ValidatingAdmissionPolicyBindings().Delete(ctx, out.ValidatingBinding.Name, metav1.DeleteOptions{})
	})
	pod := object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "probe"}, "spec": object{"containers": []any{object{"name": "c", "image": "example.com/a:1"}}}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := c.create(t.Context(), "nobody", pod, dryRun)
		if refusal(err) != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API server does not enforce the policy: %v", err)
		}
	}
}

// refusal is the message of the policy's refusal; empty for anything else.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	_, after, _ := strings.Cut(err.Error(), "denied request: ")
	return after
}

func convert(t *testing.T, manifests []*Manifest, o ExportOptions) *Exported {
	t.Helper()
	var policies []*Policy
	for _, m := range manifests {
		p, problems := parse(t, m)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		policies = append(policies, p)
	}
	policies, err := Sort(policies)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Export(policies, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tally is of pods that a real API server was sent.
type tally struct{ admitted, filled, refused, invalid int }

// compareLive installs policies and sends pods to the API server: verdict, message and
// pod must be what they are offline.
func (c *cluster) compareLive(t *testing.T, g *generator, manifests []*Manifest, pods int) (n tally) {
	t.Helper()
	options := ExportOptions{Mode: admission.Deny, Minor: 37, Namespaces: []string{c.namespace}}
	out := convert(t, manifests, options)
	e := compile(t, manifests, options)
	q := &question{User: "somebody"}
	var names []string
	for _, p := range e.policies {
		names = append(names, p.Name)
	}
	c.grant(t, names, userSubject("somebody"))
	for _, name := range names {
		q.Grants = append(q.Grants, grant{"somebody", "policy", name})
	}
	var before []object
	var sent []object
	for range pods {
		pod := g.pod(false)
		defaulted, err := c.create(t.Context(), "somebody", pod, dryRun)
		if err != nil {
			n.invalid++
			continue
		}
		defaulted.SetNamespace("shop") // where the grants of the offline authorizer hold
		before, sent = append(before, defaulted.Object), append(sent, pod)
	}
	mutated := make([]object, len(sent))
	for i := range sent {
		ours, err := e.mutating.Mutate(t.Context(), e.request(q, before[i], nil))
		if err != nil {
			t.Fatal(err)
		}
		mutated[i] = ours
	}
	c.install(t, out, func() bool {
		for i, ours := range mutated {
			if annotationsOf(ours)[policyAnnotation] != nil {
				u, err := c.create(t.Context(), "somebody", sent[i], dryRun)
				return err != nil || u.GetAnnotations()[policyAnnotation] != ""
			}
		}
		return true // there is nothing to see it by
	})
	for i, pod := range sent {
		ours := mutated[i]
		want := strings.Join(e.validating.Validate(t.Context(), e.request(q, withAppArmorFields(ours), nil)), "; ")
		theirs, err := c.create(t.Context(), "somebody", pod, dryRun)
		if got := refusal(err); got != want {
			t.Errorf("API server %q (%v)\noffline    %q\n%s", got, err, want, text(pod))
			continue
		}
		switch {
		case want != "":
			n.refused++
			continue
		case err != nil: // what is filled in can be invalid beside what is there
			n.invalid++
			continue
		}
		n.admitted++
		ourPod, theirPod := comparable(ours), comparable(theirs.Object)
		delete(theirPod["spec"].(object), "overhead") // of the runtime class, by another plugin
		delete(ourPod["spec"].(object), "overhead")
		if d := cmp.Diff(ourPod, theirPod); d != "" {
			t.Errorf("the API server's pod differs (-offline +API server):\n%s\n%s", d, text(pod))
		}
		if !cmp.Equal(ourPod["spec"], comparable(before[i])["spec"]) {
			n.filled++
		}
	}
	return n
}

// TestClusterFields sends pods that a policy of one field admits and refuses to the
// API server.
func TestClusterFields(t *testing.T) {
	testcluster.Config(t)
	for i, field := range fields {
		t.Run(field, func(t *testing.T) {
			g := &generator{rand.New(rand.NewPCG(3, uint64(i)))}
			var n tally
			// A policy of whose verdict the pods are on both sides; most are.
			for tries := 0; n.admitted == 0 || n.refused == 0; tries++ {
				if tries == 1000 {
					t.Fatal("no policy admits one pod and refuses another")
				}
				m := g.policy(fmt.Sprintf("%s-%d", strings.ToLower(field), n.admitted+n.refused), field)
				if p, problems := parse(t, m); len(problems) > 0 || p.Unusable != "" || !bothSides(t, g, m) {
					continue
				}
				t.Run("", func(t *testing.T) { n = connect(t).compareLive(t, g, []*Manifest{m}, 30) })
				if t.Failed() {
					return
				}
			}
			t.Logf("%d admitted, %d of them filled in, %d refused, %d invalid whatever the policy", n.admitted, n.filled, n.refused, n.invalid)
		})
	}
}

// bothSides tells offline whether a policy admits some pods and refuses others.
func bothSides(t *testing.T, g *generator, m *Manifest) bool {
	t.Helper()
	p, _ := parse(t, m)
	j, err := newJudge(p)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[bool]int{}
	for range 30 {
		refused, err := j.refuses(t.Context(), g.pod(false))
		if err != nil {
			t.Fatal(err)
		}
		verdicts[len(refused) == 0]++
	}
	return verdicts[true] > 2 && verdicts[false] > 2
}

// TestClusterChoice has the API server choose among several policies.
func TestClusterChoice(t *testing.T) {
	testcluster.Config(t)
	g := &generator{rand.New(rand.NewPCG(4, 4))}
	for range 5 {
		t.Run("", func(t *testing.T) {
			var manifests []*Manifest
			for _, name := range []string{"a", "b", "c", "d"} {
				for {
					m := g.policy(name, some(g, 3, "runAsUser", "runAsGroup", "fsGroup", "seLinux", "appArmor", "capabilities", "supplementalGroups", "readOnlyRootFilesystem")...)
					if p, problems := parse(t, m); len(problems) == 0 && p.Unusable == "" {
						manifests = append(manifests, m)
						break
					}
				}
			}
			n := connect(t).compareLive(t, g, manifests, 40)
			t.Logf("%d admitted, %d of them filled in, %d refused, %d invalid whatever the policies", n.admitted, n.filled, n.refused, n.invalid)
			if n.admitted == 0 || n.filled == 0 {
				t.Error("no pod was filled in")
			}
		})
	}
}

// TestClusterUse lets a service account, and nobody else, use a policy beyond the one
// for all.
func TestClusterUse(t *testing.T) {
	c := connect(t)
	all, agent := permissive("all"), permissive("agent")
	all.Spec.Volumes, all.Spec.RunAsUser = []string{"emptyDir"}, IDs{Rule: MustRunAs, Ranges: []Range{{1000, 2000}}}
	agent.Spec.AllowedHostPaths = []AllowedHostPath{{"/var/log", true}}
	out := convert(t, []*Manifest{all, agent}, ExportOptions{Mode: admission.Deny, Minor: 37, Namespaces: []string{c.namespace}})
	c.grant(t, []string{"all"}, userSubject("somebody"))
	c.grant(t, []string{"agent"}, c.accountSubject("builder"))
	pod := func(account, path string) object {
		container := object{"name": "c", "image": "example.com/a:1"}
		spec := object{"containers": []any{container}, "serviceAccountName": account}
		if path != "" {
			container["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v", "readOnly": true}}
			spec["volumes"] = []any{object{"name": "v", "hostPath": object{"path": path}}}
		}
		return object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"generateName": "pod-"}, "spec": spec}
	}
	c.install(t, out, func() bool {
		u, err := c.create(t.Context(), "somebody", pod("default", ""), dryRun)
		return err != nil || u.GetAnnotations()[policyAnnotation] != ""
	})
	for _, test := range []struct {
		user, account, path, policy, refusal string
		userID                               int64
	}{
		{"somebody", "default", "", "all", "", 1000},
		{"somebody", "builder", "", "agent", "", 0},
		{"nobody", "builder", "/var/log/pods", "agent", "", 0},
		{"somebody", "default", "/var/log", "", "volume v is of a type that is not allowed", 0},
		{"somebody", "builder", "/etc", "", "agent: allowedHostPaths: volume v has /etc", 0},
		{"nobody", "default", "", "", "neither the user nor the pod's service account may use it", 0},
	} {
		got, err := c.create(t.Context(), test.user, pod(test.account, test.path))
		if test.refusal != "" {
			if !strings.Contains(refusal(err), test.refusal) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		containers, _, _ := unstructured.NestedSlice(got.Object, "spec", "containers")
		id, _, _ := unstructured.NestedInt64(containers[0].(object), "securityContext", "runAsUser")
		if policy := got.GetAnnotations()[policyAnnotation]; policy != test.policy || id != test.userID {
			t.Errorf("%+v: admitted by %q, runs as %d", test, policy, id)
		}
		c.life(t, test.user, got)
	}
}

// life is what happens to a pod that a policy admitted: labels may be changed by who
// may use the policy, or where the pod's account may; owners and finalizers by anyone.
func (c *cluster) life(t *testing.T, user string, pod *unstructured.Unstructured) {
	t.Helper()
	label, finalize := pod.DeepCopy(), pod.DeepCopy()
	label.SetLabels(map[string]string{"a": "b"})
	if _, err := c.as(user).Update(t.Context(), label, metav1.UpdateOptions{DryRun: []string{dryRun}}); err != nil {
		t.Errorf("label by %s: %v", user, err)
	}
	finalize.SetFinalizers([]string{"example.com/a"})
	if _, err := c.as("nobody").Update(t.Context(), finalize, metav1.UpdateOptions{DryRun: []string{dryRun}}); err != nil {
		t.Errorf("finalizer: %v", err)
	}
	byNobody := slices.Contains([]string{"agent"}, pod.GetAnnotations()[policyAnnotation])
	if _, err := c.as("nobody").Update(t.Context(), label, metav1.UpdateOptions{DryRun: []string{dryRun}}); (err == nil) != byNobody {
		t.Errorf("label by nobody: %v", err)
	}
}
