package psp

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Manifest is a PodSecurityPolicy as policy/v1beta1 had it until Kubernetes 1.24, and
// extensions/v1beta1 before that. Its types are no longer in k8s.io/api.
type Manifest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec `json:"spec"`
}

// Spec is what a policy allows and fills in. A field that is left out allows nothing,
// but for AllowPrivilegeEscalation and the lists that name exceptions.
type Spec struct {
	Privileged                      bool               `json:"privileged,omitempty"`
	DefaultAddCapabilities          []string           `json:"defaultAddCapabilities,omitempty"`
	RequiredDropCapabilities        []string           `json:"requiredDropCapabilities,omitempty"`
	AllowedCapabilities             []string           `json:"allowedCapabilities,omitempty"`
	Volumes                         []string           `json:"volumes,omitempty"`
	HostNetwork                     bool               `json:"hostNetwork,omitempty"`
	HostPorts                       []Range            `json:"hostPorts,omitempty"`
	HostPID                         bool               `json:"hostPID,omitempty"`
	HostIPC                         bool               `json:"hostIPC,omitempty"`
	SELinux                         SELinux            `json:"seLinux"`
	RunAsUser                       IDs                `json:"runAsUser"`
	RunAsGroup                      *IDs               `json:"runAsGroup,omitempty"`
	SupplementalGroups              IDs                `json:"supplementalGroups"`
	FSGroup                         IDs                `json:"fsGroup"`
	ReadOnlyRootFilesystem          bool               `json:"readOnlyRootFilesystem,omitempty"`
	DefaultAllowPrivilegeEscalation *bool              `json:"defaultAllowPrivilegeEscalation,omitempty"`
	AllowPrivilegeEscalation        *bool              `json:"allowPrivilegeEscalation,omitempty"`
	AllowedHostPaths                []AllowedHostPath  `json:"allowedHostPaths,omitempty"`
	AllowedFlexVolumes              []AllowedDriver    `json:"allowedFlexVolumes,omitempty"`
	AllowedCSIDrivers               []AllowedCSIDriver `json:"allowedCSIDrivers,omitempty"`
	AllowedUnsafeSysctls            []string           `json:"allowedUnsafeSysctls,omitempty"`
	ForbiddenSysctls                []string           `json:"forbiddenSysctls,omitempty"`
	AllowedProcMountTypes           []string           `json:"allowedProcMountTypes,omitempty"`
	RuntimeClass                    *RuntimeClass      `json:"runtimeClass,omitempty"`
}

// Range is a range of ports or of ids, both ends included.
type Range struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// The rules of SELinux and IDs.
const (
	RunAsAny         = "RunAsAny"
	MustRunAs        = "MustRunAs"
	MustRunAsNonRoot = "MustRunAsNonRoot" // of users
	MayRunAs         = "MayRunAs"         // of groups
)

// IDs is a strategy for users or groups. MustRunAs fills in the start of the first
// range where a pod says nothing.
type IDs struct {
	Rule   string  `json:"rule"`
	Ranges []Range `json:"ranges,omitempty"`
}

// SELinux is a strategy for SELinux contexts: RunAsAny, or MustRunAs the one that
// is given.
type SELinux struct {
	Rule           string          `json:"rule"`
	SELinuxOptions *SELinuxOptions `json:"seLinuxOptions,omitempty"`
}

// SELinuxOptions is a context of SELinux, as in a pod.
type SELinuxOptions struct {
	User  string `json:"user,omitempty"`
	Role  string `json:"role,omitempty"`
	Type  string `json:"type,omitempty"`
	Level string `json:"level,omitempty"`
}

// AllowedHostPath is a folder of the node that may be mounted, with what is below it.
type AllowedHostPath struct {
	PathPrefix string `json:"pathPrefix,omitempty"`
	ReadOnly   bool   `json:"readOnly,omitempty"`
}

// AllowedDriver names a driver of FlexVolumes.
type AllowedDriver struct {
	Driver string `json:"driver"`
}

// AllowedCSIDriver names a driver of inline CSI volumes.
type AllowedCSIDriver struct {
	Name string `json:"name"`
}

// RuntimeClass is a strategy for the runtime class; "*" allows any.
type RuntimeClass struct {
	AllowedRuntimeClassNames []string `json:"allowedRuntimeClassNames"`
	DefaultRuntimeClassName  *string  `json:"defaultRuntimeClassName,omitempty"`
}

// Annotations of a policy that are part of it.
const (
	seccompDefault  = "seccomp.security.alpha.kubernetes.io/defaultProfileName"
	seccompAllowed  = "seccomp.security.alpha.kubernetes.io/allowedProfileNames"
	appArmorDefault = "apparmor.security.beta.kubernetes.io/defaultProfileName"
	appArmorAllowed = "apparmor.security.beta.kubernetes.io/allowedProfileNames"
)

// Annotations of a pod. The admission of 1.24 wrote which policy a pod was admitted by.
const (
	policyAnnotation           = "kubernetes.io/psp"
	seccompPodAnnotation       = "seccomp.security.alpha.kubernetes.io/pod"
	seccompContainerAnnotation = "container.seccomp.security.alpha.kubernetes.io/"
	appArmorAnnotation         = "container.apparmor.security.beta.kubernetes.io/"
)

// names of drivers, for expressions.
func (s *Spec) flexDrivers() []string {
	out := make([]string, len(s.AllowedFlexVolumes))
	for i, v := range s.AllowedFlexVolumes {
		out[i] = v.Driver
	}
	return out
}

func (s *Spec) csiDrivers() []string {
	out := make([]string, len(s.AllowedCSIDrivers))
	for i, v := range s.AllowedCSIDrivers {
		out[i] = v.Name
	}
	return out
}

// mayEscalate is AllowPrivilegeEscalation, which was true where it was left out.
func (s *Spec) mayEscalate() bool {
	return s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation
}
