package finding

import (
	"cmp"
	"slices"
	"strings"
)

// APIVersion and ResultKind are the type of a Result's JSON form. The form is
// described by docs/schema/scanresult.v1.json.
const (
	APIVersion = "bulkhead.dev/v1"
	ResultKind = "ScanResult"
)

// Result is one assessment: everything a report needs, and nothing that has to
// be looked up elsewhere. It is written as JSON and read back into any format.
type Result struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Tool names the version that made the result.
	Tool Tool `json:"tool"`
	// Inputs are the paths or the cluster that were assessed.
	Inputs []string `json:"inputs"`
	// Findings are the failures and unknowns, worst first.
	Findings []Finding `json:"findings"`
	// Passes is filled where passes were asked for.
	Passes []PassRecord `json:"passes,omitempty"`
	// Rules are the controls that ran or that a finding names, by name.
	Rules []Rule `json:"rules"`
	// Controls counts verdicts by control, for every control that ran.
	Controls   []ControlCount `json:"controls"`
	Summary    Summary        `json:"summary"`
	Frameworks []Framework    `json:"frameworks,omitempty"`
	// Unknown are the observations that were needed and could not be made.
	Unknown []Unmet `json:"unknown,omitempty"`
	// Problems are inputs that could not be read, in whole or in part.
	Problems []Problem `json:"problems,omitempty"`
	// Waivers is the audit of waivers: what each one matched.
	Waivers []WaiverUse `json:"waivers,omitempty"`
}

// Tool is the program that made a result.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// PassRecord is one control that passed on one object.
type PassRecord struct {
	Control  string     `json:"control"`
	Object   Ref        `json:"object"`
	Root     string     `json:"root,omitempty"`
	Location *Location  `json:"location,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// ControlCount counts the objects that a control judged, by verdict. Waived
// counts failing objects whose every finding is waived; they are not in Fail.
type ControlCount struct {
	Control       string `json:"control"`
	Pass          int    `json:"pass"`
	Fail          int    `json:"fail"`
	Waived        int    `json:"waived"`
	NotApplicable int    `json:"notApplicable"`
	Unknown       int    `json:"unknown"`
}

// Summary counts what was read and found. Findings that are waived, or that a
// baseline knows, are counted apart and in no other number.
type Summary struct {
	Objects int `json:"objects"`
	// Kinds counts objects by kind.
	Kinds map[string]int `json:"kinds,omitempty"`
	// UnknownKinds counts objects of kinds that no control knows.
	UnknownKinds int `json:"unknownKinds"`
	Namespaces   int `json:"namespaces"`
	Workloads    int `json:"workloads"`
	Files        int `json:"files"`
	Controls     int `json:"controls"`
	Fail         int `json:"fail"`
	Unknown      int `json:"unknown"`
	Waived       int `json:"waived"`
	Baseline     int `json:"baseline"`
	// Managed counts those in Fail that are about objects which the platform keeps;
	// SkippedManaged counts findings about such that were left out on request, and are
	// in no other number.
	Managed        int              `json:"managed,omitempty"`
	SkippedManaged int              `json:"skippedManaged,omitempty"`
	Pass           int              `json:"pass"`
	BySeverity     map[Severity]int `json:"bySeverity"`
	ByLayer        []LayerScore     `json:"byLayer"`
}

// LayerScore counts the judgements of one layer's controls.
type LayerScore struct {
	Layer Layer `json:"layer"`
	Pass  int   `json:"pass"`
	Fail  int   `json:"fail"`
}

// Framework is how an assessment stands against a published set of requirements.
type Framework struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Total counts all requirements that the framework has, known to us or not.
	Total int `json:"total"`
	// Assessed counts those for which a control gave a verdict in this run.
	Assessed     int           `json:"assessed"`
	Passed       int           `json:"passed"`
	Failed       int           `json:"failed"`
	Requirements []Requirement `json:"requirements,omitempty"`
}

// Requirement is one requirement of a framework.
type Requirement struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Verdict  Verdict  `json:"verdict"`
	Controls []string `json:"controls,omitempty"`
}

// Unmet is an observation that some controls needed and that could not be made.
type Unmet struct {
	// What names the missing observation: a kind, a namespace, a file.
	What     string   `json:"what"`
	Reason   string   `json:"reason"`
	Controls []string `json:"controls"`
}

// Problem is an input that could not be read.
type Problem struct {
	Location Location `json:"location"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// WaiverUse says what became of one waiver.
type WaiverUse struct {
	Waiver   string    `json:"waiver"`
	Location *Location `json:"location,omitempty"`
	// State is matched, unused, expired or invalid.
	State    string   `json:"state"`
	Control  string   `json:"control,omitempty"`
	Owner    string   `json:"owner,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Ticket   string   `json:"ticket,omitempty"`
	Expires  string   `json:"expires,omitempty"`
	Matches  int      `json:"matches"`
	Problems []string `json:"problems,omitempty"`
}

// Sort puts findings into the order that every report keeps: failures before
// unknowns, worst first, then by place.
func Sort(fs []Finding) {
	// A finding is large, so pointers are moved while sorting.
	order := make([]*Finding, len(fs))
	for i := range fs {
		order[i] = &fs[i]
	}
	slices.SortStableFunc(order, Compare)
	sorted := make([]Finding, len(fs))
	for i, f := range order {
		sorted[i] = *f
	}
	copy(fs, sorted)
}

// Compare orders findings as reports do: failures first, the worst first.
func Compare(a, b *Finding) int {
	if c := cmp.Compare(rank(a.Verdict), rank(b.Verdict)); c != 0 {
		return c
	}
	if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
		return c
	}
	for _, pair := range [...][2]string{
		{a.Control, b.Control}, {a.Root, b.Root}, {a.Object.Namespace, b.Object.Namespace}, {a.Object.Kind, b.Object.Kind}, {a.Object.Name, b.Object.Name},
	} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return cmp.Or(comparePlace(a.Location, b.Location), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}

func rank(v Verdict) int {
	if v == Fail {
		return 0
	}
	return 1
}

func comparePlace(a, b *Location) int {
	if a == nil || b == nil {
		switch {
		case a == b:
			return 0
		case a == nil:
			return -1
		default:
			return 1
		}
	}
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
