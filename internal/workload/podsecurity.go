package workload

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// PodSecurityCheck is one check of the Pod Security Standards
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
type PodSecurityCheck struct {
	// Control is the name of the control that gives the check's verdict.
	Control string
	// Check is the library's own, with its level, its versions, and the checks of
	// the level baseline that it takes the place of.
	policy.Check

	locate func(*isolation)
	// defaults is set where a default of the API server decides.
	defaults func(check.PodInput) *corev1.PodSpec
}

// PodSecurityChecks lists the checks that the API server runs by default.
func PodSecurityChecks() []PodSecurityCheck {
	checks := policy.DefaultChecks()
	out := make([]PodSecurityCheck, len(checks))
	for i, c := range checks {
		out[i] = podSecurityControls[c.ID]
		out[i].Check = c
	}
	return out
}

// podSecurityControls says for each check which control it is and how its
// failures are located. A check that is new in the library and missing here
// has no control; a test says so.
var podSecurityControls = map[policy.CheckID]PodSecurityCheck{
	"allowPrivilegeEscalation":   {Control: "no-privilege-escalation", locate: (*isolation).privilegeEscalation},
	"appArmorProfile":            {Control: "app-armor-profile", locate: (*isolation).appArmor},
	"capabilities_baseline":      {Control: "no-added-capabilities", locate: (*isolation).addedCapabilities},
	"capabilities_restricted":    {Control: "drop-all-capabilities", locate: (*isolation).capabilities},
	"hostNamespaces":             {Control: "no-host-namespaces", locate: (*isolation).hostNamespaces},
	"hostPathVolumes":            {Control: "no-host-path", locate: (*isolation).hostPaths},
	"hostPorts":                  {Control: "no-host-ports", locate: (*isolation).hostPorts, defaults: withDefaultHostPorts},
	"hostProbesAndHostLifecycle": {Control: "no-host-probes", locate: (*isolation).hostProbes},
	"privileged":                 {Control: "no-privileged-containers", locate: (*isolation).privileged},
	"procMount":                  {Control: "default-proc-mount", locate: (*isolation).procMount},
	"procMount_restricted":       {Control: "restricted-proc-mount", locate: (*isolation).procMount},
	"restrictedVolumes":          {Control: "restricted-volume-types", locate: (*isolation).volumeTypes, defaults: withDefaultVolumes},
	"runAsNonRoot":               {Control: "run-as-non-root", locate: (*isolation).nonRoot},
	"runAsUser":                  {Control: "no-root-user", locate: (*isolation).rootUser},
	"seLinuxOptions":             {Control: "selinux-options", locate: (*isolation).seLinux},
	"seccompProfile_baseline":    {Control: "no-unconfined-seccomp", locate: (*isolation).unconfinedSeccomp},
	"seccompProfile_restricted":  {Control: "seccomp-profile", locate: (*isolation).seccomp},
	"sysctls":                    {Control: "safe-sysctls", locate: (*isolation).sysctls},
	"windowsHostProcess":         {Control: "no-windows-host-process", locate: (*isolation).windowsHostProcess},
}

// podSecurityJudges are the checks as control files name them: by their ID.
func podSecurityJudges() admission.Judges {
	judges := admission.Judges{}
	for _, c := range PodSecurityChecks() {
		judges[string(c.ID)] = c.judge
	}
	return judges
}

// At returns the form of the check that holds for a minor version of Kubernetes
// 1, nil where the check is newer than that.
func (c *PodSecurityCheck) At(minor int) policy.CheckPodFn {
	for i := len(c.Versions) - 1; i >= 0; i-- {
		if c.Versions[i].MinimumVersion.Minor() <= minor {
			return c.Versions[i].CheckPod
		}
	}
	return nil
}

// judge asks the library about a pod. It has a verdict and no field paths: where
// the pod fails, they are found by asking again about its parts.
func (c *PodSecurityCheck) judge(in check.PodInput) []check.Violation {
	ask := c.At(in.Version)
	if ask == nil {
		return nil
	}
	spec := in.Spec
	if c.defaults != nil {
		spec = c.defaults(in)
	}
	result := ask(in.Meta, spec)
	if result.Allowed {
		return nil
	}
	i := &isolation{ask: ask, pod: in.Pod, meta: in.Meta, spec: spec}
	if c.locate != nil {
		c.locate(i)
	}
	if len(i.violations) == 0 {
		i.violate(in.Pod.SpecPath(), "", "%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
	}
	return i.violations
}

// withDefaultVolumes gives volumes without a source the one that the API server
// gives them, so that the verdict is the same on the object as it was written and
// as it is stored. The spec given is not changed.
func withDefaultVolumes(in check.PodInput) *corev1.PodSpec {
	bare := func(v corev1.Volume) bool { return v.VolumeSource == (corev1.VolumeSource{}) }
	if !slices.ContainsFunc(in.Spec.Volumes, bare) {
		return in.Spec
	}
	spec := *in.Spec
	spec.Volumes = slices.Clone(spec.Volumes)
	for n := range spec.Volumes {
		if bare(spec.Volumes[n]) {
			spec.Volumes[n].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	return &spec
}

// withDefaultHostPorts does the same for the ports of a Pod on the node's
// network, which are ports of the node. The API server leaves those of a template
// alone until a pod is made of it.
func withDefaultHostPorts(in check.PodInput) *corev1.PodSpec {
	if !in.Spec.HostNetwork || in.Pod.Object.GroupKind != (model.GroupKind{Kind: "Pod"}) {
		return in.Spec
	}
	ported := func(containers []corev1.Container) []corev1.Container {
		out := slices.Clone(containers)
		for n := range out {
			out[n].Ports = slices.Clone(out[n].Ports)
			for p := range out[n].Ports {
				port := &out[n].Ports[p]
				port.HostPort = cmp.Or(port.HostPort, port.ContainerPort)
			}
		}
		return out
	}
	spec := *in.Spec
	spec.InitContainers, spec.Containers = ported(spec.InitContainers), ported(spec.Containers)
	return &spec
}

// isolation finds the parts of a pod that fail a check, by asking the library
// about each part alone. It shares what the spec points to and changes nothing.
type isolation struct {
	ask  policy.CheckPodFn
	pod  *model.Pod
	meta *metav1.ObjectMeta
	spec *corev1.PodSpec

	violations []check.Violation

	// The part that is being asked about; kept here to save the memory of many.
	part      corev1.PodSpec
	container [1]corev1.Container
	noMeta    metav1.ObjectMeta
}

func (i *isolation) violate(path model.Path, container, format string, args ...any) {
	i.violations = append(i.violations, check.Violation{Path: path, Container: container, Detail: fmt.Sprintf(format, args...)})
}

// fails asks about a part of the pod. What decides for a pod as a whole, its
// operating system and user namespace, goes with every part.
func (i *isolation) fails(meta *metav1.ObjectMeta, part corev1.PodSpec) bool {
	i.part = part
	i.part.OS, i.part.HostUsers = i.spec.OS, i.spec.HostUsers
	return !i.ask(meta, &i.part).Allowed
}

// field asks about a part of the spec and reports the field at path.
func (i *isolation) field(part corev1.PodSpec, path model.Path, format string, args ...any) bool {
	if !i.fails(&i.noMeta, part) {
		return false
	}
	i.violate(path, "", format, args...)
	return true
}

// podContext asks about a part of the pod's own security context.
func (i *isolation) podContext(part corev1.PodSecurityContext, path model.Path, format string, args ...any) bool {
	return i.field(corev1.PodSpec{SecurityContext: &part}, path, format, args...)
}

func (i *isolation) podContextPath(keys ...string) model.Path {
	return i.pod.SpecPath().Keys("securityContext").Keys(keys...)
}

// podSecurity is the pod's security context, empty where it has none.
func (i *isolation) podSecurity() *corev1.PodSecurityContext {
	if i.spec.SecurityContext == nil {
		return &corev1.PodSecurityContext{}
	}
	return i.spec.SecurityContext
}

// containerPart is a container whose parts are asked about.
type containerPart struct {
	*isolation
	*corev1.Container
	path model.Path
	// inherited is the part of the pod's security context that a container without
	// its own takes over.
	inherited *corev1.PodSecurityContext
}

// containers visits the containers of every kind, in the order of the library.
func (i *isolation) containers(visit func(*containerPart)) {
	list := func(name model.ContainerList, n int) model.Path {
		return i.pod.SpecPath().Append(model.Key(string(name)), model.Index(n))
	}
	for n := range i.spec.InitContainers {
		visit(&containerPart{isolation: i, Container: &i.spec.InitContainers[n], path: list(model.InitContainers, n)})
	}
	for n := range i.spec.Containers {
		visit(&containerPart{isolation: i, Container: &i.spec.Containers[n], path: list(model.Containers, n)})
	}
	for n := range i.spec.EphemeralContainers {
		common := (*corev1.Container)(&i.spec.EphemeralContainers[n].EphemeralContainerCommon)
		visit(&containerPart{isolation: i, Container: common, path: list(model.EphemeralContainers, n)})
	}
}

// field asks about a part of the container and reports the field at path.
func (c *containerPart) field(part corev1.Container, path model.Path, format string, args ...any) {
	c.container[0] = part
	c.container[0].Name = c.Name
	if c.fails(&c.noMeta, corev1.PodSpec{SecurityContext: c.inherited, Containers: c.container[:]}) {
		c.violate(path, c.Name, "container %s %s", c.Name, fmt.Sprintf(format, args...))
	}
}

// context asks about a part of the container's security context.
func (c *containerPart) context(part corev1.SecurityContext, path model.Path, format string, args ...any) {
	c.field(corev1.Container{SecurityContext: &part}, path, format, args...)
}

func (c *containerPart) contextPath(keys ...string) model.Path {
	return c.path.Keys("securityContext").Keys(keys...)
}

// security is the container's security context, empty where it has none.
func (c *containerPart) security() *corev1.SecurityContext {
	if c.SecurityContext == nil {
		return &corev1.SecurityContext{}
	}
	return c.SecurityContext
}
