package psp

import (
	"fmt"
	"slices"
	"strings"
)

// profileText is a profile in the words of annotations; empty where there is none.
func profileText(optional string) string {
	return fmt.Sprintf(`%[1]s.?type.orValue("") == "RuntimeDefault" ? %[2]s : %[1]s.?type.orValue("") == "Unconfined" ? %[3]s : %[1]s.?type.orValue("") == "Localhost" ? %[4]s + %[1]s.?localhostProfile.orValue("") : ""`,
		optional, quote(runtimeDefault), quote(unconfined), quote(localhost))
}

// profileValue is a profile as a field of a pod has it, from its words.
func profileValue(words string) string {
	switch name, local := strings.CutPrefix(words, localhost); {
	case local:
		return fmt.Sprintf(`{"type": "Localhost", "localhostProfile": %s}`, quote(name))
	case words == unconfined:
		return `{"type": "Unconfined"}`
	}
	return `{"type": "RuntimeDefault"}`
}

// annotation is CEL for an annotation of the pod, empty where it has none; key is CEL.
func annotation(key string) string {
	return "object.metadata.?annotations[?" + key + "].orValue(\"\")"
}

// translated is CEL for a seccomp profile of an annotation that the API server of 1.24
// made a field of; empty where it did not.
func translated(v string) string {
	return fmt.Sprintf(`(%[1]s in [%[2]s, %[3]s] ? %[2]s : %[1]s == %[4]s || %[1]s.startsWith(%[5]s) && %[1]s != %[5]s ? %[1]s : "")`,
		v, quote(runtimeDefault), quote(dockerDefault), quote(unconfined), quote(localhost))
}

// ofSeccomp is CEL for the profile that a container has of its own, or else of the pod.
func ofSeccomp(at place, k, pod string) string {
	field := own(k, "seccompProfile")
	otherwise := pod
	if at.mutating {
		text := translated(annotation(quote(seccompContainerAnnotation) + " + " + k + ".name"))
		otherwise = fmt.Sprintf(`%s != "" ? %s : %s`, text, text, pod)
	}
	return fmt.Sprintf("(%s.hasValue() ? (%s) : %s)", field, profileText(field), otherwise)
}

// seccomp fills in for the pod, whose containers then have it too. A policy that lists
// nothing allows no profile to be named at all.
func (p *profiles) seccomp(at place) rule {
	var r rule
	pod := "variables.seccomp"
	if p.fill != "" {
		r.pod = []filling{{pointer: "/spec/securityContext/seccompProfile", missing: constant(pod + ` == ""`), value: constant(profileValue(p.fill)), words: p.fill}}
		pod = fmt.Sprintf(`(variables.seccomp == "" ? %s : variables.seccomp)`, quote(p.fill))
	}
	if slices.Contains(p.allowed, "*") {
		return r
	}
	allowed := []string{""}
	if p.listed {
		allowed = p.allowed
	}
	refuse := func(v string) string { return "!" + isIn(v, allowed) }
	says := func(v string) string {
		return fmt.Sprintf(`(%[1]s == "" ? "no profile" : %[1]s)`, v)
	}
	container := ofSeccomp(at, "c", pod)
	r.refusals = []string{
		podRefusal(refuse(pod), `"seccomp: the pod has " + `+says(pod)),
		containerRefusal("seccomp", refuse(container), `" has " + `+says(container)),
	}
	return r
}

// ofAppArmor is CEL for the profile of a container.
func ofAppArmor(at place, k string) string {
	field, pod := own(k, "appArmorProfile"), sc+".?appArmorProfile"
	otherwise := "(" + profileText(pod) + ")"
	if at.mutating {
		key := annotation(quote(appArmorAnnotation) + " + " + k + ".name")
		otherwise = fmt.Sprintf(`(%s != "" ? %s : %s)`, key, key, otherwise)
	}
	return fmt.Sprintf("(%s.hasValue() ? (%s) : %s)", field, profileText(field), otherwise)
}

// appArmor fills in for each container. A list allows no container without a profile.
func (p *profiles) appArmor(at place) rule {
	var r rule
	profile := func(k string) string { return ofAppArmor(at, k) }
	effective := profile("c")
	if p.fill != "" {
		r.container = []filling{{pointer: "/appArmorProfile", missing: func(k string) string { return profile(k) + ` == ""` }, value: constant(profileValue(p.fill)), words: p.fill}}
		effective = fmt.Sprintf(`[%s].map(p, p == "" ? %s : p)[0]`, effective, quote(p.fill))
	}
	if p.listed {
		allowed := slices.DeleteFunc(slices.Clone(p.allowed), func(s string) bool { return s == "" })
		r.refusals = []string{containerRefusal("appArmor", "!"+isIn(effective, allowed), fmt.Sprintf(`" has the profile " + (%s)`, effective))}
	}
	return r
}
