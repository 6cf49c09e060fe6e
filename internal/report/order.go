package report

import (
	"cmp"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// worstFirst is a sorted copy: failures, then unknowns, then what is waived.
// Formats that cut a long list cut the end of it.
func worstFirst(fs []finding.Finding) []finding.Finding {
	sorted := slices.Clone(fs)
	finding.Sort(sorted)
	slices.SortStableFunc(sorted, func(a, b finding.Finding) int {
		return compareBool(a.Waived != nil, b.Waived != nil)
	})
	return sorted
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// object is one object of one root: what reports group by.
type object struct {
	root string
	ref  finding.Ref
}

// group is what there is to say about one object, worst first.
type group struct {
	object
	findings []finding.Finding
}

// byObject groups findings, the object with the worst of them first: the one
// with the most critical failures, among equals the one with the most high
// ones, and so on to unknowns. Waived findings count for nothing.
func byObject(fs []finding.Finding) []group {
	index := map[object]int{}
	var groups []group
	for _, f := range worstFirst(fs) {
		key := object{f.Root, f.Object}
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, group{object: key})
		}
		groups[i].findings = append(groups[i].findings, f)
	}
	weights := make([]weight, len(groups))
	order := make([]int, len(groups))
	for i, g := range groups {
		weights[i], order[i] = weigh(g.findings), i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(
			slices.Compare(weights[j][:], weights[i][:]),
			cmp.Compare(groups[i].root, groups[j].root),
			cmp.Compare(groups[i].ref.String(), groups[j].ref.String()),
			cmp.Compare(groups[i].ref.Group, groups[j].ref.Group),
		)
	})
	sorted := make([]group, len(groups))
	for at, i := range order {
		sorted[at] = groups[i]
	}
	return sorted
}

// weight counts failures by severity, critical first, then unknowns.
type weight [6]int

func weigh(fs []finding.Finding) weight {
	var w weight
	for _, f := range fs {
		switch {
		case f.Waived != nil:
		case f.Verdict != finding.Fail:
			w[5]++
		default:
			w[finding.Critical-clampSeverity(f.Severity)]++
		}
	}
	return w
}

// clampSeverity makes a severity usable as an index; a result built by hand
// may hold any number.
func clampSeverity(s finding.Severity) finding.Severity {
	return min(max(s, finding.Info), finding.Critical)
}

// severities lists them worst first.
func severities() []finding.Severity {
	return []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low, finding.Info}
}

// ruleIndex finds a rule by its name.
func ruleIndex(r *finding.Result) map[string]*finding.Rule {
	index := make(map[string]*finding.Rule, len(r.Rules))
	for i := range r.Rules {
		index[r.Rules[i].Name] = &r.Rules[i]
	}
	return index
}
