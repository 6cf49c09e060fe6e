package generate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// flowKind says whether a flow counts.
type flowKind uint8

const (
	passed flowKind = iota
	reply
	refused
	ignored
)

// flow is one that was seen.
type flow struct {
	kind     flowKind
	from, to party
	protocol reach.Protocol
	port     uint16
}

// party is one side of a flow.
type party struct {
	// name is that of the simple form: shop/Deployment/web, or an address.
	name                 string
	namespace, pod, kind string
	workload             string
	labels               map[string]string
	reserved             map[string]bool
	ip                   string
}

func (p *party) String() string {
	switch {
	case p.name != "":
		return p.name
	case p.namespace != "":
		return p.namespace + "/" + cmp.Or(p.workload, p.pod, "?")
	}
	return cmp.Or(p.ip, strings.Join(sorted(p.reserved), ","), "?")
}

func (f *flow) text() string {
	return fmt.Sprintf("%s -> %s by %s", &f.from, &f.to, reach.OnePort(f.protocol, f.port))
}

// ownNode reports whether a flow is of a pod with the node that it is on, or with a probe
// from there: the identity host stands for that node.
func (f *flow) ownNode(to End) bool {
	return f.from.reserved["host"] && to.pods() || f.from.reserved["health"] || f.to.reserved["health"]
}

// simpleFlow is the form of one's own.
type simpleFlow struct {
	From     string          `json:"from"`
	To       string          `json:"to"`
	Port     json.RawMessage `json:"port"`
	Protocol string          `json:"protocol"`
}

// hubbleFlow is what is read of a flow of Hubble (github.com/cilium/cilium,
// api/v1/flow/flow.proto, in the JSON form of hubble observe -o json).
type hubbleFlow struct {
	Verdict string `json:"verdict"`
	IP      struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	} `json:"IP"`
	L4 struct {
		TCP *struct {
			Port  uint32 `json:"destination_port"`
			Flags struct {
				SYN bool
				ACK bool
			} `json:"flags"`
		}
		UDP, SCTP *struct {
			Port uint32 `json:"destination_port"`
		}
		ICMPv4, ICMPv6 json.RawMessage
	} `json:"l4"`
	Source      hubbleEnd `json:"source"`
	Destination hubbleEnd `json:"destination"`
	IsReply     *bool     `json:"is_reply"`
	Reply       *bool     `json:"reply"`
}

type hubbleEnd struct {
	Namespace string   `json:"namespace"`
	Labels    []string `json:"labels"`
	Pod       string   `json:"pod_name"`
	Workloads []struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	} `json:"workloads"`
}

// parseFlow reads a line: of Hubble, alone or as the field flow, or of the simple form.
func parseFlow(line []byte) (*flow, error) {
	var outer struct {
		Flow *hubbleFlow `json:"flow"`
		simpleFlow
		Verdict json.RawMessage `json:"verdict"`
		L4      json.RawMessage `json:"l4"`
		Lost    json.RawMessage `json:"lost_events"`
		Node    json.RawMessage `json:"node_status"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&outer); err != nil {
		return nil, fmt.Errorf("no flow: %w", plainError(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("no flow: there is more behind the object")
	}
	switch {
	case outer.Flow != nil:
		return outer.Flow.flow()
	case outer.From != "" || outer.To != "":
		return outer.flow()
	case outer.Verdict != nil || outer.L4 != nil:
		var h hubbleFlow
		if err := json.Unmarshal(line, &h); err != nil {
			return nil, fmt.Errorf("no flow: %w", plainError(err))
		}
		return h.flow()
	case outer.Lost != nil || outer.Node != nil:
		return &flow{kind: ignored}, nil
	}
	return nil, errors.New("no flow: it has neither flow, as Hubble writes it, nor from and to")
}

// plainError keeps what the line holds out of an error: it is somebody else's text.
func plainError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("field %s is a %s", kind.Field, kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it ends too early")
	}
	return err
}

func (s *simpleFlow) flow() (*flow, error) {
	if s.From == "" || s.To == "" {
		return nil, errors.New("from or to is missing")
	}
	protocol, err := reach.ParseProtocol(corev1.Protocol(strings.ToUpper(s.Protocol)))
	if err != nil {
		return nil, err
	}
	var port uint16
	if err := json.Unmarshal(s.Port, &port); err != nil || port == 0 {
		return nil, errors.New("port is missing, or no number from 1 to 65535")
	}
	out := &flow{protocol: protocol, port: port}
	out.from.set(s.From)
	out.to.set(s.To)
	return out, nil
}

func (p *party) set(name string) {
	if _, err := netip.ParseAddr(name); err == nil {
		p.ip = name
		return
	}
	p.name = name
}

func (h *hubbleFlow) flow() (*flow, error) {
	out := &flow{from: h.Source.party(h.IP.Source), to: h.Destination.party(h.IP.Destination)}
	var port uint32
	switch {
	case h.L4.TCP != nil:
		port = h.L4.TCP.Port
	case h.L4.UDP != nil:
		out.protocol, port = reach.UDP, h.L4.UDP.Port
	case h.L4.SCTP != nil:
		out.protocol, port = reach.SCTP, h.L4.SCTP.Port
	default:
		out.kind = ignored // ICMP, and what no policy is about
		return out, nil
	}
	if port == 0 || port > 65535 {
		return nil, fmt.Errorf("destination_port %d is no port", port)
	}
	out.port = uint16(port)
	switch answer, known := h.isReply(); {
	case h.Verdict == "DROPPED" || h.Verdict == "ERROR":
		out.kind = refused
		if known && answer {
			out.kind = reply
		}
	case h.Verdict != "FORWARDED" && h.Verdict != "REDIRECTED" && h.Verdict != "AUDIT":
		out.kind = ignored
	case !known:
		return nil, errors.New("it does not say whether it is a reply")
	case answer:
		out.kind = reply
	}
	return out, nil
}

// isReply says whether a flow is an answer. Where Hubble does not know, the first packet
// of a connection of TCP does.
func (h *hubbleFlow) isReply() (answer, known bool) {
	if h.IsReply != nil {
		return *h.IsReply, true
	}
	if t := h.L4.TCP; t != nil && t.Flags.SYN {
		return t.Flags.ACK, true
	}
	if h.Reply != nil {
		return *h.Reply, true
	}
	return false, false
}

func (e *hubbleEnd) party(ip string) party {
	p := party{namespace: e.Namespace, pod: e.Pod, ip: ip, labels: map[string]string{}, reserved: map[string]bool{}}
	for _, label := range e.Labels {
		if name, ok := strings.CutPrefix(label, "reserved:"); ok {
			p.reserved[name] = true
			continue
		}
		_, text, ok := strings.Cut(label, ":") // k8s:app=web
		if !ok || strings.Contains(label[:len(label)-len(text)], "=") {
			text = label
		}
		key, value, _ := strings.Cut(text, "=")
		p.labels[key] = value
	}
	if len(e.Workloads) > 0 {
		p.kind, p.workload = e.Workloads[0].Kind, e.Workloads[0].Name
	}
	return p
}
