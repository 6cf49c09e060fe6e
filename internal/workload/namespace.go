package workload

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
	psapi "k8s.io/pod-security-admission/api"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

var namespaceKind = model.GroupKind{Kind: "Namespace"}

// systemNamespaces belong to the control plane, which makes them and runs there
// what has to be privileged: nobody labels them.
var systemNamespaces = map[string]bool{"kube-system": true, "kube-public": true, "kube-node-lease": true}

// namespaceControls are the controls of namespaces.
func namespaceControls() []*check.Control {
	return []*check.Control{podSecurityEnforced(), podSecurityWarned(), podSecurityLevel()}
}

// judgeNamespaces judges every namespace of which a world can say what is missing
// in it. The object is nil where only others show that the namespace exists.
func judgeNamespaces(w *model.World, judge func(name string, o *model.Object) check.Judgement) []check.Judgement {
	var out []check.Judgement
	for _, name := range w.Namespaces() {
		o := w.Namespace(name)
		j := check.Inapplicable(o)
		if !systemNamespaces[name] {
			j = judge(name, o)
		}
		if o == nil {
			j.Ref = finding.Ref{Version: "v1", Kind: "Namespace", Name: name}
		}
		out = append(out, j)
	}
	return out
}

// podSecurityPolicy is what a namespace's labels say of Pod Security, as the API
// server reads them where its configuration sets no defaults, and what is invalid
// in them.
func podSecurityPolicy(o *model.Object) (psapi.Policy, field.ErrorList) {
	none := psapi.LevelVersion{Level: psapi.LevelPrivileged, Version: psapi.LatestVersion()}
	var labels map[string]string
	if o != nil {
		labels = o.Labels()
	}
	return psapi.PolicyToEvaluate(labels, psapi.Policy{Enforce: none, Audit: none, Warn: none})
}

func labelPath(label string) model.Path { return model.Path(nil).Keys("metadata", "labels", label) }

// invalidLabels are violations for those of the errors that concern one of the
// labels.
func invalidLabels(errs field.ErrorList, labels ...string) []check.Violation {
	var out []check.Violation
	for _, err := range errs {
		for _, label := range labels {
			if err.Field == field.NewPath("metadata", "labels").Key(label).String() {
				out = append(out, check.Violation{Path: labelPath(label), Detail: "label " + label + " is invalid: " + err.ErrorBody()})
			}
		}
	}
	return out
}

// namespaceLabelVariables are what the fixes of these controls share. A label that
// is missing stands for privileged.
//
//	enforced  the level that the namespace says it enforces, right or wrong
var namespaceLabelVariables = []check.Variable{
	{Name: "system", Expression: `object.metadata.name in ["kube-system", "kube-public", "kube-node-lease"]`},
	{Name: "levels", Expression: `["privileged", "baseline", "restricted"]`},
	{Name: "labels", Expression: `object.metadata.?labels.orValue({})`},
	{Name: "enforced", Expression: `string(variables.labels[?"pod-security.kubernetes.io/enforce"].orValue("privileged"))`},
}

// setLabels is the mutation that sets the labels of variables.wrong to a level and
// takes away versions that Pod Security does not understand: without one the API
// server takes the latest, as it does with one that is invalid.
const setLabels = `variables.system ? [] :
  (has(object.metadata.labels) || size(variables.wrong) == 0 ? [] : [JSONPatch{op: "add", path: "/metadata/labels", value: {}}]) +
  variables.wrong.map(w, JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey(string(w.label)), value: w.level}) +
  variables.versions.filter(l, l in variables.labels && !string(variables.labels[l]).matches(r"^(latest|v1\.([0-9]|[1-9][0-9]*))$")).map(l,
    JSONPatch{op: "remove", path: "/metadata/labels/" + jsonpatch.escapeKey(string(l))})`

// levelParameter reads a control's parameter level.
func levelParameter(in *check.Input, namespace string) (psapi.Level, error) {
	level, _ := in.Parameter("level", namespace).(string)
	return psapi.ParseLevel(level)
}

func stricter(a, b psapi.Level) psapi.Level {
	if psapi.CompareLevels(a, b) < 0 {
		return b
	}
	return a
}
