package creation

import (
	"cmp"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// setDefaults gives an object of a kind that policies are commonly about the defaults
// that the API documents for its type. The API server sets them before it asks a policy;
// its code for that is in no module that can be imported. A test holds the result
// against the API server's own.
func setDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Pod:
		defaultPod(o)
	case *corev1.PodTemplate:
		defaultPodSpec(&o.Template.Spec)
	case *corev1.ReplicationController:
		orSet(&o.Spec.Replicas, 1)
		if o.Spec.Template != nil {
			o.Labels, o.Spec.Selector = orLabels(o.Labels, o.Spec.Template.Labels), orLabels(o.Spec.Selector, o.Spec.Template.Labels)
			defaultPodSpec(&o.Spec.Template.Spec)
		}
	case *appsv1.Deployment:
		defaultDeployment(o)
	case *appsv1.StatefulSet:
		defaultStatefulSet(o)
	case *appsv1.DaemonSet:
		defaultDaemonSet(o)
	case *appsv1.ReplicaSet:
		orSet(&o.Spec.Replicas, 1)
		defaultPodSpec(&o.Spec.Template.Spec)
	case *batchv1.Job:
		defaultJob(&o.Spec)
		selectByUID(o)
		o.Labels = orLabels(o.Labels, o.Spec.Template.Labels)
	case *batchv1.CronJob:
		o.Spec.ConcurrencyPolicy = cmp.Or(o.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
		orSet(&o.Spec.Suspend, false)
		orSet(&o.Spec.SuccessfulJobsHistoryLimit, 3)
		orSet(&o.Spec.FailedJobsHistoryLimit, 1)
		defaultPodSpec(&o.Spec.JobTemplate.Spec.Template.Spec)
	default:
		setOtherDefaults(object)
	}
}

// setOtherDefaults is for what makes no pods.
func setOtherDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Service:
		defaultService(o)
	case *corev1.Endpoints: //nolint:staticcheck // It is deprecated, and still served.
		for i := range o.Subsets {
			for j := range o.Subsets[i].Ports {
				p := &o.Subsets[i].Ports[j]
				p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
			}
		}
	case *corev1.Secret:
		o.Type = cmp.Or(o.Type, corev1.SecretTypeOpaque)
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[k] = []byte(v)
		}
		o.StringData = nil
	case *corev1.Namespace:
		if o.Name != "" {
			o.Labels = withLabel(o.Labels, corev1.LabelMetadataName, o.Name)
		}
		if len(o.Spec.Finalizers) == 0 {
			o.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		}
	case *corev1.Node:
		defaultNode(o)
	case *corev1.PersistentVolumeClaim:
		protect(&o.ObjectMeta, "kubernetes.io/pvc-protection")
		orSet(&o.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	case *corev1.PersistentVolume:
		protect(&o.ObjectMeta, "kubernetes.io/pv-protection")
		if o.Spec.HostPath != nil {
			orSet(&o.Spec.HostPath.Type, corev1.HostPathUnset)
		}
		o.Spec.PersistentVolumeReclaimPolicy = cmp.Or(o.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
		orSet(&o.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	case *networkingv1.NetworkPolicy:
		defaultNetworkPolicy(o)
	case *rbacv1.RoleBinding:
		o.RoleRef.APIGroup = cmp.Or(o.RoleRef.APIGroup, rbacv1.GroupName)
		defaultSubjects(o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		o.RoleRef.APIGroup = cmp.Or(o.RoleRef.APIGroup, rbacv1.GroupName)
		defaultSubjects(o.Subjects)
	case *autoscalingv2.HorizontalPodAutoscaler:
		orSet(&o.Spec.MinReplicas, 1)
		if len(o.Spec.Metrics) == 0 {
			share := int32(80)
			o.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &share}}}}
		}
	case *storagev1.StorageClass:
		orSet(&o.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		orSet(&o.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	}
}

// orSet gives a field a value that has none.
func orSet[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func orLabels(own, template map[string]string) map[string]string {
	if len(own) > 0 {
		return own
	}
	return template
}

func withLabel(labels map[string]string, key, value string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

// protect adds the finalizer of the plugin that keeps what is in use.
func protect(meta *metav1.ObjectMeta, finalizer string) {
	if !slices.Contains(meta.Finalizers, finalizer) {
		meta.Finalizers = append(meta.Finalizers, finalizer)
	}
}

// defaultNode is what becomes of a node that is made: it has no pods until it is said to be
// ready (the plugin TaintNodesByCondition), and its first range of addresses is in both
// fields.
func defaultNode(o *corev1.Node) {
	if o.Spec.PodCIDR == "" && len(o.Spec.PodCIDRs) > 0 {
		o.Spec.PodCIDR = o.Spec.PodCIDRs[0]
	}
	if o.Spec.PodCIDR != "" && len(o.Spec.PodCIDRs) == 0 {
		o.Spec.PodCIDRs = []string{o.Spec.PodCIDR}
	}
	notReady := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&notReady) }) {
		o.Spec.Taints = append(o.Spec.Taints, notReady)
	}
}

func quarter() intstr.IntOrString { return intstr.FromString("25%") }

func defaultDeployment(o *appsv1.Deployment) {
	s := &o.Spec
	orSet(&s.Replicas, 1)
	orSet(&s.RevisionHistoryLimit, 10)
	orSet(&s.ProgressDeadlineSeconds, 600)
	s.Strategy.Type = cmp.Or(s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		orSet(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		orSet(&s.Strategy.RollingUpdate.MaxUnavailable, quarter())
		orSet(&s.Strategy.RollingUpdate.MaxSurge, quarter())
	}
	defaultPodSpec(&s.Template.Spec)
}

func defaultStatefulSet(o *appsv1.StatefulSet) {
	s := &o.Spec
	orSet(&s.Replicas, 1)
	orSet(&s.RevisionHistoryLimit, 10)
	s.PodManagementPolicy = cmp.Or(s.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	s.UpdateStrategy.Type = cmp.Or(s.UpdateStrategy.Type, appsv1.RollingUpdateStatefulSetStrategyType)
	if s.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		orSet(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
		orSet(&s.UpdateStrategy.RollingUpdate.Partition, 0)
		orSet(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	}
	orSet(&s.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	r := s.PersistentVolumeClaimRetentionPolicy
	r.WhenDeleted = cmp.Or(r.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	r.WhenScaled = cmp.Or(r.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	for i := range s.VolumeClaimTemplates {
		c := &s.VolumeClaimTemplates[i]
		c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
		orSet(&c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
		c.Status.Phase = cmp.Or(c.Status.Phase, corev1.ClaimPending)
	}
	defaultPodSpec(&s.Template.Spec)
}

func defaultDaemonSet(o *appsv1.DaemonSet) {
	s := &o.Spec
	o.Annotations = withLabel(o.Annotations, appsv1.DeprecatedTemplateGeneration, "1")
	orSet(&s.RevisionHistoryLimit, 10)
	s.UpdateStrategy.Type = cmp.Or(s.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if s.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		orSet(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		orSet(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		orSet(&s.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	defaultPodSpec(&s.Template.Spec)
}

func defaultJob(s *batchv1.JobSpec) {
	if s.Completions == nil && s.Parallelism == nil {
		orSet(&s.Completions, 1)
	}
	orSet(&s.Parallelism, 1)
	orSet(&s.CompletionMode, batchv1.NonIndexedCompletion)
	orSet(&s.Suspend, false)
	// With a limit for each index the one for all of them is switched off.
	limit := int32(6)
	if s.BackoffLimitPerIndex != nil {
		limit = 1<<31 - 1
	}
	orSet(&s.BackoffLimit, limit)
	replacement := batchv1.TerminatingOrFailed
	if s.PodFailurePolicy != nil {
		replacement = batchv1.Failed
	}
	orSet(&s.PodReplacementPolicy, replacement)
	defaultPodSpec(&s.Template.Spec)
}

// selectByUID gives a Job the selector and the labels that tell its pods from others.
func selectByUID(o *batchv1.Job) {
	s := &o.Spec
	if orSet(&s.ManualSelector, false); *s.ManualSelector || s.Selector != nil {
		return
	}
	for _, label := range []string{batchv1.ControllerUidLabel, "controller-uid"} {
		s.Template.Labels = withLabel(s.Template.Labels, label, UID)
	}
	for _, label := range []string{batchv1.JobNameLabel, "job-name"} {
		s.Template.Labels = withLabel(s.Template.Labels, label, o.Name)
	}
	s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: UID}}
}

func defaultService(o *corev1.Service) {
	s := &o.Spec
	s.SessionAffinity = cmp.Or(s.SessionAffinity, corev1.ServiceAffinityNone)
	s.Type = cmp.Or(s.Type, corev1.ServiceTypeClusterIP)
	for i := range s.Ports {
		p := &s.Ports[i]
		p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer:
		orSet(&s.AllocateLoadBalancerNodePorts, true)
		fallthrough
	case corev1.ServiceTypeNodePort:
		s.ExternalTrafficPolicy = cmp.Or(s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
		fallthrough
	case corev1.ServiceTypeClusterIP:
		orSet(&s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0 {
		s.ExternalTrafficPolicy = cmp.Or(s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.SessionAffinity == corev1.ServiceAffinityClientIP {
		orSet(&s.SessionAffinityConfig, corev1.SessionAffinityConfig{})
		orSet(&s.SessionAffinityConfig.ClientIP, corev1.ClientIPConfig{})
		orSet(&s.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
	}
}

func defaultNetworkPolicy(o *networkingv1.NetworkPolicy) {
	s := &o.Spec
	for i := range s.Ingress {
		defaultPolicyPorts(s.Ingress[i].Ports)
	}
	for i := range s.Egress {
		defaultPolicyPorts(s.Egress[i].Ports)
	}
	if len(s.PolicyTypes) == 0 {
		s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(s.Egress) > 0 {
			s.PolicyTypes = append(s.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
}

func defaultPolicyPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		orSet(&ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func defaultSubjects(subjects []rbacv1.Subject) {
	for i := range subjects {
		if s := &subjects[i]; s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}
