package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// withoutPods are namespaces that hold data of Kubernetes and no pods.
var withoutPods = map[string]bool{"kube-node-lease": true, "kube-public": true}

// judgeDefaultDeny judges every namespace: whether all its pods, those of tomorrow
// included, have no more traffic in a direction than some policy allows.
func judgeDefaultDeny(d reach.Direction) func(*check.Input) []check.Judgement {
	return eachNamespace(func(w *model.World, name string) check.Judgement { return judgeDenied(w, name, d) })
}

// eachNamespace judges the namespaces of which it is known what they lack.
func eachNamespace(judge func(w *model.World, name string) check.Judgement) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		var out []check.Judgement
		for _, name := range in.World.Namespaces() {
			j := judge(in.World, name)
			if j.Object = in.World.Namespace(name); j.Object == nil {
				j.Ref = finding.Ref{Version: "v1", Kind: "Namespace", Name: name}
			}
			out = append(out, j)
		}
		return out
	}
}

// unreadable says what of a namespace's policies is not understood; empty where all is.
func unreadable(w *model.World, name string) string {
	if reason := w.Unobserved(networkPolicyKind, name); reason != "" {
		return "its NetworkPolicies were not read: " + reason
	}
	for _, o := range w.KindIn(networkPolicyKind, name) {
		if reason := misread.Of(w)[o.Ref()]; reason != "" {
			return fmt.Sprintf("NetworkPolicy %s is not understood: %s", o.Name, reason)
		}
	}
	return ""
}

func judgeDenied(w *model.World, name string, d reach.Direction) check.Judgement {
	if withoutPods[name] {
		return check.Inapplicable(nil)
	}
	c := clusters.Of(w)
	ns := c.Namespaces[name]
	if reason := w.Unobserved(networkPolicyKind, name); reason != "" {
		return check.Unobserved(nil, "its NetworkPolicies were not read: %s", reason)
	}
	switch said, by := ask(c.Admin, ns, d); said {
	case denies:
		return check.Passed(nil, evidence(by, "denies by default"))
	case allows:
		return exposed(fmt.Sprintf("%s %s allows all %s before any NetworkPolicy is asked", by.Kind, by.Name, d))
	case unclear:
		return unclearJudgement(by)
	}
	if reason := unreadable(w, name); reason != "" {
		return check.Unobserved(nil, "%s", reason)
	}
	own := policies.Of(w)[name]
	var denier *reach.Policy
	var open []*reach.Rule
	for _, p := range own {
		if !p.Subject.Empty() {
			continue
		}
		open = append(open, p.Rules[d]...)
		if slices.ContainsFunc(p.Rules[d], func(r *reach.Rule) bool { return allowsEverything([]*reach.Rule{r}) }) {
			return exposed(fmt.Sprintf("NetworkPolicy %s allows all %s of every pod", p.Name, d))
		}
		if p.Isolates[d] && denier == nil {
			denier = p
		}
	}
	if allowsEverything(open) {
		return exposed(fmt.Sprintf("its NetworkPolicies together allow all %s of every pod", d))
	}
	if denier != nil {
		return check.Passed(nil, evidence(denier.Object, "selects every pod"))
	}
	switch said, by := ask(c.Baseline, ns, d); said {
	case denies:
		return check.Passed(nil, evidence(by, "denies by default"))
	case unclear:
		return unclearJudgement(by)
	}
	if o := pluginPolicy(w, name); o != nil {
		return check.Unobserved(nil, "%s %s may deny %s by default; policies of network plugins are not judged", o.Kind, o.Name, d)
	}
	return exposed(describeOpen(w, name, d))
}

// allowsEverything reports whether rules allow all traffic, or that of every pod of the
// cluster, by every port.
func allowsEverything(rules []*reach.Rule) bool {
	var blocks netipx.IPSetBuilder
	for _, r := range rules {
		if !allPorts(r) {
			continue
		}
		if r.AllPeers {
			return true
		}
		for _, p := range r.Peers {
			if !p.Block.IsValid() {
				if p.Namespaces != nil && p.Namespaces.Empty() && p.Pods.Empty() {
					return true
				}
				continue
			}
			var one netipx.IPSetBuilder
			one.AddPrefix(p.Block)
			for _, e := range p.Except {
				one.RemovePrefix(e)
			}
			if set, err := one.IPSet(); err == nil {
				blocks.AddSet(set)
			}
		}
	}
	set, err := blocks.IPSet()
	return err == nil && slices.ContainsFunc([]string{"0.0.0.0/0", "::/0"}, func(all string) bool { return set.ContainsPrefix(netip.MustParsePrefix(all)) })
}

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
func describeOpen(w *model.World, namespace string, d reach.Direction) string {
	open := openWorkloads(w, namespace, d)
	switch {
	case len(isolations.Of(w)[namespace]) == 0:
		return fmt.Sprintf("no policy denies %s by default", d)
	case len(open) == 0:
		return fmt.Sprintf("no policy denies %s by default: the pods of today are isolated one by one, a new one is not", d)
	}
	return fmt.Sprintf("no policy limits the %s of %s", d, fewOf(open))
}

// fewOf names the first ones, and says how many others there are.
func fewOf(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s, %s and %d more", names[0], names[1], len(names)-2)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// defaultDenyNeeds are all that may deny or allow before a NetworkPolicy does, and
// instead of one.
var defaultDenyNeeds = slices.Concat([]model.GroupKind{namespaceKind, networkPolicyKind}, clusterPolicyKinds, reach.PluginPolicies)
