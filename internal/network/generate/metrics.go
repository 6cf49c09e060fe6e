package generate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const monitoringGroup = "monitoring.coreos.com"

var (
	serviceMonitorKind = model.GroupKind{Group: monitoringGroup, Kind: "ServiceMonitor"}
	podMonitorKind     = model.GroupKind{Group: monitoringGroup, Kind: "PodMonitor"}
	prometheusKind     = model.GroupKind{Group: monitoringGroup, Kind: "Prometheus"}
	alertmanagerKind   = model.GroupKind{Group: monitoringGroup, Kind: "Alertmanager"}
)

// operators assume the pods that the Prometheus operator makes of its resources, by the
// labels and names of ports that it gives them (prometheus-operator, "API reference").
func (m *manifests) operators() {
	for _, kind := range []model.GroupKind{prometheusKind, alertmanagerKind} {
		for _, o := range m.world.Kind(kind) {
			a := Assumed{Namespace: o.Namespace, Labels: map[string]string{}, Named: map[reach.NamedPort]uint16{{Protocol: reach.TCP, Name: "reloader-web"}: 8080}}
			name, port := "prometheus", uint16(9090)
			if kind == alertmanagerKind {
				name, port = "alertmanager", 9093
				a.Named[reach.NamedPort{Protocol: reach.TCP, Name: "mesh-tcp"}] = 9094
				a.Named[reach.NamedPort{Protocol: reach.UDP, Name: "mesh-udp"}] = 9094
			}
			a.Name = name + "-" + o.Name
			portName := o.Text("spec", "portName")
			if portName == "" {
				portName = "web"
			}
			a.Named[reach.NamedPort{Protocol: reach.TCP, Name: portName}] = port
			maps.Copy(a.Labels, model.StringMap(o.Get("spec", "podMetadata", "labels")))
			maps.Copy(a.Labels, map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/instance": o.Name, "app.kubernetes.io/managed-by": "prometheus-operator", name: o.Name})
			a.Selector = map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/instance": o.Name}
			a.Why = Evidence{Text: fmt.Sprintf("the operator makes pods of %s %s/%s: they are assumed to have the labels that it gives them", kind.Kind, o.Namespace, o.Name), At: o.Locate(nil)}
			if !m.running(o.Namespace, a.Labels) {
				m.Assumed = append(m.Assumed, a)
				m.Notes = append(m.Notes, Note{a.Why, a.End().String()})
			}
		}
	}
}

// running reports whether a workload with some labels is in the input.
func (m *manifests) running(namespace string, has map[string]string) bool {
	want := labels.SelectorFromSet(labels.Set{"app.kubernetes.io/name": has["app.kubernetes.io/name"], "app.kubernetes.io/instance": has["app.kubernetes.io/instance"]})
	return slices.ContainsFunc(m.world.Objects, func(o *model.Object) bool {
		return o.Namespace == namespace && o.Pod() != nil && want.Matches(labels.Set(o.Pod().Labels()))
	})
}

// scrapers are the workloads that collect metrics.
func (m *manifests) scrapers() (out []End) {
	for _, p := range m.first {
		if p.Labels["app.kubernetes.io/name"] == "prometheus" || p.Labels["app"] == "prometheus" && (p.Labels["component"] == "server" || p.Labels["component"] == "") {
			out = append(out, WorkloadOf(p))
		}
	}
	return out
}

// metrics wants what Prometheus scrapes, and where it sends alerts to.
func (m *manifests) metrics() {
	from := m.scrapers()
	for _, o := range m.world.Kind(serviceMonitorKind) {
		m.serviceMonitor(o, from)
	}
	for _, o := range m.world.Kind(podMonitorKind) {
		m.podMonitor(o, from)
	}
	m.annotated(from)
	m.alerts()
}

// scraped wants that some workload is scraped, or says that nobody is seen who does.
func (m *manifests) scraped(to End, w Want, from []End, why string, o *model.Object, at model.Path) {
	if !m.about(to) && !slices.ContainsFunc(from, m.about) {
		return
	}
	if len(from) == 0 {
		m.note(to.String(), why+", and no pods of Prometheus are in the input: they are not let in; give their manifests with -f", o, at)
	}
	for _, f := range from {
		m.Wants = append(m.Wants, &Want{From: f, To: to, Ports: w.Ports, Names: w.Names, Why: Evidence{Text: why, At: o.Locate(at)}})
	}
}

func selectorOf(v any) (labels.Selector, error) {
	var of struct {
		Selector metav1.LabelSelector `json:"selector"`
	}
	if v == nil {
		return labels.Nothing(), nil
	}
	if err := model.Decode(map[string]any{"selector": v}, &of); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&of.Selector)
}

// watches reports whether a monitor is about a namespace.
func watches(monitor *model.Object, namespace string) bool {
	if all, _ := monitor.Get("spec", "namespaceSelector", "any").(bool); all {
		return true
	}
	names := model.Strings(monitor.Get("spec", "namespaceSelector", "matchNames"))
	return slices.Contains(names, namespace) || len(names) == 0 && namespace == monitor.Namespace
}

func (m *manifests) serviceMonitor(o *model.Object, from []End) {
	selector, err := selectorOf(o.Get("spec", "selector"))
	if err != nil {
		m.note("ServiceMonitor "+o.Namespace+"/"+o.Name, "its selector is not valid: "+err.Error(), o, nil)
		return
	}
	for _, s := range m.services.All() {
		if !watches(o, s.Namespace) || !selector.Matches(labels.Set(s.Object.Labels())) {
			continue
		}
		for i, endpoint := range o.List("spec", "endpoints") {
			at := model.Path{}.Keys("spec", "endpoints").Append(model.Index(i))
			why := fmt.Sprintf("ServiceMonitor %s/%s scrapes Service %s", o.Namespace, o.Name, s)
			name, _ := model.Get(endpoint, "port").(string)
			found := false
			for _, p := range s.Ports {
				if p.Name != name || name == "" {
					continue
				}
				found = true
				for _, w := range wantsOf(p.Targets, &entry.Service{Ports: []entry.ServicePort{p}}, 0) {
					if w.To.pods() {
						m.scraped(w.To, *w, from, why, o, at)
					}
				}
			}
			if target := model.Get(endpoint, "targetPort"); !found && target != nil {
				found = m.target(s.Pods, target, from, why, o, at)
			}
			if !found {
				m.note("ServiceMonitor "+o.Namespace+"/"+o.Name, fmt.Sprintf("Service %s has no port %q", s, name), o, at)
			}
		}
	}
}

// target wants a port of pods that is a number or a name.
func (m *manifests) target(pods []*reach.Pod, port any, from []End, why string, o *model.Object, at model.Path) bool {
	seen := map[End]bool{}
	found := false
	for _, p := range pods {
		var number uint16
		switch port := port.(type) {
		case int64:
			if port > 0 && port < 65536 {
				number = uint16(port)
			}
		case string:
			number = p.Named[reach.NamedPort{Protocol: reach.TCP, Name: port}]
		}
		if to := WorkloadOf(p); number != 0 && !seen[to] {
			seen[to], found = true, true
			m.scraped(to, Want{Ports: reach.OnePort(reach.TCP, number)}, from, why, o, at)
		}
	}
	return found
}

func (m *manifests) podMonitor(o *model.Object, from []End) {
	selector, err := selectorOf(o.Get("spec", "selector"))
	if err != nil {
		m.note("PodMonitor "+o.Namespace+"/"+o.Name, "its selector is not valid: "+err.Error(), o, nil)
		return
	}
	var pods []*reach.Pod
	for _, p := range m.cluster.Pods {
		if watches(o, p.Namespace) && selector.Matches(labels.Set(p.Labels)) {
			pods = append(pods, p)
		}
	}
	for i, endpoint := range o.List("spec", "podMetricsEndpoints") {
		at := model.Path{}.Keys("spec", "podMetricsEndpoints").Append(model.Index(i))
		port := model.Get(endpoint, "port")
		for _, other := range []string{"portNumber", "targetPort"} {
			if port == nil {
				port = model.Get(endpoint, other)
			}
		}
		m.target(pods, port, from, fmt.Sprintf("PodMonitor %s/%s scrapes it", o.Namespace, o.Name), o, at)
	}
}

// annotated wants what asks to be scraped by annotations, of pods and of Services.
func (m *manifests) annotated(from []End) {
	const scrape, port = "prometheus.io/scrape", "prometheus.io/port"
	for _, p := range m.first {
		if p.Object == nil || p.Object.Pod() == nil {
			continue
		}
		annotations := model.StringMap(model.Get(p.Object.Pod().Meta, "annotations"))
		if annotations[scrape] != "true" {
			continue
		}
		at := p.Object.Pod().Path.Keys("metadata", "annotations")
		if n, err := strconv.ParseUint(annotations[port], 10, 16); err == nil && n > 0 {
			m.scraped(WorkloadOf(p), Want{Ports: reach.OnePort(reach.TCP, uint16(n))}, from, "the annotation "+scrape+" asks for it to be scraped", p.Object, at)
		} else {
			m.note(WorkloadOf(p).String(), "the annotation "+scrape+" names no port: it is not let through", p.Object, at)
		}
	}
	for _, s := range m.services.All() {
		annotations := s.Object.Annotations()
		if annotations[scrape] != "true" {
			continue
		}
		n, _ := strconv.ParseUint(annotations[port], 10, 16)
		if n != 0 { // it is the port of the pods that is named
			m.target(s.Pods, int64(n), from, "the annotation "+scrape+" of Service "+s.String()+" asks for it", s.Object, model.Path{}.Keys("metadata", "annotations"))
			continue
		}
		targets, err := s.Leads(reach.TCP, 0)
		if err != nil {
			continue
		}
		for _, w := range wantsOf(targets, s, 0) {
			if w.To.pods() {
				m.scraped(w.To, *w, from, "the annotation "+scrape+" of Service "+s.String()+" asks for it", s.Object, model.Path{}.Keys("metadata", "annotations"))
			}
		}
	}
}

// alerts wants that Prometheus reaches its Alertmanagers, and these one another.
func (m *manifests) alerts() {
	for _, o := range m.world.Kind(prometheusKind) {
		for i, item := range o.List("spec", "alerting", "alertmanagers") {
			at := model.Path{}.Keys("spec", "alerting", "alertmanagers").Append(model.Index(i))
			namespace, _ := model.Get(item, "namespace").(string)
			if namespace == "" {
				namespace = o.Namespace
			}
			name, _ := model.Get(item, "name").(string)
			s := m.services.Get(namespace, name)
			if s == nil {
				m.note("Prometheus "+o.Namespace+"/"+o.Name, fmt.Sprintf("sends alerts to Service %s/%s, which is not in the input", namespace, name), o, at)
				continue
			}
			portName, _ := model.Get(item, "port").(string)
			for _, p := range s.Ports {
				for _, from := range m.madeOf(o) {
					if p.Name == portName {
						if err := m.toService(from, s, p.Protocol, p.Port, Evidence{Text: fmt.Sprintf("Prometheus %s/%s sends alerts to it", o.Namespace, o.Name), At: o.Locate(at)}); err != nil {
							m.note(from.String(), err.Error(), o, at)
						}
					}
				}
			}
		}
	}
	for _, o := range m.world.Kind(alertmanagerKind) {
		if n, ok := o.Get("spec", "replicas").(int64); ok && n < 2 {
			continue
		}
		for _, e := range m.madeOf(o) {
			m.want(e, e, reach.OnePort(reach.TCP, 9094).Union(reach.OnePort(reach.UDP, 9094)), Evidence{Text: fmt.Sprintf("replicas of Alertmanager %s/%s tell one another", o.Namespace, o.Name), At: o.Locate(nil)})
		}
	}
}

// madeOf are the workloads that the operator makes of a resource.
func (m *manifests) madeOf(o *model.Object) (out []End) {
	name := map[string]string{"Prometheus": "prometheus", "Alertmanager": "alertmanager"}[o.Kind]
	for _, p := range m.first {
		if p.Namespace == o.Namespace && p.Labels["app.kubernetes.io/name"] == name && p.Labels["app.kubernetes.io/instance"] == o.Name {
			out = append(out, WorkloadOf(p))
		}
	}
	return out
}
