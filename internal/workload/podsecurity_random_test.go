package workload

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead.dev/bulkhead/internal/model"
)

// generator makes pods at random: every field that a check reads, set well, badly
// or not at all. How often it is bad differs from pod to pod, so that some pods
// pass and others fail in many places.
type generator struct {
	*rand.Rand
	bad float64
}

func pick[T any](g *generator, good, bad []T) T {
	if g.Float64() < g.bad {
		return bad[g.IntN(len(bad))]
	}
	return good[g.IntN(len(good))]
}

// maybe leaves a field unset half of the time.
func maybe[T any](g *generator, good, bad []T) *T {
	if g.Float64() < 0.5 {
		return nil
	}
	return new(pick(g, good, bad))
}

func (g *generator) some(n int) int { return g.IntN(n + 1) }

func (g *generator) pod() (metav1.ObjectMeta, corev1.PodSpec) {
	g.bad = []float64{0, 0.05, 0.3, 0.8}[g.IntN(4)]
	spec := corev1.PodSpec{
		HostNetwork: pick(g, []bool{false}, []bool{true}), HostPID: pick(g, []bool{false}, []bool{true}),
		HostIPC: pick(g, []bool{false}, []bool{true}), SecurityContext: g.podSecurity(),
	}
	switch g.IntN(8) {
	case 0:
		spec.OS = &corev1.PodOS{Name: corev1.Windows}
	case 1:
		spec.OS = &corev1.PodOS{Name: corev1.Linux}
	}
	if g.IntN(6) == 0 {
		spec.HostUsers = new(g.IntN(2) == 0)
	}
	for i := range g.some(3) {
		spec.Volumes = append(spec.Volumes, g.volume(fmt.Sprint("v", i)))
	}
	meta := metav1.ObjectMeta{Annotations: map[string]string{}}
	for i := range 1 + g.some(2) {
		spec.Containers = append(spec.Containers, g.container(fmt.Sprint("c", i)))
	}
	for i := range g.some(2) {
		spec.InitContainers = append(spec.InitContainers, g.container(fmt.Sprint("i", i)))
	}
	for i := range g.some(1) {
		c := g.container(fmt.Sprint("e", i))
		spec.EphemeralContainers = append(spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
	}
	profiles := func() string {
		return pick(g, []string{"runtime/default", "localhost/x"}, []string{"unconfined", "docker/default", "nonsense", ""})
	}
	for _, container := range []string{"c0", "c1", "i0", "e0", "absent"} {
		if g.IntN(8) == 0 {
			meta.Annotations["container.apparmor.security.beta.kubernetes.io/"+container] = profiles()
		}
		if g.IntN(8) == 0 {
			meta.Annotations["container.seccomp.security.alpha.kubernetes.io/"+container] = profiles()
		}
	}
	if g.IntN(8) == 0 {
		meta.Annotations["seccomp.security.alpha.kubernetes.io/pod"] = profiles()
	}
	return meta, spec
}

var (
	profileTypes    = []corev1.SeccompProfileType{"RuntimeDefault", "Localhost"}
	badProfileTypes = []corev1.SeccompProfileType{"Unconfined", "", "nonsense"}
	appArmorTypes   = []corev1.AppArmorProfileType{"RuntimeDefault", "Localhost"}
	badAppArmor     = []corev1.AppArmorProfileType{"Unconfined", ""}
)

func (g *generator) podSecurity() *corev1.PodSecurityContext {
	if g.IntN(3) == 0 {
		return nil
	}
	out := &corev1.PodSecurityContext{
		RunAsNonRoot: maybe(g, []bool{true}, []bool{false}),
		RunAsUser:    maybe(g, []int64{1, 1000}, []int64{0}),
	}
	if t := maybe(g, profileTypes, badProfileTypes); t != nil {
		out.SeccompProfile = &corev1.SeccompProfile{Type: *t, LocalhostProfile: new("x")}
	}
	if t := maybe(g, appArmorTypes, badAppArmor); t != nil {
		out.AppArmorProfile = &corev1.AppArmorProfile{Type: *t}
	}
	if g.IntN(3) == 0 {
		out.SELinuxOptions = g.seLinux()
	}
	if g.IntN(6) == 0 {
		out.WindowsOptions = g.windowsOptions()
	}
	for range g.some(2) {
		out.Sysctls = append(out.Sysctls, corev1.Sysctl{Value: "1", Name: pick(g,
			[]string{"kernel.shm_rmid_forced", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_rmem", "net.ipv4.tcp_notsent_lowat"},
			[]string{"kernel.msgmax", "net.core.somaxconn", ""})})
	}
	return out
}

func (g *generator) seLinux() *corev1.SELinuxOptions {
	return &corev1.SELinuxOptions{
		User: pick(g, []string{""}, []string{"system_u"}), Role: pick(g, []string{""}, []string{"system_r"}),
		Type:  pick(g, []string{"", "container_t", "container_init_t", "container_engine_t"}, []string{"spc_t"}),
		Level: pick(g, []string{"", "s0:c1,c2"}, []string{"s0"}),
	}
}

func (g *generator) windowsOptions() *corev1.WindowsSecurityContextOptions {
	return &corev1.WindowsSecurityContextOptions{HostProcess: maybe(g, []bool{false}, []bool{true})}
}

func (g *generator) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "example.com/x:1", SecurityContext: g.security()}
	for range g.some(2) {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 8000, HostPort: pick(g, []int32{0}, []int32{80, 443})})
	}
	handler := func() (*corev1.HTTPGetAction, *corev1.TCPSocketAction) {
		host := pick(g, []string{""}, []string{"10.0.0.1", "localhost"})
		if g.IntN(2) == 0 {
			return &corev1.HTTPGetAction{Host: host, Port: intstr.FromInt32(80)}, nil
		}
		return nil, &corev1.TCPSocketAction{Host: host, Port: intstr.FromInt32(80)}
	}
	for _, probe := range []**corev1.Probe{&c.LivenessProbe, &c.ReadinessProbe, &c.StartupProbe} {
		if g.IntN(6) == 0 {
			http, tcp := handler()
			*probe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: http, TCPSocket: tcp}}
		}
	}
	if g.IntN(4) == 0 {
		c.Lifecycle = &corev1.Lifecycle{}
		for _, hook := range []**corev1.LifecycleHandler{&c.Lifecycle.PostStart, &c.Lifecycle.PreStop} {
			if g.IntN(3) == 0 {
				http, tcp := handler()
				*hook = &corev1.LifecycleHandler{HTTPGet: http, TCPSocket: tcp}
			}
		}
	}
	return c
}

func (g *generator) security() *corev1.SecurityContext {
	if g.Float64() < g.bad/2 {
		return nil
	}
	out := &corev1.SecurityContext{
		Privileged:               maybe(g, []bool{false}, []bool{true}),
		AllowPrivilegeEscalation: new(false),
		RunAsNonRoot:             maybe(g, []bool{true}, []bool{false}),
		RunAsUser:                maybe(g, []int64{1, 1000}, []int64{0}),
		ProcMount:                maybe(g, []corev1.ProcMountType{"Default"}, []corev1.ProcMountType{"Unmasked", "nonsense"}),
	}
	if g.Float64() < g.bad {
		out.AllowPrivilegeEscalation = maybe(g, []bool{false}, []bool{true})
	}
	if g.Float64() >= g.bad/2 {
		out.Capabilities = &corev1.Capabilities{}
		for range g.some(2) {
			out.Capabilities.Add = append(out.Capabilities.Add,
				pick(g, []corev1.Capability{"NET_BIND_SERVICE"}, []corev1.Capability{"CHOWN", "SYS_ADMIN", "CAP_SYS_ADMIN", "ALL", "NET_RAW", "KILL"}))
		}
		out.Capabilities.Drop = pick(g, [][]corev1.Capability{{"ALL"}, {"NET_RAW", "ALL"}}, [][]corev1.Capability{nil, {"NET_RAW"}, {"all"}})
	}
	if t := maybe(g, profileTypes, badProfileTypes); t != nil {
		out.SeccompProfile = &corev1.SeccompProfile{Type: *t}
	}
	if t := maybe(g, appArmorTypes, badAppArmor); t != nil {
		out.AppArmorProfile = &corev1.AppArmorProfile{Type: *t}
	}
	if g.IntN(3) == 0 {
		out.SELinuxOptions = g.seLinux()
	}
	if g.IntN(6) == 0 {
		out.WindowsOptions = g.windowsOptions()
	}
	return out
}

func (g *generator) volume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: pick(g, []corev1.VolumeSource{
		{},
		{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		{Secret: &corev1.SecretVolumeSource{SecretName: "x"}},
		{CSI: &corev1.CSIVolumeSource{Driver: "x"}},
		{Image: &corev1.ImageVolumeSource{Reference: "x"}},
		{Ephemeral: &corev1.EphemeralVolumeSource{}},
	}, []corev1.VolumeSource{
		{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
		{NFS: &corev1.NFSVolumeSource{Server: "x", Path: "/"}},
		{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "x"}},
		{StorageOS: &corev1.StorageOSVolumeSource{}},
		{GitRepo: &corev1.GitRepoVolumeSource{Repository: "x"}},
	})}
}

// object wraps a pod in one of several kinds.
func (g *generator) object(meta metav1.ObjectMeta, spec corev1.PodSpec) *model.Object {
	template, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.PodTemplateSpec{ObjectMeta: meta, Spec: spec})
	if err != nil {
		panic(err)
	}
	named := map[string]any{"name": "x"}
	var content map[string]any
	switch g.IntN(4) {
	case 0:
		content = map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": map[string]any{"template": template}}
	case 1:
		content = map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": named,
			"spec": map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": template}}}}
	case 2:
		content = map[string]any{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": named, "spec": map[string]any{"template": template}}
	default:
		content = template
		content["apiVersion"], content["kind"] = "v1", "Pod"
		content["metadata"].(map[string]any)["name"] = "x"
	}
	return asObject(content)
}

func asObject(content map[string]any) *model.Object {
	o, _ := model.NewObject(content, nil, model.Source{})
	model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	return o
}
