package admission

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"bulkhead.dev/bulkhead/internal/check"
)

// annotations are the waivers that an object carries itself, for policies that honour
// them: on CREATE, as those of files, and in the form that check.ReadWaivers takes.
// What is malformed waives nothing. Patterns of containers have * and ?, and no
// brackets or backslashes, since CEL has to make an expression of them as it goes.
type annotations struct {
	key string
	// within says whether annotations count in the namespace of the object.
	within string
	// onTemplate adds those of the pod template.
	onTemplate bool
}

// annotationsOf are the waivers by annotation of a control; nil where none count.
func (e *exporter) annotationsOf(c *check.Control, p *check.ObjectPolicy) *annotations {
	if e.Annotations == nil || e.Annotations.Off || !namespaced(p) && e.Annotations.Namespaces != nil {
		return nil
	}
	a := &annotations{key: check.WaiverAnnotation + c.Name, within: "true", onTemplate: p.Pods}
	if e.Annotations.Namespaces != nil {
		const namespace = `object.metadata.?namespace.orValue("")`
		terms := []string{"false"}
		for _, pattern := range e.Annotations.Namespaces {
			terms = append(terms, globExpression(namespace, pattern))
		}
		a.within = namespace + ` != "" && (` + strings.Join(terms[min(1, len(terms)-1):], " || ") + ")"
	}
	return a
}

// texts lists the object's annotations of the control.
func (a *annotations) texts() string {
	places := []string{fmt.Sprintf(`object.?metadata.?annotations[?%[1]s].orValue("")`, quoteCEL(a.key))}
	if a.onTemplate {
		places = append(places, fmt.Sprintf(`%s.?metadata.?annotations[?%s].orValue("")`, podTemplate, quoteCEL(a.key)))
	}
	return "[" + strings.Join(places, ", ") + "]"
}

// podTemplate is the shared variable of that name, for conditions, which have none.
var podTemplate = builtinTemplate("object", "object.?spec.?jobTemplate.?spec.?template.orValue({})", "object.?template.orValue({})", "object.?spec.?template.orValue({})")

// A day as time.Parse takes it. Whatever ended before the year 1000 has expired.
const (
	space    = `[\s\v\x{85}\pZ]*` // what strings.TrimSpace and CEL's trim take away
	leapYear = `([1-9]\d(0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)`
	dayRE    = `([1-9]\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))|` + leapYear + `-02-29)`
)

// variable is, of every annotation that waives, its patterns of containers as
// regular expressions: a list of lists, of which an empty one waives every failure.
func (a *annotations) variable() admissionv1.Variable {
	const keys = `(owner|expires|ticket|container)`
	re := func(pattern string) string { return quoteCEL(strings.ReplaceAll(pattern, "~", space)) }
	value := func(part string) string { return part + `.substring(` + part + `.indexOf("=") + 1).trim()` }
	return admissionv1.Variable{Name: "annotated", Expression: a.within + ` ? ` + a.texts() + `
  .filter(t, t.contains(";") && !t.matches(` + re(`^~(;|`+keys+`~=)`) + `))
  .map(t, t.substring(t.indexOf(";") + 1).split(";").map(p, p.trim()).filter(p, p != ""))
  .filter(parts, parts.all(p, p.matches(` + re(`(?s)^`+keys+`~=.`) + `)) &&
    size(parts.filter(p, p.startsWith("owner"))) == 1 &&
    size(parts.filter(p, p.startsWith("ticket"))) <= 1 &&
    parts.all(p, !p.startsWith("container") || p.matches(` + re(`^container~=~[-A-Za-z0-9_.*?]+$`) + `)) &&
    size(parts.filter(p, p.startsWith("expires"))) == 1 &&
    parts.all(p, !p.startsWith("expires") || p.matches(` + re(`^expires~=~`+dayRE+`$`) + `) &&
      timestamp(object.metadata.creationTimestamp) <= timestamp(` + value("p") + ` + "T23:59:59Z")))
  .map(parts, parts.filter(p, p.startsWith("container")).map(p,
    "^" + ` + value("p") + `.replace(".", "[.]").replace("*", ".*").replace("?", ".") + "$")) : []`}
}

// waives is the condition under which a violation v is waived.
const waives = `variables.annotated.exists(names, size(names) == 0 ||
    v.?container.orValue("") != "" && names.exists(n, v.?container.orValue("").matches(n)))`

// unmutated is the condition that keeps a fix from an object with such an annotation,
// whatever it says: what the fix leaves is judged.
func (a *annotations) unmutated() string {
	return "(" + a.within + ") && " + a.texts() + `.exists(t, t != "")`
}
