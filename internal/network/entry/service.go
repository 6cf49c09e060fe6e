package entry

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

const externalName = string(corev1.ServiceTypeExternalName)

// Service is a Service, and where its ports lead.
type Service struct {
	Namespace, Name string
	// Type is ClusterIP where none is written.
	Type string
	// Headless says that names lead straight to pods: no port is translated.
	Headless bool
	// Selector is nil for a Service whose endpoints are written by somebody.
	Selector map[string]string
	// Pods are those that the selector chooses.
	Pods  []*reach.Pod
	Ports []ServicePort
	// ExternalName is the name that it stands for.
	ExternalName string
	Object       *model.Object
	// Doubts say what about the pods is not known.
	Doubts []string
	// key is the same for Services that choose the same pods.
	key string
}

func (s *Service) String() string { return s.Namespace + "/" + s.Name }

// ServicePort is one port of a Service.
type ServicePort struct {
	// Index is its place in the list.
	Index    int
	Name     string
	Protocol reach.Protocol
	// Port is 0 for a headless Service without ports, which leads to any.
	Port uint16
	// NodePort is 0 where none is written.
	NodePort uint16
	// TargetPort is what is written, or the port.
	TargetPort string
	// Targets may be shared with other Services, and are not to be changed.
	Targets []Target
	// Unnamed are the pods that have no port of the name that TargetPort asks for.
	Unnamed []*reach.Pod
}

// Target are pods of one workload that traffic is sent to, or an address.
type Target struct {
	// Pods is empty for an address that is no pod's.
	Pods     []*reach.Pod
	Address  netip.Addr
	Protocol reach.Protocol
	// Port is that at the pod; 0 stands for any.
	Port uint16
}

// Services are those of a world, with the pods behind them.
type Services struct {
	all      []*Service
	byName   map[[2]string]*Service
	pods     *podIndex
	dangling []Dangling
}

// All are the Services, by namespace and name.
func (s *Services) All() []*Service { return s.all }

// Get is the Service of a name; nil if there is none.
func (s *Services) Get(namespace, name string) *Service { return s.byName[[2]string{namespace, name}] }

// Find is the Service that svc/NAMESPACE/NAME names, or svc/NAME in a namespace.
func (s *Services) Find(name, namespace string) (*Service, error) {
	parts := strings.Split(name, "/")
	switch {
	case len(parts) == 2 && parts[0] == "svc" && namespace != "":
		parts = []string{"svc", namespace, parts[1]}
	case len(parts) == 2 && parts[0] == "svc":
		return nil, fmt.Errorf("%q has no namespace: write svc/NAMESPACE/%s, or name one with -n", name, parts[1])
	case len(parts) != 3 || parts[0] != "svc":
		return nil, fmt.Errorf("%q is no Service: write svc/NAMESPACE/NAME", name)
	}
	if found := s.Get(parts[1], parts[2]); found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("there is no Service %s/%s", parts[1], parts[2])
}

// Leads are the pods, and their ports, that traffic for a port of the Service arrives at;
// for port 0 those of all its ports. It fails where the Service has no such port. A
// headless Service takes traffic by any port, as names lead straight to its pods.
func (s *Service) Leads(protocol reach.Protocol, port uint16) (out []Target, err error) {
	if s.Type == externalName {
		return nil, fmt.Errorf("service %s stands for the name %s, which is not in the cluster", s, s.ExternalName)
	}
	if s.Headless && port != 0 {
		// Nothing listens for a headless Service: what is asked for is what arrives.
		for _, t := range byWorkload(s.endpoints()) {
			t.Protocol, t.Port = protocol, port
			out = append(out, t)
		}
		return out, nil
	}
	known := false
	for _, p := range s.Ports {
		if port == 0 || p.Port == port && p.Protocol == protocol {
			known = true
			out = append(out, p.Targets...)
		}
	}
	if !known {
		return nil, fmt.Errorf("service %s has no port %s %d", s, protocol, port)
	}
	return out, nil
}

// endpoints are all pods and addresses behind the Service.
func (s *Service) endpoints() (pods []*reach.Pod, addresses []netip.Addr) {
	if len(s.Selector) > 0 {
		return s.Pods, nil
	}
	for _, p := range s.Ports {
		for _, t := range p.Targets {
			for _, pod := range t.Pods {
				if !slices.Contains(pods, pod) {
					pods = append(pods, pod)
				}
			}
			if t.Address.IsValid() && !slices.Contains(addresses, t.Address) {
				addresses = append(addresses, t.Address)
			}
		}
	}
	return pods, addresses
}

// DoubtsFrom says why an answer about traffic that a pod sends to the Service may be wrong,
// although that about the pod behind it is not. What reaches its sender again through a
// Service keeps its address in some network plugins, and policies are about it; in others
// it comes from the node, which a pod always lets in.
func (s *Service) DoubtsFrom(e *reach.Engine, from reach.Side, t Target) (out []string) {
	out = slices.Clone(s.Doubts)
	if from.Pod == nil || !slices.Contains(t.Pods, from.Pod) {
		return out
	}
	end, known := e.End(from)
	if !known || t.Port != 0 && e.Allowed(end, end).Contains(t.Protocol, t.Port) {
		return out
	}
	return append(out, fmt.Sprintf("%s is behind Service %s itself: whether policies are about a pod that reaches itself through a Service differs by network plugin", from.Pod, s))
}

// NewServices reads the Services of a world, and which pods of the cluster they lead to.
func NewServices(w *model.World, c *reach.Cluster) *Services {
	s := &Services{byName: map[[2]string]*Service{}, pods: newPodIndex(c)}
	var written *endpoints // read for the first Service without a selector
	for _, o := range w.Kind(serviceKind) {
		key := [2]string{o.Namespace, o.Name} // of two of one name the later one counts
		s.byName[key] = s.read(o)
	}
	for _, one := range s.byName {
		s.all = append(s.all, one)
	}
	slices.SortFunc(s.all, func(a, b *Service) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for _, one := range s.all {
		switch {
		case one.Type == externalName:
		case len(one.Selector) > 0:
			s.selected(w, one)
		default:
			if written == nil {
				written = newEndpoints(w, s.pods)
			}
			s.written(w, one, written)
		}
	}
	return s
}

func (s *Services) lost(o *model.Object, sure bool, at model.Path, format string, a ...any) {
	s.dangling = append(s.dangling, Dangling{o, at, fmt.Sprintf(format, a...), sure})
}

func specPath(keys ...string) model.Path {
	return model.Path(nil).Keys("spec").Keys(keys...)
}

// read reads what is written of a Service.
func (s *Services) read(o *model.Object) *Service {
	out := &Service{Namespace: o.Namespace, Name: o.Name, Object: o, Type: o.Text("spec", "type"), ExternalName: o.Text("spec", "externalName")}
	if out.Type == "" {
		out.Type = string(corev1.ServiceTypeClusterIP)
	}
	out.Headless = o.Text("spec", "clusterIP") == corev1.ClusterIPNone
	selector := o.Map("spec", "selector")
	if out.Selector = model.StringMap(selector); len(out.Selector) != len(selector) {
		s.lost(o, true, specPath("selector"), "a value of the selector is no text, and the API server would refuse it")
		out.Selector = map[string]string{"": ""} // it chooses nobody
	}
	for i, item := range o.List("spec", "ports") {
		at := specPath("ports").Append(model.Index(i))
		protocol, err := protocolOf(item)
		port, ok := portOf(model.Get(item, "port"))
		if err != nil || !ok {
			s.lost(o, true, at, "port %d is not valid, and the API server would refuse it", i+1)
			continue
		}
		p := ServicePort{Index: i, Name: textOf(item, "name"), Protocol: protocol, Port: port, TargetPort: fmt.Sprint(port)}
		p.NodePort, _ = portOf(model.Get(item, "nodePort"))
		switch to := model.Get(item, "targetPort").(type) {
		case string:
			if _, err := strconv.Atoi(to); err == nil {
				s.lost(o, true, at.Keys("targetPort"), "targetPort %q is a number in quotes, which the API server would refuse", to)
				continue
			}
			if to != "" {
				p.TargetPort = to
			}
		case int64:
			if to != 0 { // 0 is as if it were not written
				p.TargetPort = fmt.Sprint(to)
			}
		}
		out.Ports = append(out.Ports, p)
	}
	if out.Headless && len(o.List("spec", "ports")) == 0 {
		out.Ports = []ServicePort{{}}
	}
	return out
}

func textOf(item any, keys ...string) string {
	text, _ := model.Get(item, keys...).(string)
	return text
}

func protocolOf(item any) (reach.Protocol, error) {
	return reach.ParseProtocol(corev1.Protocol(textOf(item, "protocol")))
}

// portOf reads the number of a port.
func portOf(v any) (uint16, bool) {
	n, ok := v.(int64)
	if !ok || n < 1 || n > 65535 {
		return 0, false
	}
	return uint16(n), true
}

// selected notes where the ports of a Service with a selector lead.
func (s *Services) selected(w *model.World, one *Service) {
	var found chosen
	found, one.key = s.pods.choose(one.Namespace, one.Selector)
	one.Pods, one.Doubts = found.pods, found.doubts
	if len(one.Pods) == 0 {
		s.lost(one.Object, w.Closed(one.Namespace) && !reach.UnknownMakers.Of(w)[one.Namespace], specPath("selector"), "the selector of Service %s chooses no pod", one)
		return
	}
	for i := range one.Ports {
		p := &one.Ports[i]
		p.Targets, p.Unnamed = s.pods.targets(one, p)
		if len(p.Unnamed) > 0 {
			s.lost(one.Object, true, specPath("ports").Append(model.Index(p.Index), model.Key("targetPort")),
				"%s has no %s port with the name %s, so that Service %s sends it nothing by port %d", nameSome(p.Unnamed), p.Protocol, p.TargetPort, one, p.Port)
		}
	}
}

// nameSome names the workloads of some pods.
func nameSome(pods []*reach.Pod) string {
	var names []string
	for _, p := range pods {
		if name := p.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
		if len(names) > 3 {
			return strings.Join(names[:3], ", ") + " and others"
		}
	}
	return strings.Join(names, ", ")
}
