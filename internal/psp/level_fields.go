package psp

import (
	"fmt"
	"slices"
	"strings"

	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// tableField is a field of a policy, as the table of levels has it.
type tableField struct {
	name string
	// rules and checks are what a policy and Pod Security judge it by.
	rules  []string
	checks []policy.CheckID
	// baseline and restricted say what those levels do; restricted is empty where it
	// does what baseline does, and both where no level looks at the field.
	baseline, restricted string
	// exhaustive says that every pod is like one of the probes.
	exhaustive bool
	says       func(*Policy) string
	probes     func(*Policy) []probe
}

// probe is a pod that differs from a plain one in one field.
type probe struct {
	words string
	pod   map[string]any
}

func (f *tableField) does(level psapi.Level) string {
	switch {
	case level == psapi.LevelRestricted && f.restricted != "":
		return f.restricted
	case level == psapi.LevelPrivileged || f.baseline == "":
		return "anything"
	}
	return f.baseline
}

func yes(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "not allowed"
}

// tableFields are in the order in which they are shown.
var tableFields = []tableField{
	{name: "privileged", rules: []string{"privileged"}, checks: ids("privileged"), baseline: "not allowed",
		says: func(p *Policy) string { return yes(p.Spec.Privileged) }, probes: fixed(inContainer("privileged", true))},
	{name: "hostPID", rules: []string{"hostPID"}, checks: ids("hostNamespaces"), baseline: "not allowed",
		says: func(p *Policy) string { return yes(p.Spec.HostPID) }, probes: fixed(inSpec("hostPID", true))},
	{name: "hostIPC", rules: []string{"hostIPC"}, checks: ids("hostNamespaces"), baseline: "not allowed",
		says: func(p *Policy) string { return yes(p.Spec.HostIPC) }, probes: fixed(inSpec("hostIPC", true))},
	{name: "hostNetwork", rules: []string{"hostNetwork"}, checks: ids("hostNamespaces"), baseline: "not allowed",
		says: func(p *Policy) string { return yes(p.Spec.HostNetwork) }, probes: fixed(inSpec("hostNetwork", true))},
	{name: "hostPorts", rules: []string{"hostPorts"}, checks: ids("hostPorts"), baseline: "none",
		says: func(p *Policy) string { return orNone(rangesText(p.Spec.HostPorts)) }, probes: hostPortProbes},
	{name: "volumes", rules: []string{"volumes"}, checks: ids("hostPathVolumes", "restrictedVolumes"), baseline: "all but hostPath",
		restricted: "configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret",
		says:       func(p *Policy) string { return orNone(strings.Join(p.Spec.Volumes, ", ")) }, probes: volumeProbes},
	{name: "allowedHostPaths", rules: []string{"allowedHostPaths"}, checks: ids("hostPathVolumes"), baseline: "no hostPath",
		says: func(p *Policy) string { return p.Spec.hostPathsText() }, probes: hostPathProbes},
	{name: "allowedFlexVolumes", rules: []string{"allowedFlexVolumes"}, checks: ids("restrictedVolumes"), baseline: "any driver", restricted: "no flexVolume",
		says: func(p *Policy) string { return p.Spec.driversText("flexVolume", p.Spec.flexDrivers()) }, probes: driverProbes("flexVolume", (*Spec).flexDrivers)},
	{name: "allowedCSIDrivers", rules: []string{"allowedCSIDrivers"}, baseline: "any driver",
		says: func(p *Policy) string { return p.Spec.driversText("csi", p.Spec.csiDrivers()) }, probes: driverProbes("csi", (*Spec).csiDrivers)},
	{name: "allowedCapabilities, defaultAddCapabilities, requiredDropCapabilities", rules: []string{"capabilities"}, checks: ids("capabilities_baseline", "capabilities_restricted"),
		baseline: "the container runtime's default ones", restricted: "NET_BIND_SERVICE; ALL must be dropped",
		says: func(p *Policy) string { return p.Spec.capabilitiesText() }, probes: capabilityProbes},
	{name: "seLinux", rules: []string{"seLinux"}, checks: ids("seLinuxOptions"), baseline: "types of containers; no user or role",
		says: func(p *Policy) string { return p.Spec.SELinux.says() }, probes: seLinuxProbes},
	{name: "runAsUser", exhaustive: true, rules: []string{"runAsUser"}, checks: ids("runAsNonRoot", "runAsUser"), baseline: "anything", restricted: "runAsNonRoot; not 0",
		says: func(p *Policy) string { return p.Spec.RunAsUser.says() }, probes: userProbes},
	{name: "runAsGroup", rules: []string{"runAsGroup"}, says: func(p *Policy) string {
		if p.Spec.RunAsGroup == nil {
			return RunAsAny
		}
		return p.Spec.RunAsGroup.says()
	}, probes: groupProbes("runAsGroup", func(s *Spec) *IDs { return s.RunAsGroup })},
	{name: "fsGroup", rules: []string{"fsGroup"}, says: func(p *Policy) string { return p.Spec.FSGroup.says() },
		probes: groupProbes("fsGroup", func(s *Spec) *IDs { return &s.FSGroup })},
	{name: "supplementalGroups", rules: []string{"supplementalGroups"}, says: func(p *Policy) string { return p.Spec.SupplementalGroups.says() },
		probes: groupProbes("supplementalGroups", func(s *Spec) *IDs { return &s.SupplementalGroups })},
	{name: "readOnlyRootFilesystem", rules: []string{"readOnlyRootFilesystem"}, says: func(p *Policy) string {
		if p.Spec.ReadOnlyRootFilesystem {
			return "required"
		}
		return "not required"
	}, probes: fixed(inContainer("readOnlyRootFilesystem", false))},
	{name: "allowPrivilegeEscalation, defaultAllowPrivilegeEscalation", exhaustive: true, rules: []string{"allowPrivilegeEscalation"}, checks: ids("allowPrivilegeEscalation"),
		baseline: "anything", restricted: "must be false", says: func(p *Policy) string { return yes(p.Spec.mayEscalate()) },
		probes: fixed(plain("allowPrivilegeEscalation"), inContainer("allowPrivilegeEscalation", false), inContainer("allowPrivilegeEscalation", true))},
	{name: "allowedUnsafeSysctls, forbiddenSysctls", rules: []string{"sysctls"}, checks: ids("sysctls"), baseline: "safe ones, of today's list",
		says: func(p *Policy) string { return p.Spec.sysctlsText() }, probes: sysctlProbes},
	{name: "allowedProcMountTypes", rules: []string{"allowedProcMountTypes"}, checks: ids("procMount", "procMount_restricted"), baseline: "Default; Unmasked in a user namespace", restricted: "Default",
		says: func(p *Policy) string {
			if len(p.Spec.AllowedProcMountTypes) == 0 {
				return "Default"
			}
			return strings.Join(p.Spec.AllowedProcMountTypes, ", ")
		}, probes: fixed(plain("procMount"), inContainer("procMount", "Unmasked"), userNamespace(inContainer("procMount", "Unmasked")))},
	{name: "runtimeClass", rules: []string{"runtimeClass"}, says: func(p *Policy) string { return p.Spec.RuntimeClass.says() }, probes: runtimeClassProbes},
	{name: "seccomp annotations", exhaustive: true, rules: []string{"seccomp"}, checks: ids("seccompProfile_baseline", "seccompProfile_restricted"),
		baseline: "not Unconfined", restricted: "RuntimeDefault or Localhost, required",
		says: func(p *Policy) string { return p.seccomp.says("no profile may be named") }, probes: profileProbes("seccompProfile", func(p *Policy) *profiles { return &p.seccomp })},
	{name: "AppArmor annotations", rules: []string{"appArmor"}, checks: ids("appArmorProfile"), baseline: "not Unconfined",
		says: func(p *Policy) string { return p.appArmor.says("anything") }, probes: profileProbes("appArmorProfile", func(p *Policy) *profiles { return &p.appArmor })},
	{name: "(no field) Windows HostProcess, hosts of probes", checks: ids("windowsHostProcess", "hostProbesAndHostLifecycle"), baseline: "not allowed",
		says: func(*Policy) string { return "unknown to it" }, probes: newerProbes},
}

func ids(names ...policy.CheckID) []policy.CheckID { return names }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (i *IDs) says() string {
	if len(i.Ranges) == 0 || i.Rule == RunAsAny || i.Rule == MustRunAsNonRoot {
		return i.Rule
	}
	return i.Rule + " " + rangesText(i.Ranges)
}

func (s *SELinux) says() string {
	if s.Rule != MustRunAs || s.SELinuxOptions == nil {
		return s.Rule
	}
	return MustRunAs + " " + s.SELinuxOptions.text()
}

func (c *RuntimeClass) says() string {
	if c == nil || slices.Contains(c.AllowedRuntimeClassNames, "*") {
		return "anything"
	}
	return orNone(strings.Join(c.AllowedRuntimeClassNames, ", "))
}

func (p *profiles) says(unlisted string) string {
	if !p.listed {
		return unlisted
	}
	if len(p.allowed) == 1 && p.allowed[0] == "" {
		return "an empty list"
	}
	return strings.Join(p.allowed, ", ")
}

func (s *Spec) allowsVolume(name string) bool {
	return slices.Contains(s.Volumes, name) || slices.Contains(s.Volumes, "*")
}

func (s *Spec) hostPathsText() string {
	if !s.allowsVolume("hostPath") {
		return "no hostPath"
	}
	if len(s.AllowedHostPaths) == 0 {
		return "any path"
	}
	var out []string
	for _, p := range s.AllowedHostPaths {
		text := p.PathPrefix
		if p.ReadOnly {
			text += " (read-only)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (s *Spec) driversText(volume string, names []string) string {
	switch {
	case !s.allowsVolume(volume):
		return "no " + volume
	case len(names) == 0:
		return "any driver"
	}
	return strings.Join(names, ", ")
}

func (s *Spec) capabilitiesText() string {
	allowed := slices.Concat(s.DefaultAddCapabilities, s.AllowedCapabilities)
	text := "may add " + list(allowed)
	if len(s.RequiredDropCapabilities) > 0 {
		text += "; drops " + list(s.RequiredDropCapabilities)
	}
	return text
}

func (s *Spec) sysctlsText() string {
	text := "safe ones, of 1.24's list"
	if len(s.AllowedUnsafeSysctls) > 0 {
		text += ", and " + strings.Join(s.AllowedUnsafeSysctls, ", ")
	}
	if len(s.ForbiddenSysctls) > 0 {
		text += fmt.Sprintf("; not %s", strings.Join(s.ForbiddenSysctls, ", "))
	}
	return text
}
