package model

// Record is what a world that was read from a snapshot knows beside its objects.
type Record struct {
	// Controls are those that judged the objects before values were left out, each
	// with a mark that is another once its rule is.
	Controls map[string]string
	// Redacted are the objects of which values were left out.
	Redacted map[*Object]bool
	// Represented are the objects that another one speaks for: what is left out of
	// both may have told them apart.
	Represented map[*Object]bool
	// Verdicts are what controls, by their names, said of those values. A control of
	// Controls that is not among an object's judges it as it is.
	Verdicts map[*Object]map[string]Recorded
}

// Recorded is what a control said of an object before values that may be secret
// were left out of it.
type Recorded struct {
	Violations []RecordedViolation `json:"violations,omitempty"`
	// Unknown says why there is no verdict.
	Unknown string `json:"unknown,omitempty"`
}

// RecordedViolation is one thing that was wrong; Path is written as Path.String
// does.
type RecordedViolation struct {
	Path      string `json:"path,omitempty"`
	Container string `json:"container,omitempty"`
	Detail    string `json:"detail"`
	Part      string `json:"part,omitempty"`
}

// Record returns what the world was recorded with; nil where it was not.
func (w *World) Record() *Record { return w.record }
