// Package finding holds what an assessment says: findings, the rules they
// name, verdicts, severities, locations, evidence and edits. Everything
// downstream of an assessment (reports, stores, dashboards) reads these types
// and nothing else, so the package uses the standard library only.
package finding

// Finding is one statement about one object: a control that failed on it, or
// that could not be judged.
type Finding struct {
	// Control is the name of the rule that speaks; Result.Rules has the rule.
	Control  string   `json:"control"`
	Verdict  Verdict  `json:"verdict"`
	Severity Severity `json:"severity"`
	// Message says what is wrong, in one line, without the object's name.
	Message string `json:"message"`
	Object  Ref    `json:"object"`
	// Root is the rendered root that the object belongs to: the path of a chart
	// or kustomization, empty for plain files.
	Root string `json:"root,omitempty"`
	// Container is the container the finding is about, where it is about one.
	Container string `json:"container,omitempty"`
	// Path is the field, in the API server's notation:
	// spec.template.spec.containers[0].image. It may name an absent field.
	Path     string     `json:"path,omitempty"`
	Location *Location  `json:"location,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// Covers are weaker controls that failed for the same fault and are not
	// reported beside this one.
	Covers []string `json:"covers,omitempty"`
	// Waived is set where a waiver accepts the finding.
	Waived *Waived `json:"waived,omitempty"`
	// Managed is set where the platform keeps the object. It hides nothing: the marks
	// by which that is told are anybody's to set.
	Managed *Managed `json:"managed,omitempty"`
	Fix     *Fix     `json:"fix,omitempty"`
	// Fingerprint identifies the finding across runs: it does not depend on
	// lines, on the order of containers, or on wording.
	Fingerprint string `json:"fingerprint"`
}

// Ref names a Kubernetes object.
type Ref struct {
	Group     string `json:"group"`
	Version   string `json:"version,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is the object as a person writes it: shop/Deployment/web, or
// Deployment/web where it has no namespace.
func (r Ref) String() string {
	s := r.Kind + "/" + r.Name
	if r.Namespace != "" {
		s = r.Namespace + "/" + s
	}
	return s
}

// InNamespace is the namespace whose settings and filters concern the object: its
// own, or for a Namespace itself its name.
func (r Ref) InNamespace() string {
	if r.Kind == "Namespace" && r.Group == "" {
		return r.Name
	}
	return r.Namespace
}

// Location is a place in a source file. Line and Column count from 1; 0 is
// unknown. Column counts bytes, as compilers do.
type Location struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Evidence is something that was read to reach a verdict.
type Evidence struct {
	// Source names what was read: an object, a file, an endpoint.
	Source string `json:"source"`
	// Detail says what it said.
	Detail string `json:"detail,omitempty"`
}

// Waived says which waiver accepts a finding, and on whose word.
type Waived struct {
	// Waiver names the waiver: its object name, or "annotation".
	Waiver  string `json:"waiver"`
	Owner   string `json:"owner"`
	Reason  string `json:"reason"`
	Ticket  string `json:"ticket,omitempty"`
	Expires string `json:"expires,omitempty"`
}

// Managed says which part of the platform keeps an object, and what tells so.
type Managed struct {
	// By names it: AKS, addon-manager, kubelet.
	By string `json:"by"`
	// Sign is the label, annotation or owner that says so.
	Sign string `json:"sign"`
}

// FixSafety says who may apply a fix.
type FixSafety string

const (
	// FixSafe changes nothing that a workload can notice when it works as intended.
	FixSafe FixSafety = "safe"
	// FixRisky may break a workload; Note says what.
	FixRisky FixSafety = "risky"
	// FixManual needs a decision; Note says which.
	FixManual FixSafety = "manual"
)

// Fix is a proposed change to the object of a finding.
type Fix struct {
	Safety FixSafety `json:"safety"`
	Note   string    `json:"note,omitempty"`
	// Edits are the change, in order. Empty where Safety is manual.
	Edits []Edit `json:"edits,omitempty"`
	// Diff is the change as a unified diff of the object's YAML, for people.
	Diff string `json:"diff,omitempty"`
}

// Rule is a control as reports show it.
type Rule struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Layer    Layer    `json:"layer"`
	Why      string   `json:"why"`
	Remedy   string   `json:"remedy"`
	// Since is the first control set that has the rule: v0.1.
	Since      string      `json:"since"`
	References []Reference `json:"references,omitempty"`
	FixSafety  FixSafety   `json:"fixSafety"`
}

// Reference is a requirement of a framework that a rule serves.
type Reference struct {
	Framework string `json:"framework"`
	ID        string `json:"id"`
	URL       string `json:"url,omitempty"`
}

// Layer is the part of a cluster that a rule guards.
type Layer string

// The layers.
const (
	LayerWorkload     Layer = "workload"
	LayerRBAC         Layer = "rbac"
	LayerNetwork      Layer = "network"
	LayerImage        Layer = "image"
	LayerSecrets      Layer = "secrets"
	LayerControlPlane Layer = "control-plane"
	LayerNode         Layer = "node"
	LayerNamespace    Layer = "namespace"
)

// Layers lists every layer in the order that reports show them.
func Layers() []Layer {
	return []Layer{LayerWorkload, LayerImage, LayerSecrets, LayerRBAC, LayerNetwork, LayerNamespace, LayerControlPlane, LayerNode}
}
