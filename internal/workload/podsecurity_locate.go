package workload

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/bulkhead/internal/model"
)

// The functions of this file know which fields a check reads, and no more: what
// is right in a field is for the library to say.

func (i *isolation) privileged() {
	i.containers(func(c *containerPart) {
		c.context(corev1.SecurityContext{Privileged: c.security().Privileged},
			c.contextPath("privileged"), "is privileged")
	})
}

func (i *isolation) privilegeEscalation() {
	i.containers(func(c *containerPart) {
		allow := c.security().AllowPrivilegeEscalation
		says := "sets allowPrivilegeEscalation to true"
		if allow == nil {
			says = "does not set allowPrivilegeEscalation to false"
		}
		c.context(corev1.SecurityContext{AllowPrivilegeEscalation: allow}, c.contextPath("allowPrivilegeEscalation"), "%s", says)
	})
}

func (i *isolation) addedCapabilities() {
	i.containers(func(c *containerPart) { c.added(nil) })
}

func (i *isolation) capabilities() {
	i.containers(func(c *containerPart) {
		part := corev1.SecurityContext{}
		if all := c.security().Capabilities; all != nil {
			part.Capabilities = &corev1.Capabilities{Drop: all.Drop}
		}
		c.context(part, c.contextPath("capabilities", "drop"), "does not drop ALL capabilities")
		c.added([]corev1.Capability{"ALL"})
	})
}

// added asks about each capability that a container adds, beside what it drops.
func (c *containerPart) added(drop []corev1.Capability) {
	if c.security().Capabilities == nil {
		return
	}
	for n, name := range c.security().Capabilities.Add {
		part := corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{name}, Drop: drop}}
		c.context(part, c.contextPath("capabilities", "add").Append(model.Index(n)), "adds the capability %s", name)
	}
}

func (i *isolation) hostNamespaces() {
	at := i.pod.SpecPath()
	i.field(corev1.PodSpec{HostNetwork: i.spec.HostNetwork}, at.Keys("hostNetwork"), "the pod is on the node's network")
	i.field(corev1.PodSpec{HostPID: i.spec.HostPID}, at.Keys("hostPID"), "the pod sees the node's processes")
	i.field(corev1.PodSpec{HostIPC: i.spec.HostIPC}, at.Keys("hostIPC"), "the pod shares memory and semaphores with the node's processes")
}

func (i *isolation) hostPaths() {
	i.volumes(func(v corev1.Volume, at model.Path) {
		path := ""
		if v.HostPath != nil {
			path = v.HostPath.Path
		}
		i.field(corev1.PodSpec{Volumes: []corev1.Volume{v}}, at.Keys("hostPath"), "volume %s mounts %s of the node", v.Name, path)
	})
}

func (i *isolation) volumeTypes() {
	i.volumes(func(v corev1.Volume, at model.Path) {
		kind := volumeType(v)
		i.field(corev1.PodSpec{Volumes: []corev1.Volume{v}}, at.Keys(kind), "volume %s is of the type %s", v.Name, kind)
	})
}

func (i *isolation) volumes(visit func(corev1.Volume, model.Path)) {
	for n, v := range i.spec.Volumes {
		visit(v, i.pod.SpecPath().Append(model.Key("volumes"), model.Index(n)))
	}
}

// volumeType is the name of the first source that a volume has.
func volumeType(v corev1.Volume) string {
	source := reflect.ValueOf(v.VolumeSource)
	for n := range source.NumField() {
		if !source.Field(n).IsZero() {
			name, _, _ := strings.Cut(source.Type().Field(n).Tag.Get("json"), ",")
			return name
		}
	}
	return "emptyDir"
}

func (i *isolation) hostPorts() {
	i.containers(func(c *containerPart) {
		for n, p := range c.Ports {
			c.field(corev1.Container{Ports: []corev1.ContainerPort{p}},
				c.path.Append(model.Key("ports"), model.Index(n), model.Key("hostPort")), "takes port %d of the node", p.HostPort)
		}
	})
}

func (i *isolation) hostProbes() {
	i.containers(func(c *containerPart) {
		probe := func(name string, p *corev1.Probe, wrap func(*corev1.Probe) corev1.Container) {
			if p != nil {
				c.handlers(c.path.Keys(name), p.HTTPGet, p.TCPSocket, func(http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) corev1.Container {
					return wrap(&corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: http, TCPSocket: tcp}})
				})
			}
		}
		probe("livenessProbe", c.LivenessProbe, func(p *corev1.Probe) corev1.Container { return corev1.Container{LivenessProbe: p} })
		probe("readinessProbe", c.ReadinessProbe, func(p *corev1.Probe) corev1.Container { return corev1.Container{ReadinessProbe: p} })
		probe("startupProbe", c.StartupProbe, func(p *corev1.Probe) corev1.Container { return corev1.Container{StartupProbe: p} })
		if c.Lifecycle == nil {
			return
		}
		hook := func(name string, h *corev1.LifecycleHandler, wrap func(*corev1.LifecycleHandler) corev1.Lifecycle) {
			if h != nil {
				c.handlers(c.path.Keys("lifecycle", name), h.HTTPGet, h.TCPSocket, func(http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) corev1.Container {
					lifecycle := wrap(&corev1.LifecycleHandler{HTTPGet: http, TCPSocket: tcp})
					return corev1.Container{Lifecycle: &lifecycle}
				})
			}
		}
		hook("postStart", c.Lifecycle.PostStart, func(h *corev1.LifecycleHandler) corev1.Lifecycle { return corev1.Lifecycle{PostStart: h} })
		hook("preStop", c.Lifecycle.PreStop, func(h *corev1.LifecycleHandler) corev1.Lifecycle { return corev1.Lifecycle{PreStop: h} })
	})
}

// handlers asks about the two ways in which a probe or hook can name a host.
func (c *containerPart) handlers(at model.Path, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction,
	wrap func(*corev1.HTTPGetAction, *corev1.TCPSocketAction) corev1.Container) {
	says := "lets the kubelet call the host %s in its %s"
	name := at[len(at)-1].Key
	if http != nil {
		c.field(wrap(http, nil), at.Keys("httpGet", "host"), says, http.Host, name)
	}
	if tcp != nil {
		c.field(wrap(nil, tcp), at.Keys("tcpSocket", "host"), says, tcp.Host, name)
	}
}

func (i *isolation) procMount() {
	i.containers(func(c *containerPart) {
		if mount := c.security().ProcMount; mount != nil {
			c.context(corev1.SecurityContext{ProcMount: mount}, c.contextPath("procMount"), "sets procMount to %s", *mount)
		}
	})
}

// nonRoot reports a container that sets nothing only where the pod sets nothing:
// where the pod says false, that is the one fault.
func (i *isolation) nonRoot() {
	inherited := &corev1.PodSecurityContext{RunAsNonRoot: i.podSecurity().RunAsNonRoot}
	if i.podContext(*inherited, i.podContextPath("runAsNonRoot"), "the pod sets runAsNonRoot to false") {
		inherited = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
	}
	i.containers(func(c *containerPart) {
		c.inherited = inherited
		nonRoot := c.security().RunAsNonRoot
		says := "sets runAsNonRoot to false"
		if nonRoot == nil {
			says = "may run as root: neither it nor the pod sets runAsNonRoot to true"
		}
		c.context(corev1.SecurityContext{RunAsNonRoot: nonRoot}, c.contextPath("runAsNonRoot"), "%s", says)
	})
}

func (i *isolation) rootUser() {
	i.podContext(corev1.PodSecurityContext{RunAsUser: i.podSecurity().RunAsUser}, i.podContextPath("runAsUser"), "the pod runs as user 0, root")
	i.containers(func(c *containerPart) {
		c.context(corev1.SecurityContext{RunAsUser: c.security().RunAsUser}, c.contextPath("runAsUser"), "runs as user 0, root")
	})
}

func (i *isolation) seLinux() {
	if o := i.podSecurity().SELinuxOptions; o != nil {
		for name, part := range seLinuxParts(o) {
			i.podContext(corev1.PodSecurityContext{SELinuxOptions: part}, i.podContextPath("seLinuxOptions", name),
				"the pod sets the SELinux %s %s", name, part.User+part.Role+part.Type)
		}
	}
	i.containers(func(c *containerPart) {
		if o := c.security().SELinuxOptions; o != nil {
			for name, part := range seLinuxParts(o) {
				c.context(corev1.SecurityContext{SELinuxOptions: part}, c.contextPath("seLinuxOptions", name),
					"sets the SELinux %s %s", name, part.User+part.Role+part.Type)
			}
		}
	})
}

// seLinuxParts yields the options one by one, with the names of their fields.
func seLinuxParts(o *corev1.SELinuxOptions) func(func(string, *corev1.SELinuxOptions) bool) {
	return func(yield func(string, *corev1.SELinuxOptions) bool) {
		_ = yield("user", &corev1.SELinuxOptions{User: o.User}) &&
			yield("role", &corev1.SELinuxOptions{Role: o.Role}) &&
			yield("type", &corev1.SELinuxOptions{Type: o.Type})
	}
}

func (i *isolation) appArmor() {
	if p := i.podSecurity().AppArmorProfile; p != nil {
		i.podContext(corev1.PodSecurityContext{AppArmorProfile: p}, i.podContextPath("appArmorProfile", "type"),
			"the pod sets the AppArmor profile %s", p.Type)
	}
	i.containers(func(c *containerPart) {
		if p := c.security().AppArmorProfile; p != nil {
			c.context(corev1.SecurityContext{AppArmorProfile: p}, c.contextPath("appArmorProfile", "type"),
				"sets the AppArmor profile %s", p.Type)
		}
	})
	i.annotations("AppArmor")
}

func (i *isolation) unconfinedSeccomp() {
	if p := i.podSecurity().SeccompProfile; p != nil {
		i.podContext(corev1.PodSecurityContext{SeccompProfile: p}, i.podContextPath("seccompProfile", "type"),
			"the pod sets the seccomp profile %s", p.Type)
	}
	i.containers(func(c *containerPart) { c.seccompProfile() })
	i.annotations("seccomp")
}

func (c *containerPart) seccompProfile() {
	if p := c.security().SeccompProfile; p != nil {
		c.context(corev1.SecurityContext{SeccompProfile: p}, c.contextPath("seccompProfile", "type"), "sets the seccomp profile %s", p.Type)
	}
}

// seccomp reports a container that sets no profile only where the pod sets none:
// where the pod sets a bad one, that is the one fault.
func (i *isolation) seccomp() {
	inherited := &corev1.PodSecurityContext{SeccompProfile: i.podSecurity().SeccompProfile}
	if p := inherited.SeccompProfile; p != nil &&
		i.podContext(*inherited, i.podContextPath("seccompProfile", "type"), "the pod sets the seccomp profile %s", p.Type) {
		inherited = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	}
	i.containers(func(c *containerPart) {
		c.inherited = inherited
		if c.security().SeccompProfile != nil {
			c.seccompProfile()
			return
		}
		c.context(corev1.SecurityContext{}, c.contextPath("seccompProfile", "type"), "has no seccomp profile: neither it nor the pod sets one")
	})
}

// annotations asks about each annotation of the pod. One that ends in the name of
// a container is about that container.
func (i *isolation) annotations(subject string) {
	names := map[string]bool{}
	i.containers(func(c *containerPart) { names[c.Name] = true })
	for _, key := range slices.Sorted(maps.Keys(i.meta.Annotations)) {
		value := i.meta.Annotations[key]
		part, container := corev1.PodSpec{}, key[strings.LastIndexByte(key, '/')+1:]
		if names[container] {
			part.Containers = []corev1.Container{{Name: container}}
		} else {
			container = ""
		}
		if i.fails(&metav1.ObjectMeta{Annotations: map[string]string{key: value}}, part) {
			i.violate(i.pod.Path.Keys("metadata", "annotations", key), container, "an annotation sets the %s profile %s", subject, value)
		}
	}
}

func (i *isolation) sysctls() {
	for n, s := range i.podSecurity().Sysctls {
		i.podContext(corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{s}},
			i.podContextPath("sysctls").Append(model.Index(n), model.Key("name")), "the pod sets the sysctl %s", s.Name)
	}
}

func (i *isolation) windowsHostProcess() {
	part := func(o *corev1.WindowsSecurityContextOptions) *corev1.WindowsSecurityContextOptions {
		if o == nil {
			return nil
		}
		return &corev1.WindowsSecurityContextOptions{HostProcess: o.HostProcess}
	}
	i.podContext(corev1.PodSecurityContext{WindowsOptions: part(i.podSecurity().WindowsOptions)},
		i.podContextPath("windowsOptions", "hostProcess"), "the pod's containers are processes of the node")
	i.containers(func(c *containerPart) {
		c.context(corev1.SecurityContext{WindowsOptions: part(c.security().WindowsOptions)},
			c.contextPath("windowsOptions", "hostProcess"), "is a process of the node")
	})
}
