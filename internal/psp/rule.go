package psp

import (
	"fmt"
	"strconv"
	"strings"
)

// rule is what one field of a policy does to a pod, in CEL. Expressions of a
// container are given the CEL name that the container has.
type rule struct {
	// refusals are lists of strings that say what the policy refuses in a pod in which
	// it has filled in what was missing. Each begins with the field.
	refusals []string
	// pod and container are what the policy fills in.
	pod, container []filling
}

// filling is a value that a policy gives to a field of a pod that has none.
type filling struct {
	// pointer is the place of the field: from the top of the pod, or below the
	// securityContext of a container.
	pointer string
	// missing tells, in CEL, whether the pod lacks it.
	missing func(k string) string
	// value is CEL, and words says in a message what it is.
	value func(k string) string
	words string
}

// The variables that rules share. What a policy sees of profiles differs: mutation
// comes before the API server has copied annotations to fields, validation after.
//
//	sc              the securityContext of the pod
//	containers      all containers: init, regular, ephemeral
//	seccomp         the seccomp profile of the pod, in the words of annotations
//	volumes         the volumes
const (
	sc         = "variables.sc"
	containers = "variables.containers"
	volumes    = "variables.volumes"
)

// quote writes a CEL string. Go's escapes are CEL's, but for bytes that are no UTF-8,
// which are replaced.
func quote(s string) string { return strconv.Quote(strings.ToValidUTF8(s, "\uFFFD")) }

func quoteAll(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// isIn is CEL for a string being one of those listed. The type of an empty list in CEL
// is up for grabs, and so is what it is compared with.
func isIn(value string, list []string) string {
	if len(list) == 0 {
		return "false"
	}
	return "(" + value + " in " + quoteAll(list) + ")"
}

// anyOf no conditions is false.
func anyOf(conditions []string) string {
	if len(conditions) == 0 {
		return "false"
	}
	return strings.Join(conditions, " || ")
}

// inRanges is CEL for an int being in one of the ranges.
func inRanges(value string, ranges []Range) string {
	conditions := make([]string, len(ranges))
	for i, r := range ranges {
		conditions[i] = fmt.Sprintf("%[1]s >= %[2]d && %[1]s <= %[3]d", value, r.Min, r.Max)
	}
	return "(" + anyOf(conditions) + ")"
}

// rangesText is ranges for people: 1-5, 80.
func rangesText(ranges []Range) string {
	out := make([]string, len(ranges))
	for i, r := range ranges {
		out[i] = strconv.FormatInt(r.Min, 10)
		if r.Max != r.Min {
			out[i] += "-" + strconv.FormatInt(r.Max, 10)
		}
	}
	return strings.Join(out, ", ")
}

// podRefusal is a list with one message where the condition holds.
func podRefusal(condition, message string) string {
	return fmt.Sprintf("(%s ? [%s] : [])", condition, message)
}

// containerRefusal is a message for each container, named c, for which the condition
// holds. Words are CEL.
func containerRefusal(field, condition, words string) string {
	return fmt.Sprintf("%s.filter(c, %s).map(c, %s + c.name + %s)", containers, condition, quote(field+": container "), words)
}

// own is an optional field of a container's securityContext.
func own(k, field string) string { return k + ".?securityContext.?" + field }

// effective is a field of a container's securityContext, or else of the pod's.
func effective(k, field string) string {
	return own(k, field) + ".or(" + sc + ".?" + field + ")"
}

func constant(v string) func(string) string { return func(string) string { return v } }

// missingMessages says what a pod lacks that the policy would fill in when the pod is
// created, as a list of strings.
func (r *rule) missingMessages(field string) []string {
	var out []string
	for _, f := range r.pod {
		out = append(out, podRefusal(f.missing(""), quote(fmt.Sprintf("%s: the pod has no %s, which the policy sets to %s in new pods", field, pointerName(f.pointer), f.words))))
	}
	for _, f := range r.container {
		out = append(out, containerRefusal(field, f.missing("c"), quote(fmt.Sprintf(" has no %s, which the policy sets to %s in new pods", pointerName(f.pointer), f.words))))
	}
	return out
}

func pointerName(pointer string) string { return pointer[strings.LastIndex(pointer, "/")+1:] }

// set is a CEL list with a place and a value, where the pod lacks it.
func (f *filling) set(k string) string {
	return fmt.Sprintf(`(%s ? [{"path": dyn(%s), "value": dyn(%s)}] : [])`, f.missing(k), quote(f.pointer), f.value(k))
}
