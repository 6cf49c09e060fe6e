package generate

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const rbacGroup = "rbac.authorization.k8s.io"

var (
	validatingKind = model.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}
	mutatingKind   = model.GroupKind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}
	apiServiceKind = model.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}
)

// defaultWebhookPort is what the API server calls a Service by that names no port.
const defaultWebhookPort = 443

// calledByAPIServer wants what the API server calls: admission and conversion webhooks,
// and aggregated APIs.
func (m *manifests) calledByAPIServer() {
	for _, kind := range []model.GroupKind{validatingKind, mutatingKind} {
		for _, o := range m.world.Kind(kind) {
			for i, webhook := range o.List("webhooks") {
				at := model.Path{model.Key("webhooks"), model.Index(i)}.Keys("clientConfig", "service")
				m.calls(o, at, model.Get(webhook, "clientConfig", "service"), "calls it as a webhook")
			}
		}
	}
	for _, o := range m.world.Kind(model.DefinitionKind) {
		at := model.Path{}.Keys("spec", "conversion", "webhook", "clientConfig", "service")
		m.calls(o, at, o.Get("spec", "conversion", "webhook", "clientConfig", "service"), "calls it to convert objects")
	}
	for _, o := range m.world.Kind(apiServiceKind) {
		m.calls(o, model.Path{}.Keys("spec", "service"), o.Get("spec", "service"), "is served by it")
	}
}

func (m *manifests) calls(o *model.Object, at model.Path, service any, verb string) {
	namespace, _ := model.Get(service, "namespace").(string)
	name, _ := model.Get(service, "name").(string)
	if name == "" || !slices.Contains(m.Namespaces, namespace) {
		return
	}
	port, ok := model.Get(service, "port").(int64)
	if !ok {
		port = defaultWebhookPort
	}
	s := m.services.Get(namespace, name)
	if s == nil {
		m.note(o.Kind+" "+o.Name, fmt.Sprintf("names Service %s/%s, which is not in the input: it is not let through", namespace, name), o, at)
		return
	}
	why := Evidence{Text: fmt.Sprintf("the API server: %s %s %s", o.Kind, o.Name, verb), At: o.Locate(at)}
	from := m.apiServer()
	if len(from) == 0 {
		// It may come from its own address, from that of a node, or through a tunnel from a
		// pod: no label and no block that is known has it.
		from = []End{{Kind: Everybody}}
		why.Text += "; from everybody, as nothing says where it is: narrow it with --api-server CIDR"
	}
	for _, end := range from {
		if err := m.toService(end, s, reach.TCP, uint16(port), why); err != nil {
			m.note(o.Kind+" "+o.Name, err.Error()+": nothing is let through for it", o, at)
			return
		}
	}
}

// apiServer are the addresses that were named for the API server.
func (m *manifests) apiServer() (out []End) {
	for _, block := range m.APIServer {
		out = append(out, End{Kind: Block, Name: block})
	}
	return out
}

// apiServerPorts are those that an API server is reached by: that of its Service, and that
// which it listens on where nothing else is said.
var apiServerPorts = reach.OnePort(reach.TCP, 443).Union(reach.OnePort(reach.TCP, 6443))

// callsAPIServer wants the API server for pods that are given its address, or whose
// account is granted something.
func (m *manifests) callsAPIServer() {
	bound := m.bound()
	for _, p := range m.first {
		from := WorkloadOf(p)
		if p.HostNetwork || p.Object == nil || p.Object.Pod() == nil || !m.about(from) {
			continue
		}
		why, at := m.usesAPI(p, bound)
		if why == "" {
			continue
		}
		evidence := Evidence{Text: why, At: p.Object.Locate(at)}
		switch s := m.services.Get("default", "kubernetes"); {
		case len(m.APIServer) > 0:
			for _, to := range m.apiServer() {
				m.want(from, to, apiServerPorts, evidence)
			}
		case s != nil && m.toService(from, s, reach.TCP, 0, evidence) == nil:
		default:
			m.note(from.String(), why+": it talks to the API server, which is not let through, as nothing says where it is; name it with --api-server CIDR", p.Object, at)
		}
	}
}

// usesAPI says why a pod talks to the API server; empty where nothing says that it does.
func (m *manifests) usesAPI(p *reach.Pod, bound map[[2]string]string) (string, model.Path) {
	pod := p.Object.Pod()
	for _, t := range m.texts(p) {
		if strings.Contains(t.value, "KUBERNETES_SERVICE_HOST") || t.hint == "KUBERNETES_SERVICE_HOST" || strings.Contains(t.value, "kubernetes.default.svc") {
			return t.what + " names the API server", t.at
		}
	}
	account := pod.ServiceAccount()
	by := bound[[2]string{p.Namespace, account}]
	if mounts, set := pod.Spec["automountServiceAccountToken"].(bool); set && !mounts || by == "" {
		return "", nil
	} else if !set && m.noToken(p.Namespace, account) {
		return "", nil
	}
	return fmt.Sprintf("its account %s is granted something by %s", account, by), pod.SpecPath().Keys("serviceAccountName")
}

// noToken reports whether an account says that its token is not mounted.
func (m *manifests) noToken(namespace, account string) bool {
	for _, o := range m.world.KindIn(model.GroupKind{Kind: "ServiceAccount"}, namespace) {
		if mounts, set := o.Get("automountServiceAccountToken").(bool); o.Name == account && set && !mounts {
			return true
		}
	}
	return false
}

// bound are the service accounts that are granted something, and by what.
func (m *manifests) bound() map[[2]string]string {
	out := map[[2]string]string{}
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		for _, o := range m.world.Kind(model.GroupKind{Group: rbacGroup, Kind: kind}) {
			for _, subject := range o.List("subjects") {
				text := func(key string) string { s, _ := model.Get(subject, key).(string); return s }
				if text("kind") != "ServiceAccount" {
					continue
				}
				namespace := text("namespace")
				if namespace == "" {
					namespace = o.Namespace
				}
				out[[2]string{namespace, text("name")}] = kind + " " + o.Name
			}
		}
	}
	return out
}
