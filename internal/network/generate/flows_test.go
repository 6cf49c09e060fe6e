package generate

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func readFlows(t *testing.T, o FlowOptions, lines string) (*Flows, []string) {
	t.Helper()
	_, c := world(t, app("web", "")+app("db", ""))
	f := NewFlows(c, o)
	if err := f.Read(strings.NewReader(lines), "f.jsonl"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range f.Derived().Wants {
		got = append(got, w.String())
	}
	return f, got
}

const (
	hubbleWeb = `{"namespace":"shop","labels":["k8s:app=web","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"web-7d4-x","workloads":[{"name":"web","kind":"Deployment"}]}`
	hubbleDB  = `{"namespace":"shop","labels":["k8s:app=db"],"pod_name":"db-1"}`
)

func hubble(source, destination, l4, rest string) string {
	return fmt.Sprintf(`{"flow":{"time":"2026-01-01T00:00:00Z","IP":{"source":"10.0.0.1","destination":"203.0.113.9"},"l4":%s,"source":%s,"destination":%s,"traffic_direction":"EGRESS",%s},"node_name":"n"}`, l4, source, destination, rest)
}

// TestFlows: what each flow counts for.
func TestFlows(t *testing.T) {
	tcp := `{"TCP":{"source_port":50000,"destination_port":5432,"flags":{"SYN":true}}}`
	const webDB = "shop/Deployment/web -> shop/Deployment/db by TCP 5432"
	world := `{"identity":2,"labels":["reserved:world"]}`
	for _, c := range []struct {
		name, line string
		options    FlowOptions
		want       []string
		check      func(f *Flows) bool
	}{
		{name: "one's own", line: `{"from":"shop/Deployment/web","to":"shop/db","port":5432}`, want: []string{webDB}},
		{name: "with a protocol", line: `{"from":"shop/web","to":"shop/db","port":53,"protocol":"udp"}`, want: []string{"shop/Deployment/web -> shop/Deployment/db by UDP 53"}},
		{name: "an address", line: `{"from":"shop/web","to":"192.0.2.1","port":443}`, want: []string{"shop/Deployment/web -> 192.0.2.1/32 by TCP 443"}},
		{name: "Hubble's", line: hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"FORWARDED","is_reply":false`), want: []string{webDB}},
		{name: "twice", line: hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"FORWARDED","is_reply":false`) + "\n" + hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"FORWARDED","is_reply":false`), want: []string{webDB}},
		{name: "without its envelope", line: `{"verdict":"FORWARDED","is_reply":false,"l4":` + tcp + `,"source":` + hubbleWeb + `,"destination":` + hubbleDB + `}`, want: []string{webDB}},
		{name: "the first packet", line: hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"FORWARDED"`), want: []string{webDB}},
		{name: "through a proxy", line: hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"REDIRECTED","is_reply":false`), want: []string{webDB}},
		{name: "a reply", line: hubble(hubbleDB, hubbleWeb, tcp, `"verdict":"FORWARDED","is_reply":true`), check: func(f *Flows) bool { return f.Replies == 1 }},
		{name: "an answer to the first packet", line: hubble(hubbleDB, hubbleWeb, `{"TCP":{"destination_port":5432,"flags":{"SYN":true,"ACK":true}}}`, `"verdict":"FORWARDED"`), check: func(f *Flows) bool { return f.Replies == 1 }},
		{name: "refused", line: hubble(hubbleWeb, hubbleDB, tcp, `"verdict":"DROPPED"`), check: func(f *Flows) bool {
			return f.Dropped == 1 && strings.Contains(f.Derived().Notes[0].String(), "shop/web -> shop/db-1 by TCP 5432 was refused 1 times, and does not count (f.jsonl:1)")
		}},
		{name: "of no direction that is known", line: hubble(hubbleWeb, hubbleDB, `{"UDP":{"destination_port":53}}`, `"verdict":"FORWARDED"`), check: func(f *Flows) bool { return f.Bad == 1 }},
		{name: "a ping", line: hubble(hubbleWeb, hubbleDB, `{"ICMPv4":{"type":8}}`, `"verdict":"FORWARDED","is_reply":false`), check: func(f *Flows) bool { return f.Other == 1 }},
		{name: "to the world", line: hubble(hubbleWeb, world, tcp, `"verdict":"FORWARDED","is_reply":false`), want: []string{"shop/Deployment/web -> 203.0.113.9/32 by TCP 5432"}},
		{name: "to the internet", line: strings.Replace(hubble(hubbleWeb, world, tcp, `"verdict":"FORWARDED","is_reply":false`), "203.0.113.9", "8.8.8.8", 1), options: FlowOptions{Internet: true}, want: []string{"shop/Deployment/web -> internet by TCP 5432"}},
		{name: "a probe", line: hubble(`{"labels":["reserved:host"]}`, hubbleDB, tcp, `"verdict":"FORWARDED","is_reply":false`), check: func(f *Flows) bool { return f.Other == 1 }},
		{name: "another node", line: hubble(`{"labels":["reserved:remote-node"]}`, hubbleDB, tcp, `"verdict":"FORWARDED","is_reply":false`), options: FlowOptions{Nodes: []string{"192.168.0.0/24", "10.0.0.0/16"}}, want: []string{"10.0.0.0/16 -> shop/Deployment/db by TCP 5432"}},
		{name: "the API server", line: hubble(hubbleWeb, `{"labels":["reserved:kube-apiserver","reserved:remote-node"]}`, tcp, `"verdict":"FORWARDED","is_reply":false`), options: FlowOptions{APIServer: []string{"203.0.113.0/28"}}, want: []string{"shop/Deployment/web -> 203.0.113.0/28 by TCP 5432"}},
		{name: "a pod that is not there", line: hubble(hubbleWeb, `{"namespace":"shop","labels":["k8s:app=gone"],"pod_name":"gone-1"}`, tcp, `"verdict":"FORWARDED","is_reply":false`), check: func(f *Flows) bool {
			return strings.Contains(f.Derived().Notes[0].String(), "no workload of the input is shop/gone-1: 1 flows")
		}},
		{name: "lost events", line: `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":5}}`, check: func(f *Flows) bool { return f.Other == 1 }},
	} {
		f, got := readFlows(t, c.options, c.line)
		if !slices.Equal(got, c.want) || f.Bad > 0 && c.check == nil {
			t.Errorf("%s: %q, want %q; %v", c.name, got, c.want, f.BadLines)
		}
		if c.check != nil && !c.check(f) {
			t.Errorf("%s: %+v %v", c.name, f, f.Derived().Notes)
		}
	}
}

// TestFlowSchema: what the schema says of the simple form is what is read.
func TestFlowSchema(t *testing.T) {
	schema := jsonschema.NewCompiler().MustCompile(filepath.Join("..", "..", "..", "docs", "schema", "networkflow.v1.json"))
	for line, valid := range map[string]bool{
		`{"from":"shop/web","to":"shop/db","port":5432}`:                             true,
		`{"from":"shop/web","to":"192.0.2.1","port":53,"protocol":"udp"}`:            true,
		`{"from":"shop/web","to":"internet","port":443,"protocol":"","time":"2026"}`: true,
		`{"from":"","to":"shop/db","port":5432}`:                                     false,
		`{"from":"shop/web","port":5432}`:                                            false,
		`{"from":"shop/web","to":"shop/db"}`:                                         false,
		`{"from":"shop/web","to":"shop/db","port":0}`:                                false,
		`{"from":"shop/web","to":"shop/db","port":65536}`:                            false,
		`{"from":"shop/web","to":"shop/db","port":"http"}`:                           false,
		`{"from":"shop/web","to":"shop/db","port":1,"protocol":"QUIC"}`:              false,
	} {
		content, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(content); (err == nil) != valid {
			t.Errorf("%s: by the schema %v", line, err)
		}
		if f, _ := readFlows(t, FlowOptions{}, line); (f.Bad == 0) != valid {
			t.Errorf("%s: read with %v", line, f.BadLines)
		}
	}
}

// TestBadFlows: each line is named, and the others count all the same.
func TestBadFlows(t *testing.T) {
	good := `{"from":"shop/web","to":"shop/db","port":5432}`
	for _, bad := range []string{"{", "[]", "null", "3", `"x"`, "{}", `{"from":"shop/web"}`, `{"from":"shop/web","to":"shop/db"}`, `{"from":"shop/web","to":"shop/db","port":0}`, `{"from":"shop/web","to":"shop/db","port":65536}`,
		`{"from":"shop/web","to":"shop/db","port":1,"protocol":"QUIC"}`, `{"from":"shop/web","to":"shop/db","port":1} {}`, `{"flow":{"l4":{"TCP":{"destination_port":70000}}}}`, `{"flow":3}`, "\x00\xff\x1b[31m",
		strings.Repeat(`{"flow":`, 20_000), `{"from":"` + strings.Repeat("x", 2*maxLine) + `"}`, strings.Repeat("[", 500_000)} {
		f, got := readFlows(t, FlowOptions{}, good+"\n"+bad+"\n"+good)
		if f.Bad != 1 || f.Lines != 3 || len(got) != 1 || !strings.HasPrefix(f.BadLines[0], "f.jsonl:2: ") || len(f.BadLines[0]) > 200 || strings.ContainsAny(f.BadLines[0], "\x00\x1b") {
			t.Errorf("%.40q: %d bad of %d, %q, %q", bad, f.Bad, f.Lines, got, f.BadLines)
		}
	}
}

// many writes lines again and again.
type many struct {
	lines []string
	n     int
	rest  string
}

func (m *many) Read(p []byte) (int, error) {
	if m.rest == "" {
		if m.n == 0 {
			return 0, io.EOF
		}
		m.n--
		m.rest = m.lines[m.n%len(m.lines)] + "\n"
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// TestManyFlows: memory does not grow with the number of lines.
func TestManyFlows(t *testing.T) {
	_, c := world(t, app("web", "")+app("db", ""))
	f := NewFlows(c, FlowOptions{})
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(`{"from":"shop/web","to":"shop/db","port":%d}`, 1000+i), fmt.Sprintf(`{"from":"shop/web","to":"shop/gone-%d","port":1}`, i))
	}
	if err := f.Read(&many{lines: lines, n: 200_000}, "f.jsonl"); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if d := f.Derived(); len(d.Wants) != 100 || len(d.Notes) != 100 || f.Lines != 200_000 || d.Wants[0].Why.String() != "seen 1000 times (f.jsonl:2)" {
		t.Errorf("%d wants, %d notes, %d lines, %s", len(d.Wants), len(d.Notes), f.Lines, d.Wants[0].Why)
	}
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB are in use", m.HeapAlloc>>20)
	}
}

// FuzzFlow: no line breaks the reader, and what it takes has a port.
func FuzzFlow(f *testing.F) {
	f.Add([]byte(hubble(hubbleWeb, hubbleDB, `{"UDP":{"destination_port":53}}`, `"verdict":"FORWARDED","is_reply":false`)))
	f.Add([]byte(`{"from":"shop/web","to":"192.0.2.1","port":53,"protocol":"udp"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := parseFlow(line)
		if err == nil && (got.kind == passed || got.kind == refused) && got.port == 0 {
			t.Errorf("%q: %+v", line, got)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%q: %v", line, err)
		}
	})
}

// FuzzMentions: no text breaks what looks for names in it.
func FuzzMentions(f *testing.F) {
	f.Add("postgres://u:p@db.shop.svc:5432/x?y=z")
	f.Add("$(A)_SERVICE_HOST a.b.c:99999")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range mentioned(expand(text, map[string]string{"A": "db:1"})).hosts {
			if r.name == "" || strings.ContainsAny(r.name, " /@:\n") {
				t.Errorf("%q: %+v", text, r)
			}
		}
	})
}
