package admission

import (
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// Mode is what the API server does with what a policy finds.
type Mode string

// The modes, from the mildest.
const (
	Audit Mode = "audit" // an annotation in the audit log
	Warn  Mode = "warn"  // a warning to the client, and the annotation
	Deny  Mode = "deny"  // a refusal, and the annotation
)

// ParseMode reads audit, warn or deny.
func ParseMode(text string) (Mode, error) {
	if m := Mode(text); m == Audit || m == Warn || m == Deny {
		return m, nil
	}
	return "", fmt.Errorf("%q is no mode: use audit, warn or deny", text)
}

// Actions are what a binding of the mode says.
func (m Mode) Actions() []admissionv1.ValidationAction {
	switch m {
	case Deny:
		return []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit}
	case Warn:
		return []admissionv1.ValidationAction{admissionv1.Warn, admissionv1.Audit}
	}
	return []admissionv1.ValidationAction{admissionv1.Audit}
}

// The first minor version of Kubernetes 1 that can take what is exported.
const (
	validatingMinor   = 30 // ValidatingAdmissionPolicy v1
	mutatingBetaMinor = 34 // MutatingAdmissionPolicy v1beta1, off by default
	mutatingMinor     = 36 // MutatingAdmissionPolicy v1
	staticMinor       = 36 // ManifestBasedAdmissionControlConfig; on by default from 1.37
)

// staticSuffix ends the names of policies that the API server reads from files, and
// of no others.
const staticSuffix = ".static.k8s.io"

// SystemNamespaces hold the cluster's own parts: a policy that refuses one of them
// can take the cluster down, so that they are exempt unless they are named.
func SystemNamespaces() []string { return []string{"kube-node-lease", "kube-public", "kube-system"} }

// ExportOptions say what is exported, and for which API server.
type ExportOptions struct {
	Mode Mode
	// Minor is the minor version of Kubernetes 1 that is to take the policies.
	Minor int
	// Mutate adds the fixes of the controls, as mutating policies.
	Mutate bool
	// Static names the policies for files of ManifestBasedAdmissionControlConfig. The
	// API server reads mutating policies from a folder of their own, so that with
	// Mutate they are exported alone.
	Static bool
	// Namespaces are those in which the policies act; all, but for ExcludeNamespaces,
	// where it is nil. Names, no patterns.
	Namespaces, ExcludeNamespaces []string
	Parameters                    check.Parameters
	Waivers                       []ExportWaiver
	// Annotations says which waivers count that objects carry as annotations; nil for
	// none, since a tenant must not waive what the platform forbids.
	Annotations *check.AnnotationSettings
	// Now is the time by which a waiver has expired.
	Now time.Time
}

// Validate reports options that no API server could serve.
func (o *ExportOptions) Validate() error {
	switch {
	case o.Minor < validatingMinor:
		return fmt.Errorf("v1 of ValidatingAdmissionPolicy is served from Kubernetes 1.%d on, and not by 1.%d", validatingMinor, o.Minor)
	case o.Mutate && o.Minor < mutatingBetaMinor:
		return fmt.Errorf("v1beta1 of MutatingAdmissionPolicy is served from Kubernetes 1.%d on, and not by 1.%d: leave out --mutate", mutatingBetaMinor, o.Minor)
	case o.Static && o.Minor < staticMinor:
		return fmt.Errorf("policies are read from files by Kubernetes 1.%d and newer, and not by 1.%d: leave out --static", staticMinor, o.Minor)
	}
	for _, name := range slices.Concat(o.Namespaces, o.ExcludeNamespaces) {
		if name == "" || strings.ContainsAny(name, `*?[\`) {
			return fmt.Errorf("%q is no name of a namespace: a policy selects namespaces by name, and not by pattern", name)
		}
	}
	return nil
}

// Exported is what Export made of controls.
type Exported struct {
	Policies []ExportedPolicy
	LeftOut  []LeftOut
	// Notes say which waivers, or parts of them, the policies do not have, and why.
	Notes []string
}

// ExportedPolicy is a policy with its binding: validating or mutating, the other
// pair being nil. The types are those of v1; APIVersion says which version is meant.
type ExportedPolicy struct {
	Control           *check.Control
	Validating        *admissionv1.ValidatingAdmissionPolicy
	ValidatingBinding *admissionv1.ValidatingAdmissionPolicyBinding
	Mutating          *admissionv1.MutatingAdmissionPolicy
	MutatingBinding   *admissionv1.MutatingAdmissionPolicyBinding
}

// Objects are the policy and its binding.
func (p *ExportedPolicy) Objects() []any {
	if p.Validating != nil {
		return []any{p.Validating, p.ValidatingBinding}
	}
	return []any{p.Mutating, p.MutatingBinding}
}

// LeftOut is a control that has no policy, and why.
type LeftOut struct {
	Control  string
	Mutating bool
	Reason   string
}

// Export writes controls as policies that refuse an update only for what it makes
// worse, with waivers compiled in. Each is compiled as the API server that is meant
// will; what that would refuse is left out.
func Export(controls []*check.Control, o ExportOptions) (*Exported, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &exporter{ExportOptions: o, out: &Exported{}}
	waivers := e.liveWaivers()
	for _, c := range controls {
		if !o.Static || !o.Mutate {
			if err := e.validating(c, waivers); err != nil {
				e.leaveOut(c, false, err)
			}
		}
		if o.Mutate {
			if err := e.mutating(c, waivers); err != nil {
				e.leaveOut(c, true, err)
			}
		}
	}
	return e.out, nil
}

type exporter struct {
	ExportOptions
	out *Exported
}

func (e *exporter) leaveOut(c *check.Control, mutating bool, why error) {
	e.out.LeftOut = append(e.out.LeftOut, LeftOut{Control: c.Name, Mutating: mutating, Reason: why.Error()})
}

// validating exports the judgement of a control. The error says why it cannot.
func (e *exporter) validating(c *check.Control, waivers []ExportWaiver) error {
	switch {
	case c.Object == nil:
		return fmt.Errorf("judges the cluster as a whole, and a policy sees one object")
	case c.Object.Judge != nil:
		return fmt.Errorf("is a check of Pod Security, which labels of namespaces enforce")
	}
	if err := e.reaches(c.Object); err != nil {
		return err
	}
	policy, err := ValidatingPolicy(c, e.Parameters[c.Name])
	if err != nil {
		return err
	}
	policy.ObjectMeta = e.meta(c)
	policy.Spec.MatchConditions = matchConditions(c.Object)
	scopes := e.scopesOf(c, c.Object, waivers)
	scopes.annotate(&policy.ObjectMeta)
	if err := ratchet(&policy.Spec, c.Object, scopes); err != nil {
		return err
	}
	if err := compileValidating(&policy.Spec, e.Minor); err != nil {
		return err
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: policy.APIVersion, Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: e.meta(c),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: e.Mode.Actions(), MatchResources: e.bound(c.Object)},
	}
	e.out.Policies = append(e.out.Policies, ExportedPolicy{Control: c, Validating: policy, ValidatingBinding: binding})
	return nil
}

// mutating exports the fix of a control. It fails open: whatever it leaves as it was
// is judged after it.
func (e *exporter) mutating(c *check.Control, waivers []ExportWaiver) error {
	switch {
	case c.FixPolicy() == nil:
		return fmt.Errorf("has no fix but a person's decision")
	case c.Object == nil:
		return fmt.Errorf("its fix is for objects that have a finding, which takes the whole cluster to tell")
	}
	if err := e.reaches(c.Object); err != nil {
		return err
	}
	policy, err := MutatingPolicy(c, e.Parameters[c.Name])
	if err != nil {
		return err
	}
	version := "v1"
	if e.Minor < mutatingMinor {
		version = "v1beta1"
	}
	ignore := admissionv1.Ignore
	policy.APIVersion = admissionv1.GroupName + "/" + version
	policy.ObjectMeta = e.meta(c)
	policy.Spec.FailurePolicy = &ignore
	scopes := e.scopesOf(c, c.Object, waivers)
	scopes.annotate(&policy.ObjectMeta)
	policy.Spec.MatchConditions = append(matchConditions(c.Object), scopes.unmutated()...)
	if err := compileMutating(&policy.Spec, e.Minor); err != nil {
		return err
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: policy.APIVersion, Kind: "MutatingAdmissionPolicyBinding"},
		ObjectMeta: e.meta(c),
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, MatchResources: e.bound(c.Object)},
	}
	e.out.Policies = append(e.out.Policies, ExportedPolicy{Control: c, Mutating: policy, MutatingBinding: binding})
	return nil
}

func (e *exporter) meta(c *check.Control) metav1.ObjectMeta {
	name := policyName(c)
	if e.Static {
		name += staticSuffix
	}
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"app.kubernetes.io/managed-by":      "bulkhead",
		check.WaiverKind.Group + "/control": c.Name,
	}}
}

// reaches reports a policy that the choice of namespaces could not hold in.
func (e *exporter) reaches(p *check.ObjectPolicy) error {
	if e.Namespaces != nil && !namespaced(p) {
		return fmt.Errorf("its objects belong to the whole cluster, and --namespaces limits the policies to some namespaces")
	}
	return nil
}

// namespaced reports whether a policy is about objects in namespaces.
func namespaced(p *check.ObjectPolicy) bool {
	return p.Pods || slices.ContainsFunc(p.Kinds, func(gk model.GroupKind) bool {
		r, _ := model.BuiltinResource(gk)
		return r.Namespaced
	})
}

// bound selects the namespaces in which a policy acts. It selects by the label that
// the API server itself keeps on every namespace: a label that tenants may set would
// let them out.
func (e *exporter) bound(p *check.ObjectPolicy) *admissionv1.MatchResources {
	if !namespaced(p) {
		return nil
	}
	var terms []metav1.LabelSelectorRequirement
	excluded := slices.Clone(e.ExcludeNamespaces)
	if e.Namespaces != nil {
		terms = append(terms, metav1.LabelSelectorRequirement{Key: namespaceLabel, Operator: metav1.LabelSelectorOpIn, Values: e.Namespaces})
	} else {
		excluded = append(excluded, SystemNamespaces()...)
	}
	if len(excluded) > 0 {
		slices.Sort(excluded)
		terms = append(terms, metav1.LabelSelectorRequirement{Key: namespaceLabel, Operator: metav1.LabelSelectorOpNotIn, Values: slices.Compact(excluded)})
	}
	return &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: terms}}
}

// namespaceLabel is the label of a namespace that is its name.
const namespaceLabel = "kubernetes.io/metadata.name"

// builtinControllers are the names under which the controllers of Kubernetes make
// pods, and what makes pods, out of an object that was judged when it was written.
// Without a credential of their own they use that of the controller manager.
var builtinControllers = []string{
	"system:serviceaccount:kube-system:cronjob-controller",
	"system:serviceaccount:kube-system:daemon-set-controller",
	"system:serviceaccount:kube-system:deployment-controller",
	"system:serviceaccount:kube-system:job-controller",
	"system:serviceaccount:kube-system:replicaset-controller",
	"system:serviceaccount:kube-system:replication-controller",
	"system:serviceaccount:kube-system:statefulset-controller",
	"system:kube-controller-manager",
}

// matchConditions let through what the built-in controllers create: a workload is
// judged where it is written. Otherwise scaling, eviction and the loss of a node would
// stop whatever was there before the policy. That an object names an owner is no
// reason to let it through, since anyone can write so.
func matchConditions(p *check.ObjectPolicy) []admissionv1.MatchCondition {
	if !p.Pods {
		return nil
	}
	names := make([]string, len(builtinControllers))
	for i, n := range builtinControllers {
		names[i] = "  " + quoteCEL(n)
	}
	return []admissionv1.MatchCondition{{
		Name:       "judged-where-written",
		Expression: "request.operation != \"CREATE\" || !(request.userInfo.?username.orValue(\"\") in [\n" + strings.Join(names, ",\n") + "])",
	}}
}
