package psp

import (
	"fmt"
	"strconv"
	"strings"
)

// fill is the id that a strategy fills in: the start of its first range.
func (i *IDs) fill() string { return strconv.FormatInt(i.Ranges[0].Min, 10) }

func (i *IDs) user() rule {
	user, nonRoot := func(k string) string { return effective(k, "runAsUser") }, func(k string) string { return effective(k, "runAsNonRoot") }
	switch i.Rule {
	case MustRunAs:
		value := user("c") + ".orValue(" + i.fill() + ")"
		return rule{
			refusals: []string{containerRefusal("runAsUser", "!"+inRanges(value, i.Ranges), fmt.Sprintf(`" runs as " + string(%s) + %s`, value, quote(", which is not in "+rangesText(i.Ranges))))},
			container: []filling{{pointer: "/runAsUser", missing: func(k string) string { return "!" + user(k) + ".hasValue()" },
				value: constant(i.fill()), words: i.fill()}},
		}
	case MustRunAsNonRoot:
		return rule{
			refusals: []string{containerRefusal("runAsUser", fmt.Sprintf("!%s.orValue(true) || %s.orValue(1) == 0", nonRoot("c"), user("c")), quote(" may run as root"))},
			container: []filling{{pointer: "/runAsNonRoot", missing: func(k string) string { return "!" + nonRoot(k) + ".hasValue() && !" + user(k) + ".hasValue()" },
				value: constant("true"), words: "true"}},
		}
	}
	return rule{}
}

func (i *IDs) group() rule {
	if i == nil || i.Rule == RunAsAny {
		return rule{}
	}
	group := func(k string) string { return effective(k, "runAsGroup") }
	// What is filled in, and nothing where that is allowed, is in the first range.
	value := group("c") + ".orValue(" + i.fill() + ")"
	r := rule{refusals: []string{containerRefusal("runAsGroup", "!"+inRanges(value, i.Ranges), fmt.Sprintf(`" runs as group " + string(%s) + %s`, value, quote(", which is not in "+rangesText(i.Ranges))))}}
	if i.Rule == MustRunAs {
		r.container = []filling{{pointer: "/runAsGroup", missing: func(k string) string { return "!" + group(k) + ".hasValue()" },
			value: constant(i.fill()), words: i.fill()}}
	}
	return r
}

// podGroup is about a field of the pod's securityContext that holds one group.
func (i *IDs) podGroup(field string) rule {
	if i.Rule == RunAsAny {
		return rule{}
	}
	optional := sc + ".?" + field
	value := optional + ".orValue(" + i.fill() + ")"
	r := rule{refusals: []string{podRefusal("!"+inRanges(value, i.Ranges), fmt.Sprintf(`%s + string(%s) + %s`, quote(field+": "), value, quote(" is not in "+rangesText(i.Ranges))))}}
	if i.Rule == MustRunAs {
		r.pod = []filling{{pointer: "/spec/securityContext/" + field, missing: constant("!" + optional + ".hasValue()"), value: constant(i.fill()), words: i.fill()}}
	}
	return r
}

func (i *IDs) podGroups() rule {
	if i.Rule == RunAsAny {
		return rule{}
	}
	const optional = sc + ".?supplementalGroups"
	r := rule{refusals: []string{fmt.Sprintf(`%s.orValue([]).filter(g, !%s).map(g, "supplementalGroups: " + string(g) + %s)`, optional, inRanges("g", i.Ranges), quote(" is not in "+rangesText(i.Ranges)))}}
	if i.Rule == MustRunAs {
		r.pod = []filling{{pointer: "/spec/securityContext/supplementalGroups", missing: constant("size(" + optional + ".orValue([])) == 0"),
			value: constant("[" + i.fill() + "]"), words: i.fill()}}
	}
	return r
}

// rule of SELinux. What a policy fills in it fills in for the pod, whose containers
// then have it too.
func (s *SELinux) rule() rule {
	if s.Rule != MustRunAs {
		return rule{}
	}
	o := s.SELinuxOptions
	differs := func(v string) string {
		var out []string
		for _, f := range []struct{ name, want string }{{"user", o.User}, {"role", o.Role}, {"type", o.Type}} {
			out = append(out, fmt.Sprintf(`%s.?%s.orValue("") != %s`, v, f.name, quote(f.want)))
		}
		return strings.Join(append(out, "!"+sameLevel(v+`.?level.orValue("")`, o.Level)), " || ")
	}
	const pod = sc + ".?seLinuxOptions"
	refused := func(optional string) string {
		return fmt.Sprintf("%s.hasValue() && [%s.value()].exists(o, %s)", optional, optional, differs("o"))
	}
	return rule{
		refusals: []string{
			podRefusal(refused(pod), quote("seLinux: the pod's seLinuxOptions are not "+o.text())),
			containerRefusal("seLinux", refused(own("c", "seLinuxOptions")), quote("'s seLinuxOptions are not "+o.text())),
		},
		pod: []filling{{pointer: "/spec/securityContext/seLinuxOptions", missing: constant("!" + pod + ".hasValue()"), value: constant(o.literal()), words: o.text()}},
	}
}

// sameLevel compares levels as 1.24 did: the categories in any order.
func sameLevel(value, want string) string {
	sensitivity, categories, ok := strings.Cut(want, ":")
	if !ok {
		return "(" + value + " == " + quote(want) + ")"
	}
	list := strings.Split(categories, ",")
	counts := map[string]int{}
	for _, c := range list {
		counts[c]++
	}
	conditions := []string{"l.size() == 2", "l[0] == " + quote(sensitivity)}
	var each []string
	for _, c := range sortedKeys(counts) {
		each = append(each, fmt.Sprintf("k.filter(x, x == %s).size() == %d", quote(c), counts[c]))
	}
	conditions = append(conditions, fmt.Sprintf(`[l[1].split(",")].exists(k, k.size() == %d && %s)`, len(list), strings.Join(each, " && ")))
	return fmt.Sprintf(`(%s == %s || [%s.split(":", 2)].exists(l, %s))`, value, quote(want), value, strings.Join(conditions, " && "))
}

func (o *SELinuxOptions) fields() []string {
	var out []string
	for _, f := range []struct{ name, value string }{{"user", o.User}, {"role", o.Role}, {"type", o.Type}, {"level", o.Level}} {
		if f.value != "" {
			out = append(out, f.name, f.value)
		}
	}
	return out
}

func (o *SELinuxOptions) literal() string {
	f := o.fields()
	var out []string
	for i := 0; i < len(f); i += 2 {
		out = append(out, quote(f[i])+": "+quote(f[i+1]))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func (o *SELinuxOptions) text() string {
	f := o.fields()
	var out []string
	for i := 0; i < len(f); i += 2 {
		out = append(out, f[i]+" "+f[i+1])
	}
	if len(out) == 0 {
		return "empty"
	}
	return strings.Join(out, ", ")
}
