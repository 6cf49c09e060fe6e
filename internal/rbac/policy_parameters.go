package rbac

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

const admissionGroup = "admissionregistration.k8s.io"

// policyKinds are the admission policies that read parameters, each with its binding.
var policyKinds = []struct{ policy, binding model.GroupKind }{
	{model.GroupKind{Group: admissionGroup, Kind: "ValidatingAdmissionPolicy"}, model.GroupKind{Group: admissionGroup, Kind: "ValidatingAdmissionPolicyBinding"}},
	{model.GroupKind{Group: admissionGroup, Kind: "MutatingAdmissionPolicy"}, model.GroupKind{Group: admissionGroup, Kind: "MutatingAdmissionPolicyBinding"}},
}

// policyParameters are the powers over what the policies of a world read, by
// resource. A policy reads nothing until a binding says which object.
var policyParameters = model.NewFact(func(w *model.World) map[string][]power {
	type target struct {
		model.Resource
		namespace, name string
	}
	seen := map[target]bool{}
	out := map[string][]power{}
	for _, kinds := range policyKinds {
		policies := map[string]*model.Object{}
		for _, p := range w.Kind(kinds.policy) {
			policies[p.Name] = p
		}
		for _, b := range w.Kind(kinds.binding) {
			policy := policies[b.Text("spec", "policyName")]
			if policy == nil || policy.Text("spec", "paramKind", "kind") == "" || b.Map("spec", "paramRef") == nil {
				continue
			}
			t := target{parameterResource(w, policy), b.Text("spec", "paramRef", "namespace"), b.Text("spec", "paramRef", "name")}
			if !seen[t] {
				seen[t] = true
				out[t.Name] = append(out[t.Name], parameterPower(t.Resource, t.namespace, t.name, policy.Name))
			}
		}
	}
	return out
})

// parameterResource is how the API serves the kind of a policy's parameters. Of a
// custom kind whose definition is not in the world the API server's own guess of the
// plural is taken, and that it lives in namespaces.
func parameterResource(w *model.World, policy *model.Object) model.Resource {
	gv, _ := schema.ParseGroupVersion(policy.Text("spec", "paramKind", "apiVersion"))
	gk := model.GroupKind{Group: gv.Group, Kind: policy.Text("spec", "paramKind", "kind")}
	if r, ok := model.BuiltinResource(gk); ok {
		return r
	}
	for _, d := range w.Kind(model.DefinitionKind) {
		if r := model.DefinedResource(d); r.GroupKind == gk {
			return r
		}
	}
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(gk.Kind))
	return model.Resource{GroupKind: gk, Name: plural.Resource, Namespaced: true}
}

// parameterPower is to change a policy's parameters. Without a name they are chosen
// by labels, and without a namespace they are those of the object that is judged.
func parameterPower(r model.Resource, namespace, name, policy string) power {
	p := power{verbs: alterVerbs, group: r.Group, resources: []string{r.Name}, clusterScoped: !r.Namespaced, namespace: namespace, named: ofAnyName}
	what := "every " + r.Kind
	if name != "" {
		what = strings.TrimPrefix(namespace+"/", "/") + name
		what = r.Kind + " " + what
		p.named = func(names []string) bool { return slices.Contains(names, name) }
	}
	p.may = "change " + what + ", which the admission policy " + policy + " reads"
	return p
}

// maxParameters is how many of the parameters that a rule lets change a finding names.
const maxParameters = 3

func changesParameters(in *check.Input) find {
	byResource := policyParameters.Of(in.World)
	var all []power
	for _, r := range slices.Sorted(maps.Keys(byResource)) {
		all = append(all, byResource[r]...)
	}
	return func(r *rbacv1.PolicyRule, held *reach) []hit {
		candidates := all
		if !slices.Contains(r.Resources, rbacv1.ResourceAll) {
			candidates = nil
			for _, s := range r.Resources {
				candidates = append(candidates, byResource[s]...)
			}
		}
		var hits []hit
		for i := range candidates {
			if h, ok := candidates[i].find(r); ok && held.reaches(&candidates[i]) && len(hits) < maxParameters {
				hits = append(hits, h)
			}
		}
		return hits
	}
}
