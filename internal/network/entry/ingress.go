package entry

import (
	"cmp"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Ports of an Ingress: it has no others (API of Ingress, spec.rules and spec.tls).
const (
	httpPort  = 80
	httpsPort = 443
)

// classAnnotation named the class of an Ingress before there was a field.
const classAnnotation = "kubernetes.io/ingress.class"

// ingresses makes an entry for each Service that an Ingress leads to.
func (r *reader) ingresses() {
	classes := map[string]*model.Object{}
	var fallback *model.Object
	for _, o := range r.world.Kind(ingressClassKind) {
		classes[o.Name] = o
		if o.Annotations()[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			fallback = o
		}
	}
	for _, o := range latest(r.world.Kind(ingressKind)) {
		name := cmp.Or(o.Text("spec", "ingressClassName"), o.Annotations()[classAnnotation])
		class := classes[name]
		if name == "" && fallback != nil {
			name, class = fallback.Name, fallback
		}
		controller := ""
		if class != nil {
			controller = class.Text("spec", "controller")
		}
		c := r.serving(name, controller, o.Annotations())
		if name == "" {
			c.Doubts = append(c.Doubts, "the Ingress names no class, and which controller serves it is not known")
		}
		r.ingress(o, name, c)
	}
}

// latest leaves out objects of which another of the same name comes later.
func latest(of []*model.Object) []*model.Object {
	last := map[model.ID]*model.Object{}
	for _, o := range of {
		last[o.ID()] = o
	}
	return slices.DeleteFunc(slices.Clone(of), func(o *model.Object) bool { return last[o.ID()] != o })
}

// backendRef is a reference to a port of a Service.
type backendRef struct {
	namespace, name string
	// port is a number, or its name.
	port     uint16
	portName string
	protocol reach.Protocol
	hosts    []string
	at       model.Path
}

func (b *backendRef) portText() string {
	if b.portName != "" {
		return b.portName
	}
	return fmt.Sprint(b.port)
}

// ingress makes the entries of one Ingress.
func (r *reader) ingress(o *model.Object, class string, c *Controller) {
	var refs []backendRef
	add := func(content any, at model.Path, host string) {
		if content == nil {
			return
		}
		if kind := textOf(content, "resource", "kind"); kind != "" {
			r.lost(o, false, at, "%s %s is what it leads to, which is not understood", kind, textOf(content, "resource", "name"))
			return
		}
		ref := backendRef{namespace: o.Namespace, name: textOf(content, "service", "name"), portName: textOf(content, "service", "port", "name"), at: at}
		ref.port, _ = portOf(model.Get(content, "service", "port", "number"))
		if host != "" {
			ref.hosts = []string{host}
		}
		refs = append(refs, ref)
	}
	add(o.Get("spec", "defaultBackend"), specPath("defaultBackend"), "")
	for i, rule := range o.List("spec", "rules") {
		paths, _ := model.Get(rule, "http", "paths").([]any)
		for k, path := range paths {
			add(model.Get(path, "backend"), specPath("rules").Append(model.Index(i), model.Key("http"), model.Key("paths"), model.Index(k), model.Key("backend")), textOf(rule, "host"))
		}
	}
	port := uint16(httpPort)
	if len(o.List("spec", "tls")) > 0 {
		port = httpsPort
	}
	r.lead(Entry{Kind: "Ingress", Namespace: o.Namespace, Name: o.Name, Type: class, Object: o, Port: port, Controller: c}, refs, r.frontOf(c, httpPort, httpsPort))
}

// lead makes an entry for each port of a Service that something leads to, by a controller.
func (r *reader) lead(e Entry, refs []backendRef, f front) {
	refs = mergeHosts(refs)
	e.Exposure, e.Sources = f.exposure, f.sources
	e.Doubts = append(slices.Clone(f.doubts), e.Controller.Doubts...)
	for _, ref := range refs {
		s := r.Services.Get(ref.namespace, ref.name)
		if s == nil {
			r.lost(e.Object, r.world.Closed(ref.namespace), ref.at, "%s leads to Service %s/%s, which is not there", e.String(), ref.namespace, ref.name)
			continue
		}
		if s.Type == externalName {
			r.lost(e.Object, true, ref.at, "%s leads to Service %s, which stands for the name %s", e.String(), s, s.ExternalName)
			continue
		}
		i := slices.IndexFunc(s.Ports, func(p ServicePort) bool {
			return p.Protocol == ref.protocol && (ref.portName != "" && p.Name == ref.portName || ref.port != 0 && p.Port == ref.port)
		})
		if i < 0 {
			r.lost(e.Object, true, ref.at, "%s leads to port %s of Service %s, which has no such %s port", e.String(), ref.portText(), s, ref.protocol)
			continue
		}
		one := e
		one.At, one.Hosts, one.Protocol = ref.at, ref.hosts, ref.protocol
		one.Doubts = append(slices.Clip(one.Doubts), s.Doubts...)
		for _, t := range s.Ports[i].Targets {
			for _, b := range r.served(s, t, e.Controller) {
				one.Backends = append(one.Backends, f.to(b))
			}
		}
		r.Entries = append(r.Entries, one)
	}
}

// mergeHosts puts references to the same port together, with the names that lead to it;
// none where one of them is for any name.
func mergeHosts(refs []backendRef) (out []backendRef) {
	at := map[string]int{}
	anyHost := map[int]bool{}
	for _, ref := range refs {
		key := ref.namespace + "/" + ref.name + ":" + ref.portText() + "/" + ref.protocol.String()
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			hosts := ref.hosts
			ref.hosts = nil
			out = append(out, ref)
			ref.hosts = hosts
		}
		anyHost[i] = anyHost[i] || len(ref.hosts) == 0
		for _, h := range ref.hosts {
			if !slices.Contains(out[i].hosts, h) {
				out[i].hosts = append(out[i].hosts, h)
			}
		}
	}
	for i := range out {
		if anyHost[i] {
			out[i].hosts = nil
		}
	}
	return out
}

// served judges pods that a controller sends traffic to.
func (r *reader) served(s *Service, t Target, c *Controller) []Backend {
	switch {
	case len(t.Pods) == 0 || len(c.Pods) > 0:
		return r.judge.target(s, t, way{from: c.Pods, sources: nil})
	case c.Outside != nil:
		return r.judge.target(s, t, way{sources: c.Outside, guessed: true, rewritten: true})
	}
	who := "the pods of " + c.Name + " are not in the input"
	if c.Proxy {
		who = "a proxy of " + c.Name + " sends it, which no NetworkPolicy can name"
	}
	var out []Backend
	for _, part := range r.judge.parts(t) {
		b := r.judge.unseen(part, who)
		b.Service = s
		out = append(out, b)
	}
	return out
}

// to puts the way to a controller before that to a backend: traffic arrives if it does on
// both.
func (f *front) to(b Backend) Backend {
	b.Hops = append(slices.Clone(f.hops), b.Hops...)
	if len(f.admitted) > 0 && b.Verdict != Denied {
		b.Admitted, b.Others = f.admitted, f.others
	}
	if b.Verdict = min(b.Verdict, f.verdict); b.Verdict == Unknown {
		b.Unknown = append(slices.Clone(f.unknown), b.Unknown...)
	}
	b.Doubts = append(slices.Clone(f.said), b.Doubts...)
	if b.Verdict != Unknown {
		b.Unknown = nil
	}
	return b
}
