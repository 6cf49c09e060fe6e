package psp

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// place is where a rule is evaluated.
type place struct {
	// mutating is before the API server has copied annotations to fields.
	mutating bool
}

// rules are what the fields of a policy do, by the name of the field.
func (p *Policy) rules(at place) map[string]rule {
	s := &p.Spec
	out := map[string]rule{
		"privileged":               s.privileged(),
		"hostPID":                  hostNamespace("hostPID", s.HostPID),
		"hostIPC":                  hostNamespace("hostIPC", s.HostIPC),
		"hostNetwork":              hostNamespace("hostNetwork", s.HostNetwork),
		"hostPorts":                s.hostPorts(),
		"volumes":                  s.volumes(),
		"allowedHostPaths":         s.hostPaths(),
		"allowedFlexVolumes":       drivers("allowedFlexVolumes", "flexVolume", s.flexDrivers()),
		"allowedCSIDrivers":        drivers("allowedCSIDrivers", "csi", s.csiDrivers()),
		"capabilities":             s.capabilities(),
		"seLinux":                  s.SELinux.rule(),
		"runAsUser":                s.RunAsUser.user(),
		"runAsGroup":               s.RunAsGroup.group(),
		"fsGroup":                  s.FSGroup.podGroup("fsGroup"),
		"supplementalGroups":       s.SupplementalGroups.podGroups(),
		"readOnlyRootFilesystem":   s.readOnlyRootFilesystem(),
		"allowPrivilegeEscalation": s.escalation(),
		"sysctls":                  s.sysctls(),
		"allowedProcMountTypes":    s.procMount(),
		"runtimeClass":             s.RuntimeClass.rule(),
		"seccomp":                  p.seccomp.seccomp(at),
		"appArmor":                 p.appArmor.appArmor(at),
	}
	return out
}

func (s *Spec) privileged() rule {
	if s.Privileged {
		return rule{}
	}
	return rule{refusals: []string{containerRefusal("privileged", own("c", "privileged")+".orValue(false)", quote(" is privileged"))}}
}

func hostNamespace(field string, allowed bool) rule {
	if allowed {
		return rule{}
	}
	return rule{refusals: []string{podRefusal("object.spec.?"+field+".orValue(false)", quote(field+": the pod sets it"))}}
}

func (s *Spec) hostPorts() rule {
	allowed := "no host port is"
	if len(s.HostPorts) > 0 {
		allowed = rangesText(s.HostPorts) + " are"
	}
	return rule{refusals: []string{containerRefusal("hostPorts",
		"c.?ports.orValue([]).exists(p, p.?hostPort.orValue(0) > 0 && !"+inRanges("p.hostPort", s.HostPorts)+")",
		quote(" has a host port, and "+allowed+" allowed"))}}
}

// safeSysctls are those that every policy allowed unless it forbade them
// (k8s.io/kubernetes v1.24.17, pkg/security/podsecuritypolicy/sysctl).
var safeSysctls = []string{"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_syncookies"}

func (s *Spec) sysctls() rule {
	match := func(list []string) string {
		var exact, conditions []string
		for _, v := range list {
			if prefix, ok := strings.CutSuffix(v, "*"); ok {
				conditions = append(conditions, "s.name.startsWith("+quote(prefix)+")")
			} else {
				exact = append(exact, v)
			}
		}
		if len(exact) > 0 {
			conditions = append([]string{"s.name in " + quoteAll(exact)}, conditions...)
		}
		return "(" + anyOf(conditions) + ")"
	}
	return rule{refusals: []string{fmt.Sprintf("%s.?sysctls.orValue([]).filter(s, %s || !%s).map(s, \"sysctls: \" + s.name + \" is not allowed\")",
		sc, match(s.ForbiddenSysctls), match(slices.Concat(safeSysctls, s.AllowedUnsafeSysctls)))}}
}

func (s *Spec) procMount() rule {
	allowed := s.AllowedProcMountTypes
	if len(allowed) == 0 {
		allowed = []string{"Default"}
	}
	value := own("c", "procMount") + `.orValue("Default")`
	return rule{refusals: []string{containerRefusal("allowedProcMountTypes", "!"+isIn(value, allowed), `" has the procMount " + `+value)}}
}

func (s *Spec) readOnlyRootFilesystem() rule {
	if !s.ReadOnlyRootFilesystem {
		return rule{}
	}
	return rule{
		refusals: []string{containerRefusal("readOnlyRootFilesystem", "!"+own("c", "readOnlyRootFilesystem")+".orValue(true)", quote(" has a writable root filesystem"))},
		container: []filling{{pointer: "/readOnlyRootFilesystem", missing: func(k string) string { return "!" + own(k, "readOnlyRootFilesystem") + ".hasValue()" },
			value: constant("true"), words: "true"}},
	}
}

func (s *Spec) escalation() rule {
	var r rule
	fill := s.mayEscalate()
	if s.DefaultAllowPrivilegeEscalation != nil {
		fill = *s.DefaultAllowPrivilegeEscalation
	}
	if s.DefaultAllowPrivilegeEscalation != nil || !s.mayEscalate() {
		r.container = []filling{{pointer: "/allowPrivilegeEscalation", missing: func(k string) string { return "!" + own(k, "allowPrivilegeEscalation") + ".hasValue()" },
			value: constant(strconv.FormatBool(fill)), words: strconv.FormatBool(fill)}}
	}
	if !s.mayEscalate() {
		r.refusals = []string{containerRefusal("allowPrivilegeEscalation", own("c", "allowPrivilegeEscalation")+".orValue(false)", quote(" allows it"))}
	}
	return r
}

func (c *RuntimeClass) rule() rule {
	var r rule
	if c == nil {
		return r
	}
	value := "object.spec.?runtimeClassName"
	if c.DefaultRuntimeClassName != nil {
		r.pod = []filling{{pointer: "/spec/runtimeClassName", missing: constant("!" + value + ".hasValue()"),
			value: constant(quote(*c.DefaultRuntimeClassName)), words: *c.DefaultRuntimeClassName}}
	}
	if !slices.Contains(c.AllowedRuntimeClassNames, "*") {
		// What is filled in is allowed.
		r.refusals = []string{podRefusal(fmt.Sprintf("%s.hasValue() && !%s", value, isIn(value+`.orValue("")`, c.AllowedRuntimeClassNames)),
			`"runtimeClass: " + `+value+`.orValue("") + " is not allowed"`)}
	}
	return r
}

// capabilities are added and dropped per container. What a policy adds by itself it
// does not add where a container drops it, and where it changes anything it writes
// both lists anew, in order.
func (s *Spec) capabilities() rule {
	var r rule
	add, drop := func(k string) string { return own(k, "capabilities.?add") + ".orValue([])" }, func(k string) string { return own(k, "capabilities.?drop") + ".orValue([])" }
	var lacks []func(k string) string
	if d := s.DefaultAddCapabilities; len(d) > 0 {
		lacks = append(lacks, func(k string) string {
			return fmt.Sprintf("%s.exists(d, !(d in %s) && !(d in %s))", quoteAll(d), add(k), drop(k))
		})
	}
	if d := s.RequiredDropCapabilities; len(d) > 0 {
		lacks = append(lacks, func(k string) string { return fmt.Sprintf("%s.exists(d, !(d in %s))", quoteAll(d), drop(k)) })
	}
	if len(lacks) > 0 {
		r.container = []filling{{pointer: "/capabilities", words: "add " + list(s.DefaultAddCapabilities) + ", drop " + list(s.RequiredDropCapabilities),
			missing: func(k string) string {
				var conditions []string
				for _, l := range lacks {
					conditions = append(conditions, l(k))
				}
				return "(" + anyOf(conditions) + ")"
			},
			value: func(k string) string {
				const sorted = ".map(x, string(x)).distinct().sort()" // of strings, which CEL cannot know
				added, dropped := add(k), drop(k)
				if len(s.DefaultAddCapabilities) > 0 {
					added = fmt.Sprintf("(%s + %s.filter(d, !(d in %s)))", added, quoteAll(s.DefaultAddCapabilities), drop(k))
				}
				if len(s.RequiredDropCapabilities) > 0 {
					dropped = fmt.Sprintf("(%s + %s)", dropped, quoteAll(s.RequiredDropCapabilities))
				}
				return fmt.Sprintf(`[%s].map(a, [%s].map(d, size(a) == 0 ? {"drop": d} : size(d) == 0 ? {"add": a} : {"add": a, "drop": d})[0])[0]`, added+sorted, dropped+sorted)
			}}}
	}
	if !slices.Contains(s.AllowedCapabilities, "*") {
		allowed := slices.Concat(s.DefaultAddCapabilities, s.AllowedCapabilities)
		r.refusals = []string{containerRefusal("capabilities", fmt.Sprintf("%s.exists(a, !%s)", add("c"), isIn("a", allowed)),
			fmt.Sprintf(`" adds " + %s.filter(a, !%s).join(", ")`, add("c"), isIn("a", allowed)))}
	}
	return r
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
