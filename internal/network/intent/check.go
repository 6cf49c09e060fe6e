// Package intent holds a cluster's network against what a team says of it: only these
// reach that, nothing of this reaches that, a namespace is isolated. Each assertion is
// proven for all pods and addresses, or refuted with traffic that breaks it.
package intent

import (
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Kind is that of files with assertions.
var Kind = model.GroupKind{Group: "bulkhead.dev", Kind: "NetworkCheck"}

// Form is one of the ways in which something is asserted; it is the name of the field.
type Form string

// The forms.
const (
	Only           Form = "only"
	Deny           Form = "deny"
	Allow          Form = "allow"
	Isolated       Form = "isolated"
	Tiers          Form = "tiers"
	InternetOnlyBy Form = "internetOnlyBy"
	DNS            Form = "dns"
)

// Forms are all of them.
var Forms = []Form{Only, Deny, Allow, Isolated, Tiers, InternetOnlyBy, DNS}

// Ends are names of pods and addresses, as reach.Engine.Find reads them: all of them
// together.
type Ends []string

// Assertion is one item of a file.
type Assertion struct {
	// Name is what the file calls it, or what it says in short.
	Name string
	Form Form
	// Namespace is where label selectors and plain names look; everywhere if it is empty.
	Namespace string
	// From and To are the ends of only, deny and allow; From those of internetOnlyBy.
	From, To Ends
	// Ports are all where the file names none.
	Ports reach.Ports
	// In is the namespace that is isolated; nothing leaves it either if Egress is true.
	// Except are the ends that may all the same.
	In     string
	Egress bool
	Except Ends
	// Order are the tiers from the top; Within says that traffic inside of one may be.
	Order  []Ends
	Within bool
	// Future says that it is to be true of pods that do not exist yet as well.
	Future bool
	At     *finding.Location
}

// Verdict is what is found of an assertion.
type Verdict string

// The verdicts.
const (
	Holds   Verdict = "holds"
	Refuted Verdict = "refuted"
	Unknown Verdict = "unknown"
)

// Result is the verdict about an assertion, and why.
type Result struct {
	Assertion *Assertion
	Verdict   Verdict
	// Why says what is wrong, or not known; it is empty where the assertion holds.
	Why []string
	// Counterexamples are the first ones found, of different workloads.
	Counterexamples []Counterexample
	// More says that there are others.
	More bool
}

// Counterexample is traffic that breaks an assertion: it arrives and must not, or
// (Stopped) does not arrive and must.
type Counterexample struct {
	From, To reach.Side
	// Protocol and Port are one of Ports, by which the assertion is broken.
	Protocol reach.Protocol
	Port     uint16
	Ports    reach.Ports
	Stopped  bool
	// Breaks says what of the assertion it breaks.
	Breaks string
	// Doubts say why it may be none.
	Doubts []string
	// Future is there where one of the ends does not exist yet: it has the cluster in which
	// they would.
	Future *reach.FutureTraffic
}

// Names are the two ends; one that does not exist yet is named as net can reads it.
func (x *Counterexample) Names() (from, to string) {
	if x.Future != nil {
		return x.Future.Describe(x.From), x.Future.Describe(x.To)
	}
	return x.From.String(), x.To.String()
}
