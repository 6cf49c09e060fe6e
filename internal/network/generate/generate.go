// Package generate writes NetworkPolicies that let through what is wanted and nothing
// else: of a team's intents, of flows that were seen, or of what manifests say of
// themselves. What is written is read back and proven: every wanted connection passes,
// nothing else is open beyond what policies of others allow, and each rule is needed.
package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Marker is the label of policies that this package wrote, and MarkerValue its value. An
// earlier run's are replaced.
const (
	Marker      = "bulkhead.dev/generated-by"
	MarkerValue = "net-generate"
)

// EndKind says what an End is.
type EndKind uint8

// The kinds of ends.
const (
	// Workload are the pods of a workload: Name is KIND/NAME.
	Workload EndKind = iota
	// Selected are the pods of a namespace that the label selector in Name chooses.
	Selected
	// Namespace are all pods of a namespace, those to come too.
	Namespace
	// Block are the addresses of the block in Name.
	Block
	// Internet are all addresses that are not private.
	Internet
	// Everybody are all pods and all addresses.
	Everybody
)

// End is one side of a wanted connection.
type End struct {
	Kind            EndKind
	Namespace, Name string
}

// WorkloadOf is the end that a pod belongs to.
func WorkloadOf(p *reach.Pod) End { return End{Workload, p.Namespace, p.Workload()} }

func (e End) String() string {
	switch e.Kind {
	case Workload:
		return e.Namespace + "/" + e.Name
	case Selected:
		return e.Name + " in " + e.Namespace
	case Namespace:
		return "all pods of " + e.Namespace
	case Block:
		return e.Name
	case Internet:
		return reach.Internet
	}
	return "everybody"
}

// pods reports whether the end is some pods of one namespace.
func (e End) pods() bool { return e.Kind <= Namespace }

func compareEnds(a, b End) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// Want is a connection that has to pass.
type Want struct {
	From, To End
	Ports    reach.Ports
	// Names are ports that each receiving pod resolves for itself.
	Names []reach.NamedPort
	Why   Evidence
}

func (w *Want) String() string {
	return fmt.Sprintf("%s -> %s by %s", w.From, w.To, w.portText())
}

func (w *Want) portText() string {
	if len(w.Names) == 0 {
		return w.Ports.String()
	}
	var out []string
	for _, n := range w.Names {
		out = append(out, n.Protocol.String()+" "+n.Name)
	}
	if !w.Ports.Empty() {
		out = append(out, w.Ports.String())
	}
	return strings.Join(out, ", ")
}

// Evidence is why something is wanted, and where that is written.
type Evidence struct {
	Text string            `json:"text"`
	At   *finding.Location `json:"location,omitempty"`
	// DNS says that it is for names to be resolved.
	DNS bool `json:"-"`
}

func (e Evidence) String() string {
	if e.At == nil || e.At.File == "" {
		return e.Text
	}
	return fmt.Sprintf("%s (%s:%d)", e.Text, e.At.File, e.At.Line)
}

// Note is something that is not derived, or not certain: it is told, and not guessed.
type Note struct {
	Evidence
	// About is the end that it is about, in words; empty for all.
	About string `json:"about,omitempty"`
}

func (n Note) String() string {
	if n.About == "" {
		return n.Evidence.String()
	}
	return n.About + ": " + n.Evidence.String()
}

// Assumed are pods that are not in the input, but known to be in the cluster: those of the
// resolver, or what an operator makes of a custom resource.
type Assumed struct {
	Namespace, Name string
	Labels          map[string]string
	// Selector are those of the labels that tell them from others; all where it is empty.
	Selector map[string]string
	// Named are its ports that have names.
	Named map[reach.NamedPort]uint16
	Why   Evidence
}

// End is the end that the assumed pods are.
func (a Assumed) End() End { return End{Workload, a.Namespace, assumedKind + "/" + a.Name} }

// assumedKind is what stands for the kind of what makes assumed pods.
const assumedKind = "assumed"

// Request is what policies are made of.
type Request struct {
	// Cluster is what World is to the engine.
	Cluster *reach.Cluster
	World   *model.World
	// Namespaces are those in which policies are written. All of their pods are denied
	// what is not wanted, both ways.
	Namespaces []string
	Wants      []*Want
	Assumed    []Assumed
	// Notes are what the sources of the wants could not derive.
	Notes []Note
	// Nodes are blocks that pods in the network of their node have their addresses in.
	Nodes []string
}

// Policy is one that is written: the object, and why each of its rules is there.
type Policy struct {
	*networkingv1.NetworkPolicy
	// Why is said above the policy.
	Why []string
	// Ingress and Egress say why each rule is there.
	Ingress, Egress [][]Evidence
	about           End
}

// Set is what is generated.
type Set struct {
	Policies []*Policy
	// Wants are what passes, after ends that no policy can name are taken out.
	Wants []*Want
	// Open are wants that policies of others let through already: there is no rule for them.
	Open []*Want
	// Uncovered are wants that no policy can say, and why.
	Uncovered []Note
	// Notes are what the sources could not derive.
	Notes []Note
	// Replaced are the policies of an earlier run, which count for nothing. Stale are those
	// of them whose names are not written again.
	Replaced, Stale []string

	before *reach.Cluster // without what is generated
	denied *reach.Cluster // with the default denial alone
	units  *units
	// namespaces are those that are written for.
	namespaces []string
}

// Locations of policies as people name them.
func nameOf(p *networkingv1.NetworkPolicy) string { return p.Namespace + "/" + p.Name }

// systemNamespaces hold what the cluster runs by: they are denied nothing unless they are
// named.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// DefaultNamespaces are those of a cluster that policies can isolate pods of, but for the
// system's.
func DefaultNamespaces(c *reach.Cluster) (out []string) {
	for _, p := range c.Pods {
		if !p.HostNetwork && !slices.Contains(systemNamespaces, p.Namespace) {
			out = append(out, p.Namespace)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
