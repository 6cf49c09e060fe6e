package network

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// withoutPods are namespaces that hold data of Kubernetes and no pods.
var withoutPods = map[string]bool{"kube-node-lease": true, "kube-public": true}

// judgeDefaultDeny judges every namespace: whether all its pods, those of tomorrow
// included, have no more traffic in a direction than some policy allows.
func judgeDefaultDeny(d direction) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		var out []check.Judgement
		for _, name := range in.World.Namespaces() {
			j := judgeNamespace(in.World, name, d)
			if j.Object = in.World.Namespace(name); j.Object == nil {
				j.Ref = finding.Ref{Version: "v1", Kind: "Namespace", Name: name}
			}
			out = append(out, j)
		}
		return out
	}
}

func judgeNamespace(w *model.World, name string, d direction) check.Judgement {
	if withoutPods[name] {
		return check.Inapplicable(nil)
	}
	if reason := w.Unobserved(networkPolicyKind, name); reason != "" {
		return check.Unobserved(nil, "its NetworkPolicies were not read: %s", reason)
	}
	switch said, by := ask(w, name, d, false); said {
	case denies:
		return check.Passed(nil, evidence(by, "denies by default"))
	case allows:
		return exposed(fmt.Sprintf("%s %s allows all %s before any NetworkPolicy is asked", by.Kind, by.Name, lower(d)))
	case unclear:
		return unclearJudgement(by)
	}
	own := policies.Of(w)[name]
	var denier *policy
	for _, p := range own {
		if p.problem != "" {
			return check.Unobserved(nil, "NetworkPolicy %s is not understood: %s", p.object.Name, p.problem)
		}
		if p.selectsAll() && p.open[d] {
			return exposed(fmt.Sprintf("NetworkPolicy %s allows all %s of every pod", p.object.Name, lower(d)))
		}
		if p.selectsAll() && p.isolates[d] && denier == nil {
			denier = p
		}
	}
	if denier != nil {
		return check.Passed(nil, evidence(denier.object, "selects every pod"))
	}
	switch said, by := ask(w, name, d, true); said {
	case denies:
		return check.Passed(nil, evidence(by, "denies by default"))
	case unclear:
		return unclearJudgement(by)
	}
	if o := pluginPolicy(w, name); o != nil {
		return check.Unobserved(nil, "%s %s may deny %s by default; policies of network plugins are not judged", o.Kind, o.Name, lower(d))
	}
	return exposed(describeOpen(workloads.Of(w)[name], own, d))
}

func lower(d direction) string { return strings.ToLower(string(d)) }

func evidence(o *model.Object, detail string) finding.Evidence {
	return finding.Evidence{Source: o.Ref().String(), Detail: detail}
}

func unclearJudgement(by *model.Object) check.Judgement {
	return check.Unobserved(nil, "the Namespace object was not read, so that it is not known whether %s %s selects it", by.Kind, by.Name)
}

func exposed(detail string) check.Judgement {
	return check.Judgement{Verdict: finding.Fail, Violations: []check.Violation{{Path: model.Path(nil).Keys("metadata", "name"), Detail: detail}}}
}

// describeOpen says which workloads no policy isolates.
func describeOpen(all []workload, own []*policy, d direction) string {
	var open []string
	if !fewEnough(own, all) {
		all = nil
	}
	for _, w := range all {
		if w.object.Pod().Spec["hostNetwork"] == true {
			continue // policies do not apply to the node's own network
		}
		isolated := false
		for _, p := range own {
			isolated = isolated || p.isolates[d] && p.selector.Matches(labels.Set(w.labels))
		}
		if !isolated {
			open = append(open, w.name)
		}
	}
	switch {
	case len(all) == 0:
		return fmt.Sprintf("no policy denies %s by default", lower(d))
	case len(open) == 0:
		return fmt.Sprintf("no policy denies %s by default: the pods of today are isolated one by one, a new one is not", lower(d))
	case len(open) > 2:
		return fmt.Sprintf("no policy limits the %s of %s, %s and %d more", lower(d), open[0], open[1], len(open)-2)
	}
	return fmt.Sprintf("no policy limits the %s of %s", lower(d), strings.Join(open, " and "))
}

// defaultDenyNeeds are all that may deny or allow before a NetworkPolicy does, and
// instead of one.
var defaultDenyNeeds = slices.Concat([]model.GroupKind{namespaceKind, networkPolicyKind}, clusterPolicyKinds, reach.PluginPolicies)
