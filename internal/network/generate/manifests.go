package generate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Derived is what a source says is wanted.
type Derived struct {
	Wants   []*Want
	Assumed []Assumed
	// Notes are what it could not derive.
	Notes []Note
}

// Add adds what another source says.
func (d *Derived) Add(other Derived) {
	d.Wants = append(d.Wants, other.Wants...)
	d.Notes = append(d.Notes, other.Notes...)
	for _, a := range other.Assumed {
		if !slices.ContainsFunc(d.Assumed, func(b Assumed) bool { return a.End() == b.End() }) {
			d.Assumed = append(d.Assumed, a)
		}
	}
}

func (d *Derived) want(from, to End, ports reach.Ports, why Evidence) {
	d.Wants = append(d.Wants, &Want{From: from, To: to, Ports: ports, Why: why})
}

func (d *Derived) note(about, text string, o *model.Object, at model.Path) {
	n := Note{About: about, Evidence: Evidence{Text: text}}
	if o != nil {
		n.At = o.Locate(at)
	}
	d.Notes = append(d.Notes, n)
}

// ManifestOptions say what manifests do not.
type ManifestOptions struct {
	// Namespaces are those that policies are for: connections that no pod of them is an
	// end of are left out.
	Namespaces []string
	// APIServer are blocks that the API server has its addresses in; it is not in the
	// network of pods, and nothing in manifests says where it is.
	APIServer []string
}

// Kinds are what of a cluster is read beside what the engine and entry points need.
func Kinds() []model.GroupKind {
	return []model.GroupKind{{Kind: "ConfigMap"}, {Kind: "ServiceAccount"}, validatingKind, mutatingKind, apiServiceKind, model.DefinitionKind,
		{Group: rbacGroup, Kind: "RoleBinding"}, {Group: rbacGroup, Kind: "ClusterRoleBinding"},
		serviceMonitorKind, podMonitorKind, prometheusKind, alertmanagerKind}
}

// manifests reads what objects say of who talks to whom.
type manifests struct {
	ManifestOptions
	world    *model.World
	cluster  *reach.Cluster
	services *entry.Services
	Derived
	// first is one pod of each workload, in order.
	first []*reach.Pod
	// contents are the texts of ConfigMaps and Secrets, and named what long ones name: many
	// workloads mount the same.
	contents map[model.ID]map[string]string
	named    map[string]mentions
}

// FromManifests derives connections from what objects of a world say: whom workloads name,
// who is exposed, whom the API server calls, who is scraped.
func FromManifests(w *model.World, c *reach.Cluster, o ManifestOptions) Derived {
	m := &manifests{ManifestOptions: o, world: w}
	m.operators()
	m.cluster = withPods(c, m.Assumed)
	m.services = entry.NewServices(w, m.cluster)
	seen := map[End]bool{}
	for _, p := range m.cluster.Pods {
		if end := WorkloadOf(p); !seen[end] {
			seen[end] = true
			m.first = append(m.first, p)
		}
	}
	m.references()
	m.exposed()
	m.calledByAPIServer()
	m.callsAPIServer()
	m.metrics()
	m.within()
	return m.Derived
}

// within leaves out what is about other namespaces only.
func (m *manifests) within() {
	m.Wants = slices.DeleteFunc(m.Wants, func(w *Want) bool { return !m.about(w.From) && !m.about(w.To) })
}

func (m *manifests) about(e End) bool {
	return e.pods() && slices.Contains(m.Namespaces, e.Namespace)
}

// toService wants what a port of a Service leads to; port 0 is all of its ports. It reports
// why it leads nowhere.
func (m *manifests) toService(from End, s *entry.Service, protocol reach.Protocol, port uint16, why Evidence) error {
	var targets []entry.Target
	var err error
	switch {
	case port == 0 && s.Headless && len(s.Ports) > 0:
		for _, p := range s.Ports {
			targets = append(targets, p.Targets...)
		}
	default:
		if targets, err = s.Leads(protocol, port); err != nil {
			return err
		}
	}
	if len(targets) == 0 {
		return fmt.Errorf("no pod is behind Service %s", s)
	}
	for _, w := range wantsOf(targets, s, port) {
		w.From, w.Why = from, why
		m.Wants = append(m.Wants, w)
	}
	return nil
}

// wantsOf are wants to the targets of a Service. Where pods of one workload have different
// numbers for the name that the Service asks for, the name is kept.
func wantsOf(targets []entry.Target, s *entry.Service, port uint16) (out []*Want) {
	type key struct {
		to       End
		protocol reach.Protocol
	}
	ports := map[key][]uint16{}
	var order []key
	for _, t := range targets {
		k := key{protocol: t.Protocol}
		switch {
		case len(t.Pods) > 0:
			k.to = WorkloadOf(t.Pods[0])
		default:
			k.to = End{Kind: Block, Name: netipBlock(t.Address)}
		}
		if ports[k] == nil {
			order = append(order, k)
		}
		if !slices.Contains(ports[k], t.Port) {
			ports[k] = append(ports[k], t.Port)
		}
	}
	for _, k := range order {
		w := &Want{To: k.to}
		names := namesOf(s, k.protocol, port)
		if len(ports[k]) > max(1, len(names)) && len(names) > 0 && k.to.Kind == Workload {
			w.Names = names
		} else {
			for _, p := range ports[k] {
				if p == 0 {
					w.Ports = w.Ports.Union(reach.PortRange(k.protocol, 1, 65535))
				} else {
					w.Ports = w.Ports.Union(reach.OnePort(k.protocol, p))
				}
			}
		}
		out = append(out, w)
	}
	return out
}

// namesOf are the names of ports of pods that a port of a Service leads to; nil where one
// is a number.
func namesOf(s *entry.Service, protocol reach.Protocol, port uint16) (out []reach.NamedPort) {
	for _, p := range s.Ports {
		if p.Protocol != protocol || port != 0 && p.Port != port {
			continue
		}
		if p.TargetPort == "" || p.TargetPort[0] >= '0' && p.TargetPort[0] <= '9' && !strings.ContainsAny(p.TargetPort, "abcdefghijklmnopqrstuvwxyz") {
			return nil
		}
		out = append(out, reach.NamedPort{Protocol: protocol, Name: p.TargetPort})
	}
	return out
}

// exposed wants what Services, Ingresses, Gateways and ports of nodes let in from outside.
func (m *manifests) exposed() {
	points := entry.New(m.world, reach.New(m.cluster))
	for i := range points.Entries {
		e := &points.Entries[i]
		if e.Exposure == entry.Cluster && e.Controller == nil || e.Type == entry.HostNetwork {
			continue
		}
		for _, b := range e.Backends {
			if len(b.Pods) == 0 || !m.about(WorkloadOf(b.Pods[0])) {
				continue
			}
			m.backend(e, &b)
		}
	}
	for _, o := range points.NotUnderstood {
		if slices.Contains(m.Namespaces, o.Namespace) {
			m.note(o.Kind+" "+o.Namespace+"/"+o.Name, "is a way in that is not understood: what it leads to is not let through", o, nil)
		}
	}
}

func (m *manifests) backend(e *entry.Entry, b *entry.Backend) {
	ports := reach.PortRange(b.Protocol, 1, 65535)
	if b.Port != 0 {
		ports = reach.OnePort(b.Protocol, b.Port)
	}
	to := WorkloadOf(b.Pods[0])
	why := Evidence{Text: fmt.Sprintf("%s exposes it (%s)", e, cmp.Or(e.Type, "no class")), At: e.Location()}
	c := e.Controller
	if c == nil {
		// A node may put its own address in the place of the client's, so that no block of
		// sources can be relied on.
		m.want(End{Kind: Everybody}, to, ports, why)
		return
	}
	switch {
	case c.Proxy:
		m.note(to.String(), fmt.Sprintf("%s is served by a proxy of %s, which no NetworkPolicy can name: let its traffic in by a policy of the network plugin", e, c.Name), e.Object, e.At)
	case len(c.Pods) > 0:
		seen := map[End]bool{}
		for _, p := range c.Pods {
			if from := WorkloadOf(p); !seen[from] {
				seen[from] = true
				m.want(from, to, ports, Evidence{Text: why.Text + ", by pods of " + from.String(), At: why.At})
			}
		}
	case len(c.Outside) > 0:
		for _, block := range c.Outside {
			m.want(End{Kind: Block, Name: block.String()}, to, ports, Evidence{Text: why.Text + ", by " + c.Name, At: why.At})
		}
	default:
		m.note(to.String(), fmt.Sprintf("%s exposes it by %s, whose pods are not in the input: what they send is not let through; give their manifests with -f", e, c.Name), e.Object, e.At)
	}
	for _, doubt := range c.Doubts {
		m.note(to.String(), e.String()+": "+doubt, e.Object, e.At)
	}
}
