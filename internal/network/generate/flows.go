package generate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// Bounds of what is read of flows. Lines beyond are not read; connections beyond are not
// kept, which is an error.
const (
	maxLine       = 1 << 20
	maxConnection = 200_000
	maxBadLines   = 20
)

// FlowOptions say how flows are read.
type FlowOptions struct {
	// Internet widens public addresses to the internet.
	Internet bool
	// APIServer are blocks that the API server has its addresses in.
	APIServer []string
	// Nodes are blocks that nodes have their addresses in.
	Nodes []string
}

// Flows collects connections that were seen. Of millions of lines one of each connection
// is kept.
type Flows struct {
	FlowOptions
	cluster *reach.Cluster
	index   *flowIndex
	// seen are the connections, by what makes them one.
	seen map[connection]*sighting
	// order is that in which they were seen first.
	order []connection
	// Lines and Bad count lines, and those that could not be read; BadLines are the first
	// of these.
	Lines, Bad int
	BadLines   []string
	// Replies, Dropped and Other count flows that do not count: answers, what was refused,
	// and what is no connection of TCP, UDP or SCTP.
	Replies, Dropped, Other int
	dropped                 map[string]*sighting
	unresolved              map[string]*sighting
}

// connection is what makes two flows the same.
type connection struct {
	from, to End
	protocol reach.Protocol
	port     uint16
}

type sighting struct {
	file  string
	line  int
	count int
}

func (s *sighting) at() *finding.Location { return &finding.Location{File: s.file, Line: s.line} }

// NewFlows makes a collection of flows between the pods of a cluster.
func NewFlows(c *reach.Cluster, o FlowOptions) *Flows {
	return &Flows{FlowOptions: o, cluster: c, index: newFlowIndex(c), seen: map[connection]*sighting{}, dropped: map[string]*sighting{}, unresolved: map[string]*sighting{}}
}

// Read reads a file of flows, one JSON object a line. Lines that cannot be read are
// counted and named; an error is about the file.
func (f *Flows) Read(in io.Reader, file string) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for line := 1; ; line++ {
		content, long, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read flows of %s: %w", file, err)
		}
		if content = bytes.TrimSpace(content); len(content) > 0 || long {
			f.Lines++
			problem := fmt.Errorf("longer than %d bytes", maxLine)
			if !long {
				problem = f.line(content, file, line)
			}
			if problem != nil {
				f.bad(file, line, problem)
			}
		}
		if len(f.seen) > maxConnection {
			return fmt.Errorf("read flows of %s: more than %d different connections; give flows of fewer namespaces, or widen addresses with --world internet", file, maxConnection)
		}
		if err != nil {
			return nil
		}
	}
}

func (f *Flows) bad(file string, line int, problem error) {
	if f.Bad++; len(f.BadLines) < maxBadLines {
		f.BadLines = append(f.BadLines, fmt.Sprintf("%s:%d: %v", file, line, problem))
	}
}

// readLine reads a line, and throws away what is too long.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if !long && len(line)+len(part) <= maxLine {
			line = append(line, part...)
		} else {
			line, long = nil, true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

// line takes one flow.
func (f *Flows) line(content []byte, file string, number int) error {
	flow, err := parseFlow(content)
	if err != nil {
		return err
	}
	switch flow.kind {
	case ignored:
		f.Other++
		return nil
	case reply:
		f.Replies++
		return nil
	case refused:
		f.Dropped++
		sight(f.dropped, flow.text(), maxSights, file, number)
		return nil
	}
	from, err := f.end(&flow.from)
	if err != nil {
		sight(f.unresolved, err.Error(), maxSights, file, number)
		return nil
	}
	to, err := f.end(&flow.to)
	if err != nil {
		sight(f.unresolved, err.Error(), maxSights, file, number)
		return nil
	}
	if !from.pods() && !to.pods() || flow.ownNode(to) {
		f.Other++ // what a node does with the pods on it is always let through
		return nil
	}
	key := connection{from, to, flow.protocol, flow.port}
	if f.seen[key] == nil {
		f.order = append(f.order, key)
	}
	sight(f.seen, key, maxConnection+1, file, number)
	return nil
}

// maxSights bounds what is kept of flows that do not count.
const maxSights = 10_000

// sight counts what was seen, and keeps where first; of what is new not more than most.
func sight[K comparable](in map[K]*sighting, key K, most int, file string, line int) {
	if s := in[key]; s != nil {
		s.count++
	} else if len(in) < most {
		in[key] = &sighting{file, line, 1}
	}
}

// Derived are the connections that were seen.
func (f *Flows) Derived() (d Derived) {
	for _, c := range f.order {
		s := f.seen[c]
		times := "once"
		if s.count > 1 {
			times = fmt.Sprintf("%d times", s.count)
		}
		d.want(c.from, c.to, reach.OnePort(c.protocol, c.port), Evidence{Text: "seen " + times, At: s.at()})
	}
	for _, name := range sorted(f.unresolved) {
		s := f.unresolved[name]
		d.Notes = append(d.Notes, Note{Evidence{Text: fmt.Sprintf("%s: %d flows are not let through for it", name, s.count), At: s.at()}, ""})
	}
	for _, name := range sorted(f.dropped) {
		s := f.dropped[name]
		d.Notes = append(d.Notes, Note{Evidence{Text: fmt.Sprintf("%s was refused %d times, and does not count", name, s.count), At: s.at()}, ""})
	}
	return d
}

// end finds whom one side of a flow stands for.
func (f *Flows) end(p *party) (End, error) {
	switch {
	case p.name != "":
		return f.index.byName(p.name)
	case p.reserved["kube-apiserver"] && len(f.APIServer) > 0:
		return blockOf(f.APIServer, p.ip), nil
	case (p.reserved["remote-node"] || p.reserved["host"]) && len(f.Nodes) > 0:
		return blockOf(f.Nodes, p.ip), nil
	case p.namespace != "":
		return f.index.pod(p)
	}
	if a, err := netip.ParseAddr(p.ip); err == nil {
		return f.address(a.Unmap().WithZone("")), nil
	}
	return End{}, fmt.Errorf("a side without a pod and an address (%s)", strings.Join(sorted(p.reserved), ", "))
}

// blockOf is the block that an address is in, or the first one.
func blockOf(blocks []string, ip string) End {
	out := End{Kind: Block, Name: blocks[0]}
	a, err := netip.ParseAddr(ip)
	for _, b := range blocks {
		if block, wrong := netip.ParsePrefix(b); err == nil && wrong == nil && block.Contains(a.Unmap()) {
			return End{Kind: Block, Name: b}
		}
	}
	return out
}

// address is the pod at an address, or the address.
func (f *Flows) address(a netip.Addr) End {
	if end, ok := f.index.byAddress[a]; ok {
		return end
	}
	if f.Internet && reach.PublicAddresses().Contains(a) {
		return End{Kind: Internet}
	}
	return End{Kind: Block, Name: netipBlock(a)}
}
