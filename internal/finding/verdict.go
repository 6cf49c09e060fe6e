package finding

import (
	"fmt"
	"slices"
)

// Verdict is what a control says of an object.
type Verdict string

// The verdicts.
const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	NotApplicable Verdict = "not-applicable"
	// Unknown means that something could not be observed. It is never a pass.
	Unknown Verdict = "unknown"
)

// Severity says how much a failure matters. It is ordered: Low < Critical.
type Severity int

// The severities, from the least.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = []string{"info", "low", "medium", "high", "critical"}

func (s Severity) String() string {
	if s < Info || s > Critical {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severityNames[s]
}

// ParseSeverity reads a severity's name.
func ParseSeverity(name string) (Severity, error) {
	i := slices.Index(severityNames, name)
	if i < 0 {
		return 0, fmt.Errorf("unknown severity %q: use one of info, low, medium, high, critical", name)
	}
	return Severity(i), nil
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) {
	if s < Info || s > Critical {
		return nil, fmt.Errorf("severity %d is out of range", int(s))
	}
	return []byte(severityNames[s]), nil
}

// UnmarshalText reads a severity's name.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}
