package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// Selection says which controls run. Its zero value is the default profile.
type Selection struct {
	// Profile is a name of ProfileNames.
	Profile string
	// Only names controls to run in place of those of the profile.
	Only []string
	// Skip names controls that do not run.
	Skip []string
	// Layers, where there are any, are the only ones whose controls run.
	Layers []string
	// Severity, where it is set, is the least that a control must have.
	Severity string
	// Settings may give controls other severities; a control counts with the
	// highest that it has in any namespace. Nil changes none.
	Settings *check.Settings
	// Pin is a control set, v0.1: controls that are newer do not run, so that an
	// upgrade breaks no pipeline.
	Pin string
}

// Select returns the controls that are selected, in their order. An error names
// what does not exist, and what is nearest to it; where nothing is left to run,
// that is an error as well.
func Select(controls []*check.Control, s Selection) ([]*check.Control, error) {
	var names []string
	for _, c := range controls {
		names = append(names, c.Name)
	}
	for _, name := range slices.Concat(s.Only, s.Skip) {
		if !slices.Contains(names, name) {
			return nil, unknownName("control", name, names, "see bulkhead controls")
		}
	}
	chosen, err := s.chosen(controls)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Layers {
		if !slices.Contains(finding.Layers(), finding.Layer(l)) {
			layers := make([]string, 0, len(finding.Layers()))
			for _, known := range finding.Layers() {
				layers = append(layers, string(known))
			}
			return nil, unknownName("layer", l, layers, "layers are "+strings.Join(layers, ", "))
		}
	}
	least, err := s.least()
	if err != nil {
		return nil, err
	}
	pinned, err := s.pinned(controls)
	if err != nil {
		return nil, err
	}
	var out []*check.Control
	for _, c := range controls {
		if slices.Contains(chosen, c.Name) && !slices.Contains(s.Skip, c.Name) && pinned(c) &&
			(len(s.Layers) == 0 || slices.Contains(s.Layers, string(c.Layer))) && s.severity(c) >= least {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no control is selected: profile, controls, layers, severity and control set leave none; see bulkhead controls")
	}
	return out, nil
}

// chosen are the names that the profile, or Only, asks for.
func (s *Selection) chosen(controls []*check.Control) ([]string, error) {
	profile := cmp.Or(s.Profile, "default")
	profiles, err := Profiles(controls)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == profile })
	switch {
	case i < 0:
		return nil, unknownName("profile", profile, ProfileNames(), "profiles are "+strings.Join(ProfileNames(), ", "))
	case len(s.Only) > 0:
		return s.Only, nil
	}
	return profiles[i].Controls, nil
}

func (s *Selection) least() (finding.Severity, error) {
	if s.Severity == "" {
		return finding.Info, nil
	}
	return finding.ParseSeverity(s.Severity)
}

// severity is the highest that a control has anywhere.
func (s *Selection) severity(c *check.Control) finding.Severity {
	severity := c.Severity
	if s.Settings == nil {
		return severity
	}
	if v, ok := s.Settings.Severities[c.Name]; ok {
		severity = v
	}
	for _, n := range s.Settings.Namespaces {
		if v, ok := n.Severities[c.Name]; ok {
			severity = max(severity, v)
		}
	}
	return severity
}

// pinned tells the controls of the control set. A control that is asked for by
// name and is not in it is an error: one of the two is a mistake.
func (s *Selection) pinned(controls []*check.Control) (func(*check.Control) bool, error) {
	if s.Pin == "" {
		return func(*check.Control) bool { return true }, nil
	}
	pin, ok := parseSet(s.Pin)
	if !ok {
		return nil, fmt.Errorf("%q is no control set: write it like v0.1", s.Pin)
	}
	in := func(c *check.Control) bool {
		since, ok := parseSet(c.Since)
		return ok && slices.Compare(since, pin) <= 0
	}
	for _, c := range controls {
		if slices.Contains(s.Only, c.Name) && !in(c) {
			return nil, fmt.Errorf("control %q is new in %s, and the control set is pinned to %s: raise the one or leave out the other", c.Name, c.Since, s.Pin)
		}
	}
	return in, nil
}

var setVersion = regexp.MustCompile(`^v(\d{1,6})\.(\d{1,6})$`)

// parseSet reads v0.1 as numbers: v0.10 is newer than v0.9.
func parseSet(version string) ([]int, bool) {
	m := setVersion.FindStringSubmatch(version)
	if m == nil {
		return nil, false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return []int{major, minor}, true
}

// unknownName is the error for a name that is none of those that are valid.
func unknownName(what, name string, valid []string, advice string) error {
	if near := nearest(name, valid); near != "" {
		return fmt.Errorf("there is no %s %q; did you mean %q? Else %s", what, name, near, advice)
	}
	return fmt.Errorf("there is no %s %q; %s", what, name, advice)
}

// nearest is the valid name with the fewest edits to a name, or the shortest one
// that contains it; empty where none is like it.
func nearest(name string, valid []string) string {
	const longest = 100 // no name is longer, and the cost is the product of both
	if name == "" || len(name) > longest {
		return ""
	}
	best, fewest := "", max(2, len(name)/3)+1
	for _, v := range valid {
		if d := edits(strings.ToLower(name), v); d < fewest {
			best, fewest = v, d
		}
	}
	if best != "" {
		return best
	}
	for _, v := range valid {
		if strings.Contains(v, strings.ToLower(name)) && (best == "" || len(v) < len(best)) {
			best = v
		}
	}
	return best
}

// edits is the Levenshtein distance of two strings, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
