package userpolicy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Annotations with which a policy says how it is reported.
const (
	severityAnnotation = "bulkhead.dev/severity"
	layerAnnotation    = "bulkhead.dev/layer"
	titleAnnotation    = "bulkhead.dev/title"
	remedyAnnotation   = "bulkhead.dev/remedy"
	// descriptionAnnotation is the one that Kubernetes knows.
	descriptionAnnotation = "kubernetes.io/description"
)

// ruleOf is how a policy is reported: as its annotations say, else of medium severity.
// Annotations of an object in more come after those of o.
func ruleOf(o *model.Object, name, finds string, more ...*model.Object) (finding.Rule, error) {
	annotation := func(key string) string {
		for _, from := range append([]*model.Object{o}, more...) {
			if v := strings.Join(strings.Fields(from.Annotations()[key]), " "); v != "" {
				return v
			}
		}
		return ""
	}
	r := finding.Rule{Name: controlName(name), Severity: finding.Medium, FixSafety: finding.FixManual,
		Title:  cmp.Or(strings.TrimSuffix(annotation(titleAnnotation), "."), o.Kind+" "+o.Name),
		Layer:  finding.Layer(cmp.Or(annotation(layerAnnotation), string(finding.LayerWorkload))),
		Why:    cmp.Or(annotation(descriptionAnnotation), fmt.Sprintf("A policy of your own, %s %s, finds %s.", o.Kind, o.Name, finds)),
		Remedy: cmp.Or(annotation(remedyAnnotation), "Change the object so that the policy admits it; the message says what it wants."),
	}
	if text := annotation(severityAnnotation); text != "" {
		var err error
		if r.Severity, err = finding.ParseSeverity(text); err != nil {
			return r, fmt.Errorf("annotation %s: %w", severityAnnotation, err)
		}
	}
	if !slices.Contains(finding.Layers(), r.Layer) {
		return r, fmt.Errorf("annotation %s: there is no layer %q", layerAnnotation, r.Layer)
	}
	return r, nil
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// controlName makes a name of the form that controls have, which waivers can name: lower
// case words joined by dashes.
func controlName(name string) string {
	return strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
}
