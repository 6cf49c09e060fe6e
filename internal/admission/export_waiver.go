package admission

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// ExportWaiver is a waiver that is to become part of policies.
type ExportWaiver struct {
	*check.Waiver
	// Namespace is that in which the waiver is written, the only one for which it
	// counts; empty where it is written in none.
	Namespace string
}

// liveWaivers leaves out those that have expired.
func (e *exporter) liveWaivers() []ExportWaiver {
	var out []ExportWaiver
	for _, w := range e.Waivers {
		if !e.Now.Before(end(w.Waiver)) {
			e.note(w, "expired on %s", w.Expires.Format(time.DateOnly))
			continue
		}
		out = append(out, w)
	}
	return out
}

func (e *exporter) note(w ExportWaiver, format string, args ...any) {
	note := fmt.Sprintf("waiver %s: %s", w.Name, fmt.Sprintf(format, args...))
	if !slices.Contains(e.out.Notes, note) {
		e.out.Notes = append(e.out.Notes, note)
	}
}

// end is the time from which on a waiver waives no more.
func end(w *check.Waiver) time.Time { return w.Expires.AddDate(0, 0, 1) }

// scopes are the waivers of one policy. They waive when an object is created: until
// when is compared with its creationTimestamp, which the API server sets. What time
// it is on an update no policy can tell, so that there none waives, and the update is
// refused only for what it makes worse.
type scopes struct {
	named []waiverScope
	// annotations are those that objects carry themselves; nil where they do not count.
	annotations *annotations
}

type waiverScope struct {
	waiver ExportWaiver
	// objects is the expression that says whether an object is in scope.
	objects string
}

// scopesOf are the waivers of a control in so far as its policy can tell what they
// are for.
func (e *exporter) scopesOf(c *check.Control, p *check.ObjectPolicy, waivers []ExportWaiver) scopes {
	out := scopes{annotations: e.annotationsOf(c, p)}
	for _, w := range waivers {
		if !slices.Contains(w.Controls, c.Name) {
			continue
		}
		var terms []string
		for _, r := range w.Resources {
			kinds := kindsOf(p, r.Kind)
			if len(kinds) == 0 {
				e.note(w, "%s: its policy sees no objects of kind %s", c.Name, r.Kind)
				continue
			}
			terms = append(terms, resourceExpression(kinds, r, w.Namespace))
		}
		if len(terms) > 0 {
			out.named = append(out.named, waiverScope{w, strings.Join(terms, " ||\n")})
		}
	}
	return out
}

// kindsOf are the kinds of a policy's objects that a resource of a waiver names.
func kindsOf(p *check.ObjectPolicy, pattern string) []string {
	var all []model.GroupKind
	if p.Pods {
		for _, t := range model.PodTemplates() {
			all = append(all, t.GroupKind)
		}
	}
	var out []string
	for _, gk := range append(all, p.Kinds...) {
		group, kind, qualified := strings.Cut(pattern, "/")
		if !qualified {
			// Every kind of a policy is one of Kubernetes itself.
			group, kind = "*", pattern
		}
		if gk.Group != "extensions" && globMatches(group, gk.Group) && globMatches(kind, gk.Kind) && !slices.Contains(out, gk.Kind) {
			out = append(out, gk.Kind)
		}
	}
	return out
}

func globMatches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

// resourceExpression says in CEL what WaiverResource says: that the object is of one
// of the kinds, in the namespace and of the name.
func resourceExpression(kinds []string, r check.WaiverResource, within string) string {
	const namespace = `object.metadata.?namespace.orValue("")`
	quoted := make([]string, len(kinds))
	for i, k := range kinds {
		quoted[i] = quoteCEL(k)
	}
	terms := []string{"object.kind in [" + strings.Join(quoted, ", ") + "]"}
	switch {
	case r.Namespace == "":
		terms = append(terms, namespace+` == ""`)
	default:
		terms = append(terms, namespace+` != ""`, globExpression(namespace, r.Namespace))
	}
	if within != "" {
		terms = append(terms, namespace+" == "+quoteCEL(within))
	}
	terms = append(terms, globExpression(`object.metadata.?name.orValue("")`, r.Name))
	return strings.Join(slices.DeleteFunc(terms, func(t string) bool { return t == "true" }), " && ")
}

// globExpression says in CEL that a text matches a pattern of path.Match, for texts
// without a slash.
func globExpression(text, pattern string) string {
	switch {
	case pattern == "*":
		return "true"
	case !strings.ContainsAny(pattern, `*?[\`):
		return text + " == " + quoteCEL(pattern)
	}
	return text + ".matches(" + quoteCEL(globRegexp(pattern)) + ")"
}

// globRegexp is a pattern of path.Match as an RE2 expression. The pattern is well
// formed: check.ParseWaiver takes no other.
func globRegexp(pattern string) string {
	var b strings.Builder
	b.WriteString("^(?s:")
	next := func() rune {
		r, size := utf8.DecodeRuneInString(pattern)
		pattern = pattern[size:]
		return r
	}
	escaped := func() rune {
		r := next()
		if r == '\\' {
			r = next()
		}
		return r
	}
	for pattern != "" {
		switch r := next(); r {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '\\':
			b.WriteString(regexp.QuoteMeta(string(next())))
		case '[':
			b.WriteString(classRegexp(&pattern, next, escaped))
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(")$")
	return b.String()
}

// classRegexp reads a class of characters up to its end. A range whose ends are the
// wrong way round has nothing in it.
func classRegexp(rest *string, next, escaped func() rune) string {
	negated := strings.HasPrefix(*rest, "^")
	if negated {
		next()
	}
	var ranges strings.Builder
	for first := true; *rest != "" && (first || (*rest)[0] != ']'); first = false {
		lo := escaped()
		hi := lo
		if strings.HasPrefix(*rest, "-") {
			next()
			hi = escaped()
		}
		if lo <= hi {
			fmt.Fprintf(&ranges, `\x{%x}-\x{%x}`, lo, hi)
		}
	}
	if *rest != "" {
		next()
	}
	switch {
	case ranges.Len() == 0 && negated:
		return "."
	case ranges.Len() == 0:
		return `[^\x{0}-\x{10ffff}]`
	case negated:
		return "[^" + ranges.String() + "]"
	}
	return "[" + ranges.String() + "]"
}

// variables of a policy: whether each waiver is for the object and had not expired
// when that was created.
func (s scopes) variables() []admissionv1.Variable {
	var out []admissionv1.Variable
	for i, one := range s.named {
		out = append(out, admissionv1.Variable{
			Name: "waived_" + strconv.Itoa(i),
			Expression: fmt.Sprintf("(%s) &&\ntimestamp(object.metadata.creationTimestamp) < timestamp(%q)",
				one.objects, end(one.waiver.Waiver).Format(time.RFC3339)),
		})
	}
	if s.annotations != nil {
		out = append(out, s.annotations.variable())
	}
	return out
}

// filtered is a list of violations without those that are waived. Each waiver is
// looked at alone: two never join into a wider one.
func (s scopes) filtered(violations string) string {
	terms := make([]string, len(s.named))
	for i, one := range s.named {
		terms[i] = "variables.waived_" + strconv.Itoa(i)
		if one.waiver.Containers == nil {
			continue
		}
		const container = `v.?container.orValue("")`
		var names []string
		for _, pattern := range one.waiver.Containers {
			names = append(names, globExpression(container, pattern))
		}
		terms[i] += " && " + container + " != \"\" && (" + strings.Join(names, " || ") + ")"
	}
	if s.annotations != nil {
		terms = append(terms, waives)
	}
	if len(terms) == 0 {
		return violations
	}
	return violations + ".filter(v, !(" + strings.Join(terms, " ||\n  ") + "))"
}

// unmutated is the condition that keeps a fix from what is waived, whole objects at a
// time. When a waiver has expired the fix cannot tell, for objects have no creation
// time yet when they are mutated; the policy that judges can.
func (s scopes) unmutated() []admissionv1.MatchCondition {
	terms := make([]string, len(s.named))
	for i, one := range s.named {
		terms[i] = "(" + one.objects + ")"
	}
	if s.annotations != nil {
		terms = append(terms, s.annotations.unmutated())
	}
	if len(terms) == 0 {
		return nil
	}
	return []admissionv1.MatchCondition{{Name: "not-waived", Expression: "!(" + strings.Join(terms, " ||\n") + ")"}}
}

// annotate says in the policy whom to ask about its waivers.
func (s scopes) annotate(meta *metav1.ObjectMeta) {
	if len(s.named) == 0 {
		return
	}
	var lines []string
	for _, one := range s.named {
		w := one.waiver
		lines = append(lines, fmt.Sprintf("%s, owner %s, until %s", w.Name, w.Owner, w.Expires.Format(time.DateOnly)))
	}
	meta.Annotations = map[string]string{check.WaiverKind.Group + "/waivers": strings.Join(lines, "\n")}
}
