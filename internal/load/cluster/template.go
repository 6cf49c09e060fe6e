package cluster

import (
	"reflect"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// sameTemplate reports whether a pod runs as a template says, but for what the
// platform adds to every pod: defaults of the API, what the admission plugins
// ServiceAccount, Priority, RuntimeClass, LimitRanger and DefaultTolerationSeconds
// fill in, where the scheduler places it, and what its controller puts into each
// replica. Owner is what has the template; nil for two replicas.
func sameTemplate(template, pod *model.Pod, owner *model.Object) bool {
	if reflect.ValueOf(template.Spec).Pointer() == reflect.ValueOf(pod.Spec).Pointer() {
		return true
	}
	c := comparison{template: template.Spec, pod: pod.Spec}
	if owner != nil {
		c.owner = owner.Kind
		c.claims = claimsOf(owner)
	}
	return c.fields() && sameSecurityAnnotations(template.Meta, pod.Meta)
}

// comparison holds a pod's spec against a template's.
type comparison struct {
	template, pod map[string]any
	owner         string
	// claims are the volumes that a StatefulSet gives each replica.
	claims map[string]bool
}

// placement says where a pod runs, and what that costs. It is decided for each pod.
var placement = map[string]bool{"affinity": true, "hostname": true, "nodeName": true, "nodeSelector": true, "overhead": true,
	"preemptionPolicy": true, "priority": true, "subdomain": true, "topologySpreadConstraints": true}

func (c *comparison) fields() bool {
	for k := range c.pod {
		if !placement[k] && !c.field(k) {
			return false
		}
	}
	for k := range c.template {
		if _, ok := c.pod[k]; !ok && !placement[k] {
			return false
		}
	}
	return true
}

func (c *comparison) field(k string) bool {
	want, told := c.template[k]
	got := c.pod[k]
	switch k {
	case "containers", "initContainers":
		return c.containers(listOf(want), listOf(got))
	case "volumes":
		return c.volumes(listOf(want), listOf(got))
	case "tolerations":
		return sameTolerations(listOf(want), listOf(got))
	}
	if told {
		return reflect.DeepEqual(want, got)
	}
	switch k {
	case "serviceAccountName", "serviceAccount":
		return got == "default"
	case "enableServiceLinks":
		return got == true
	case "imagePullSecrets", "priorityClassName":
		return true
	}
	return false
}

func listOf(v any) []any {
	l, _ := v.([]any)
	return l
}

func (c *comparison) containers(want, got []any) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		w, _ := want[i].(map[string]any)
		g, _ := got[i].(map[string]any)
		for k := range g {
			if !c.containerField(k, w, g) {
				return false
			}
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				return false
			}
		}
	}
	return true
}

func (c *comparison) containerField(k string, want, got map[string]any) bool {
	switch k {
	case "volumeMounts":
		return reflect.DeepEqual(withoutToken(listOf(want[k])), withoutToken(listOf(got[k])))
	case "resources":
		return keepsResources(want[k], got[k])
	case "env":
		return reflect.DeepEqual(c.env(want[k]), c.env(got[k]))
	case "ports":
		return reflect.DeepEqual(c.ports(want[k]), c.ports(got[k]))
	}
	return reflect.DeepEqual(want[k], got[k])
}

// tokenMount is where the admission plugin ServiceAccount mounts a token.
const tokenMount = "/var/run/secrets/kubernetes.io/serviceaccount"

// withoutToken leaves out the mount of the token that the platform projects. That
// its volume is no other is looked at where volumes are compared.
func withoutToken(mounts []any) []any {
	out := []any{}
	for _, m := range mounts {
		name, _ := model.Get(m, "name").(string)
		if strings.HasPrefix(name, tokenVolume) && model.Get(m, "mountPath") == tokenMount && model.Get(m, "readOnly") == true {
			continue
		}
		out = append(out, m)
	}
	return out
}

const tokenVolume = "kube-api-access-"

// isToken reports whether a volume is the one that the platform projects: a token,
// the certificate of the API server, and the namespace.
func isToken(volume any) bool {
	name, _ := model.Get(volume, "name").(string)
	m, _ := volume.(map[string]any)
	sources := listOf(model.Get(volume, "projected", "sources"))
	if !strings.HasPrefix(name, tokenVolume) || len(m) != 2 || len(sources) == 0 {
		return false
	}
	for _, s := range sources {
		switch {
		case model.Get(s, "serviceAccountToken") != nil && model.Get(s, "serviceAccountToken", "audience") == nil:
		case model.Get(s, "configMap", "name") == "kube-root-ca.crt", model.Get(s, "configMap", "name") == "openshift-service-ca.crt":
		case model.Get(s, "downwardAPI") != nil:
		default:
			return false
		}
	}
	return true
}

func (c *comparison) volumes(want, got []any) bool {
	return reflect.DeepEqual(c.ownVolumes(want), c.ownVolumes(got))
}

func (c *comparison) ownVolumes(volumes []any) []any {
	out := []any{}
	for _, v := range volumes {
		name, _ := model.Get(v, "name").(string)
		m, _ := v.(map[string]any)
		claim := c.claims[name] && len(m) == 2 && m["persistentVolumeClaim"] != nil
		if !isToken(v) && !claim {
			out = append(out, v)
		}
	}
	return out
}

func claimsOf(owner *model.Object) map[string]bool {
	out := map[string]bool{}
	for _, t := range owner.List("spec", "volumeClaimTemplates") {
		if name, _ := model.Get(t, "metadata", "name").(string); name != "" {
			out[name] = true
		}
	}
	return out
}

// keepsResources reports whether nothing that the template asks for or is limited to
// is missing. LimitRanger adds what is missing, and a resize changes how much it is.
func keepsResources(want, got any) bool {
	for _, kind := range []string{"limits", "requests"} {
		w, _ := model.Get(want, kind).(map[string]any)
		g, _ := model.Get(got, kind).(map[string]any)
		for resource := range w {
			if _, ok := g[resource]; !ok {
				return false
			}
		}
	}
	return reflect.DeepEqual(model.Get(want, "claims"), model.Get(got, "claims"))
}

// env leaves out the variable that an indexed Job gives each replica.
func (c *comparison) env(v any) []any {
	out := []any{}
	for _, e := range listOf(v) {
		if c.owner == "Job" && model.Get(e, "name") == "JOB_COMPLETION_INDEX" && model.Get(e, "valueFrom", "fieldRef") != nil {
			continue
		}
		out = append(out, e)
	}
	return out
}

// ports gives those of a pod in its node's network the host port that the API gives
// them by default, in pods and not in templates.
func (c *comparison) ports(v any) []any {
	out := []any{}
	for _, p := range listOf(v) {
		m, ok := p.(map[string]any)
		if ok && c.template["hostNetwork"] == true && m["hostPort"] == nil {
			with := map[string]any{"hostPort": m["containerPort"]}
			for k, e := range m {
				with[k] = e
			}
			p = with
		}
		out = append(out, p)
	}
	return out
}

// sameTolerations lets the platform add those for the states of nodes.
func sameTolerations(want, got []any) bool {
	own := func(ts []any) []any {
		out := []any{}
		for _, t := range ts {
			if key, _ := model.Get(t, "key").(string); !strings.HasPrefix(key, "node.kubernetes.io/") {
				out = append(out, t)
			}
		}
		return out
	}
	return reflect.DeepEqual(own(want), own(got))
}

// isSecurityAnnotation reports whether an annotation says how a container is
// confined, as was done before there were fields for it.
func isSecurityAnnotation(key string) bool {
	return strings.HasPrefix(key, "container.apparmor.security.beta.kubernetes.io/") ||
		strings.HasPrefix(key, "container.seccomp.security.alpha.kubernetes.io/") ||
		key == "seccomp.security.alpha.kubernetes.io/pod"
}

func sameSecurityAnnotations(a, b map[string]any) bool {
	return reflect.DeepEqual(securityAnnotations(a), securityAnnotations(b))
}

func securityAnnotations(meta map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range model.StringMap(meta["annotations"]) {
		if isSecurityAnnotation(k) {
			out[k] = v
		}
	}
	return out
}
