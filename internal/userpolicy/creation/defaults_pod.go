package creation

import (
	"cmp"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// defaultPod gives a pod, beside the defaults of its spec, those that a template does
// not get, and what the API server's own plugins add to each: a service account,
// tolerations, the priority where no class is named.
func defaultPod(o *corev1.Pod) {
	s := &o.Spec
	defaultPodSpec(s)
	orSet(&s.EnableServiceLinks, true)
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			defaultRequests(&containers[i].Resources)
			if s.HostNetwork {
				hostPorts(containers[i].Ports)
			}
			defaultAppArmor(&containers[i], o.Annotations)
		}
	}
	if s.Resources != nil {
		defaultPodRequests(s)
	}
	if _, mirror := o.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		s.ServiceAccountName = cmp.Or(s.ServiceAccountName, "default")
		s.DeprecatedServiceAccount = s.ServiceAccountName
	}
	if priority, ok := priorities[s.PriorityClassName]; ok {
		orSet(&s.Priority, priority)
	}
	orSet(&s.PreemptionPolicy, corev1.PreemptLowerPriority)
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerate(s, taint)
	}
}

// hostPorts are those of the containers, in the network of the host.
func hostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		ports[i].HostPort = cmp.Or(ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultAppArmor sets the field that took the place of an annotation.
func defaultAppArmor(c *corev1.Container, annotations map[string]string) {
	value, ok := annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
	if !ok || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		return
	}
	profile := &corev1.AppArmorProfile{}
	local, isLocal := strings.CutPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	switch {
	case value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		profile.Type = corev1.AppArmorProfileTypeRuntimeDefault
	case value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		profile.Type = corev1.AppArmorProfileTypeUnconfined
	case isLocal:
		profile.Type, profile.LocalhostProfile = corev1.AppArmorProfileTypeLocalhost, &local
	default:
		return
	}
	orSet(&c.SecurityContext, corev1.SecurityContext{})
	c.SecurityContext.AppArmorProfile = profile
}

// priorities are those of the classes that every cluster has, and of none.
var priorities = map[string]int32{"": 0, "system-cluster-critical": 2000000000, "system-node-critical": 2000001000}

// tolerate adds a toleration of five minutes, unless there is one already.
func tolerate(s *corev1.PodSpec, taint string) {
	for _, t := range s.Tolerations {
		if (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return
		}
	}
	seconds := int64(300)
	s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
}

// defaultRequests are the limits, where there are no requests.
func defaultRequests(r *corev1.ResourceRequirements) {
	if len(r.Limits) == 0 {
		return
	}
	requests := maps.Clone(r.Limits)
	maps.Copy(requests, r.Requests)
	r.Requests = requests
}

// defaultPodRequests are, where the pod as a whole has resources, what its containers
// ask for together, and its limits for the rest.
func defaultPodRequests(s *corev1.PodSpec) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if _, ok := s.Resources.Requests[name]; ok {
			continue
		}
		// The greater of what runs for good and of what one init container asks for.
		running, starting, asked := resource.Quantity{}, resource.Quantity{}, false
		for _, c := range s.InitContainers {
			q, ok := c.Resources.Requests[name]
			if asked = asked || ok; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
				running.Add(q)
			} else if sum := running.DeepCopy(); true {
				sum.Add(q)
				if sum.Cmp(starting) > 0 {
					starting = sum
				}
			}
		}
		for _, c := range s.Containers {
			q, ok := c.Resources.Requests[name]
			asked = asked || ok
			running.Add(q)
		}
		if starting.Cmp(running) > 0 {
			running = starting
		}
		if asked {
			if s.Resources.Requests == nil {
				s.Resources.Requests = corev1.ResourceList{}
			}
			s.Resources.Requests[name] = running
		}
	}
	defaultRequests(s.Resources)
}

func defaultPodSpec(s *corev1.PodSpec) {
	s.DNSPolicy = cmp.Or(s.DNSPolicy, corev1.DNSClusterFirst)
	s.RestartPolicy = cmp.Or(s.RestartPolicy, corev1.RestartPolicyAlways)
	s.SchedulerName = cmp.Or(s.SchedulerName, corev1.DefaultSchedulerName)
	orSet(&s.SecurityContext, corev1.PodSecurityContext{})
	orSet(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	s.ServiceAccountName = cmp.Or(s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			defaultContainer(&containers[i])
		}
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c)
		s.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i].VolumeSource)
	}
}

func defaultContainer(c *corev1.Container) {
	c.ImagePullPolicy = cmp.Or(c.ImagePullPolicy, pullPolicy(c.Image))
	c.TerminationMessagePath = cmp.Or(c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	c.TerminationMessagePolicy = cmp.Or(c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		c.Ports[i].Protocol = cmp.Or(c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			from.FieldRef.APIVersion = cmp.Or(from.FieldRef.APIVersion, "v1")
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(p)
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

// pullPolicy is Always for images whose tag is latest, or that name none.
func pullPolicy(image string) corev1.PullPolicy {
	name, digest, _ := strings.Cut(image, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		tag = name[i+1:]
	}
	if tag == "latest" || tag == "" && digest == "" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	p.TimeoutSeconds, p.PeriodSeconds = cmp.Or(p.TimeoutSeconds, 1), cmp.Or(p.PeriodSeconds, 10)
	p.SuccessThreshold, p.FailureThreshold = cmp.Or(p.SuccessThreshold, 1), cmp.Or(p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		orSet(&p.GRPC.Service, "")
	}
}

func defaultHTTPGet(a *corev1.HTTPGetAction) {
	if a == nil {
		return
	}
	a.Path, a.Scheme = cmp.Or(a.Path, "/"), cmp.Or(a.Scheme, corev1.URISchemeHTTP)
	if a.Port == (intstr.IntOrString{}) {
		a.Port = intstr.FromInt32(0)
	}
}

func defaultVolume(v *corev1.VolumeSource) {
	switch {
	case *v == (corev1.VolumeSource{}):
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case v.HostPath != nil:
		orSet(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Secret != nil:
		orSet(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.ConfigMap != nil:
		orSet(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.DownwardAPI != nil:
		orSet(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		defaultDownward(v.DownwardAPI.Items)
	case v.Projected != nil:
		defaultProjected(v.Projected)
	case v.ISCSI != nil:
		v.ISCSI.ISCSIInterface = cmp.Or(v.ISCSI.ISCSIInterface, "default")
	case v.Image != nil:
		v.Image.PullPolicy = cmp.Or(v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		orSet(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
}

func defaultDownward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if ref := items[i].FieldRef; ref != nil {
			ref.APIVersion = cmp.Or(ref.APIVersion, "v1")
		}
	}
}

func defaultProjected(v *corev1.ProjectedVolumeSource) {
	orSet(&v.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range v.Sources {
		if d := v.Sources[i].DownwardAPI; d != nil {
			defaultDownward(d.Items)
		}
		if t := v.Sources[i].ServiceAccountToken; t != nil {
			orSet(&t.ExpirationSeconds, 3600)
		}
	}
}
