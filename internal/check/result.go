package check

import (
	"cmp"
	"maps"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Result assembles what a run said about a snapshot into the form that reports
// read. Waivers and a baseline are applied to the outcome before, frameworks are
// added after.
func Result(s *model.Snapshot, controls []*Control, out *Outcome) *finding.Result {
	r := &finding.Result{APIVersion: finding.APIVersion, Kind: finding.ResultKind, Inputs: s.Inputs,
		Findings: make([]finding.Finding, 0, len(out.Findings)), Passes: out.Passes, Unknown: out.Unmet, Problems: s.Problems}
	for _, f := range out.Findings {
		r.Findings = append(r.Findings, f.Finding)
	}
	finding.Sort(r.Findings)
	slices.SortFunc(r.Passes, func(a, b finding.PassRecord) int {
		return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Root, b.Root), cmp.Compare(a.Object.String(), b.Object.String()))
	})
	for _, c := range controls {
		r.Rules = append(r.Rules, c.Rule)
	}
	for _, name := range slices.Sorted(maps.Keys(out.Counts)) {
		r.Controls = append(r.Controls, *out.Counts[name])
	}
	r.Summary = summarize(s, controls, out)
	return r
}

func summarize(s *model.Snapshot, controls []*Control, out *Outcome) finding.Summary {
	sum := finding.Summary{Files: s.Files, Controls: len(controls), Kinds: map[string]int{}, BySeverity: map[finding.Severity]int{}}
	namespaces := map[string]bool{}
	for _, w := range s.Worlds {
		for _, o := range w.Objects {
			sum.Objects++
			sum.Kinds[o.GroupKind.String()]++
			if _, known := model.BuiltinResource(o.GroupKind); !known && o.Pod() == nil {
				sum.UnknownKinds++
			}
			if o.Pod() != nil {
				sum.Workloads++
			}
			if o.Namespace != "" {
				namespaces[o.Namespace] = true
			}
		}
	}
	sum.Namespaces = len(namespaces)
	for _, f := range out.Findings {
		switch {
		case f.Waived != nil:
			sum.Waived++
		case f.Verdict == finding.Unknown:
			sum.Unknown++
		default:
			sum.Fail++
			if f.Managed != nil {
				sum.Managed++
			}
			sum.BySeverity[f.Severity]++
		}
	}
	layers := map[finding.Layer]*finding.LayerScore{}
	for _, c := range controls {
		count := out.Counts[c.Name]
		if count == nil {
			continue
		}
		sum.Pass += count.Pass
		l := layers[c.Layer]
		if l == nil {
			l = &finding.LayerScore{Layer: c.Layer}
			layers[c.Layer] = l
		}
		l.Pass += count.Pass
		l.Fail += count.Fail
	}
	for _, layer := range finding.Layers() {
		if l := layers[layer]; l != nil {
			sum.ByLayer = append(sum.ByLayer, *l)
		}
	}
	return sum
}
