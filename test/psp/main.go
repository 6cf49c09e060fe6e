// Psp answers what the PodSecurityPolicy admission of Kubernetes 1.24 makes of pods:
// the oracle that internal/psp is compared with.
//
// It reads cases as JSON values from standard input and writes an answer to each, in
// order, to standard output. A pod goes the way that it went in the API server: it is
// defaulted, mutated by the admission plugin, prepared for storage, validated, and
// validated by the plugin. No code of Kubernetes is stood in for; what is stored and
// who may use which policy comes with the case.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/plugin/pkg/admission/security/podsecuritypolicy"
)

// request is one case.
type request struct {
	Policies []policyv1beta1.PodSecurityPolicy `json:"policies"`
	Pod      *corev1.Pod                       `json:"pod"`
	// Old is the stored pod; with it the case is an update.
	Old       *corev1.Pod `json:"old"`
	Namespace string      `json:"namespace"`
	User      string      `json:"user"`
	Grants    []grant     `json:"grants"`
}

// grant lets a user use a policy.
type grant struct {
	User   string `json:"user"`
	Group  string `json:"group"`
	Policy string `json:"policy"`
}

// answer is what Kubernetes 1.24 makes of a case.
type answer struct {
	// InvalidPolicies says of policies, by name, why they could not be stored. They
	// take no part in the verdict.
	InvalidPolicies map[string]string `json:"invalidPolicies,omitempty"`
	// Invalid says why the API's own validation refuses the pod, whatever the policies.
	Invalid string `json:"invalid,omitempty"`
	// Refused is the plugin's refusal; empty where it admits the pod.
	Refused string `json:"refused,omitempty"`
	// Defaulted is the pod as it reached the plugin, Pod as it was stored.
	Defaulted *corev1.Pod `json:"defaulted,omitempty"`
	Pod       *corev1.Pod `json:"pod,omitempty"`
}

func main() {
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "psp:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	// procMount was behind a gate; a policy for it presupposes that it is open.
	if err := utilfeature.DefaultMutableFeatureGate.Set("ProcMountType=true"); err != nil {
		return err
	}
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	decoder.DisallowUnknownFields()
	for n := 1; ; n++ {
		var r request
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("case %d: %w", n, err)
		}
		a, err := judge(ctx, &r)
		if err != nil {
			return fmt.Errorf("case %d: %w", n, err)
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
	}
}

func judge(ctx context.Context, r *request) (*answer, error) {
	a := &answer{}
	plugin, err := pluginWith(r, a)
	if err != nil || r.Pod == nil {
		return a, err
	}
	pod, err := internal(r.Pod)
	if err != nil {
		return nil, err
	}
	a.Defaulted = r.Pod.DeepCopy() // the conversion shares memory
	if r.Old != nil {
		old, err := internal(r.Old)
		if err != nil {
			return nil, err
		}
		if err := plugin.Validate(ctx, r.attributes(pod, old, admission.Update), nil); err != nil {
			a.Refused = err.Error()
		}
		return a, nil
	}
	attributes := r.attributes(pod, nil, admission.Create)
	if err := plugin.Admit(ctx, attributes, nil); err != nil {
		a.Refused = err.Error()
	}
	podregistry.Strategy.PrepareForCreate(ctx, pod)
	if errs := podregistry.Strategy.Validate(ctx, pod); len(errs) > 0 {
		a.Invalid = errs.ToAggregate().Error()
	}
	if a.Refused == "" {
		if err := plugin.Validate(ctx, attributes, nil); err != nil {
			a.Refused = err.Error()
		}
	}
	a.Pod = &corev1.Pod{}
	return a, legacyscheme.Scheme.Convert(pod, a.Pod, nil)
}

// pspPlugin is the admission plugin in the forms in which it is called.
type pspPlugin interface {
	admission.MutationInterface
	admission.ValidationInterface
}

// pluginWith makes the plugin with the policies that can be stored.
func pluginWith(r *request, a *answer) (pspPlugin, error) {
	plugins := admission.NewPlugins()
	podsecuritypolicy.Register(plugins)
	made, err := plugins.InitPlugin(podsecuritypolicy.PluginName, nil, initializer{r})
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(nil, 0)
	store := factory.Policy().V1beta1().PodSecurityPolicies().Informer().GetStore()
	for i := range r.Policies {
		p := &r.Policies[i]
		legacyscheme.Scheme.Default(p)
		var stored policy.PodSecurityPolicy
		if err := legacyscheme.Scheme.Convert(p, &stored, nil); err != nil {
			return nil, err
		}
		if errs := policyvalidation.ValidatePodSecurityPolicy(&stored); len(errs) > 0 {
			if a.InvalidPolicies == nil {
				a.InvalidPolicies = map[string]string{}
			}
			a.InvalidPolicies[p.Name] = errs.ToAggregate().Error()
			continue
		}
		if err := store.Add(p); err != nil {
			return nil, err
		}
	}
	plugin, ok := made.(interface {
		pspPlugin
		SetExternalKubeInformerFactory(informers.SharedInformerFactory)
	})
	if !ok {
		return nil, fmt.Errorf("the plugin is a %T", made)
	}
	plugin.SetExternalKubeInformerFactory(factory)
	return plugin, nil
}

// initializer gives the plugin what it must have before it can be made.
type initializer struct{ r *request }

func (i initializer) Initialize(plugin admission.Interface) {
	p := plugin.(interface {
		SetAuthorizer(authorizer.Authorizer)
		SetExternalKubeInformerFactory(informers.SharedInformerFactory)
	})
	p.SetAuthorizer(i.r)
	p.SetExternalKubeInformerFactory(informers.NewSharedInformerFactory(nil, 0))
}

// Authorize allows what is granted.
func (r *request) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, g := range r.Grants {
		if a.GetVerb() == "use" && a.GetResource() == "podsecuritypolicies" && a.GetNamespace() == r.Namespace &&
			a.GetUser().GetName() == g.User && a.GetAPIGroup() == g.Group && a.GetName() == g.Policy {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r *request) attributes(pod, old *core.Pod, operation admission.Operation) admission.Attributes {
	kind, resource := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	if old == nil {
		return admission.NewAttributesRecord(pod, nil, kind, r.Namespace, pod.Name, resource, "", operation, nil, false, &user.DefaultInfo{Name: r.User})
	}
	return admission.NewAttributesRecord(pod, old, kind, r.Namespace, pod.Name, resource, "", operation, nil, false, &user.DefaultInfo{Name: r.User})
}

// internal defaults a pod and converts it as a request does.
func internal(pod *corev1.Pod) (*core.Pod, error) {
	legacyscheme.Scheme.Default(pod)
	out := &core.Pod{}
	return out, legacyscheme.Scheme.Convert(pod, out, nil)
}
