package reach

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
)

// tierCase is a case of testdata/tiers.yaml: policies, and what becomes of them.
type tierCase struct {
	Name    string
	Objects []map[string]any
	Steps   []tierStep
}

// tierStep changes the policies that are left of the step before, and says who reaches whom.
type tierStep struct {
	// Swap are rules that change their places: "egress 0 1", of the first object.
	Swap []string
	// Set are actions: "NAME egress 0 Pass".
	Set []string
	// Remove are names of objects.
	Remove   []string
	Priority map[string]any
	Check    []string
}

// TestTiers goes through the cases of the conformance suite of policies of tiers, in every
// profile.
func TestTiers(t *testing.T) {
	var cases []tierCase
	readFixture(t, "testdata/tiers.yaml", &cases)
	for _, direction := range []string{"ingress", "egress"} {
		for _, tier := range []string{"Admin", "Baseline"} {
			cases = append(cases, oneProtocol(tier, direction, "TCP", 80, 8080), oneProtocol(tier, direction, "UDP", 53, 5353), oneProtocol(tier, direction, "SCTP", 9003, 9005))
		}
	}
	asked := 0
	for _, profile := range Profiles {
		for _, c := range cases {
			objects := make([]map[string]any, len(c.Objects))
			for i, o := range c.Objects {
				objects[i] = whole(o).(map[string]any)
			}
			for i, step := range c.Steps {
				objects = step.apply(t, objects)
				world := houses(t)
				for _, o := range objects {
					world = append(world, object(t, o))
				}
				cluster := NewCluster(model.NewWorld(world, model.WorldOptions{}), profile)
				if len(cluster.Problems) > 0 {
					t.Fatalf("%s: %v", c.Name, cluster.Problems)
				}
				e := New(cluster)
				for _, line := range step.Check {
					asked += checkLine(t, fmt.Sprintf("%s: %s, step %d", profile.Name, c.Name, i), e, line)
				}
			}
		}
	}
	t.Logf("%d cases, %d answers", len(cases), asked)
}

// oneProtocol is the case of one protocol, in one direction. Houses r, s and h are all
// accepted, denied at a port, and accepted at a port.
func oneProtocol(tier, direction, protocol string, port, other int) tierCase {
	rule := func(action, house string, ports ...int) map[string]any {
		peer := []any{map[string]any{"namespaces": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": house}}}}
		r := map[string]any{"action": action, map[string]string{"ingress": "from", "egress": "to"}[direction]: peer}
		for _, p := range ports {
			r["protocols"] = []any{map[string]any{strings.ToLower(protocol): map[string]any{"destinationPort": map[string]any{"number": float64(p)}}}}
		}
		return r
	}
	line := func(house, text string) string {
		text = strings.NewReplacer("port", fmt.Sprint(protocol, " ", port), "other", fmt.Sprint(protocol, " ", other)).Replace(text)
		if direction == "ingress" {
			return house + " -> g " + text
		}
		return "g -> " + house + " " + text
	}
	return tierCase{Name: fmt.Sprintf("%s of %s, %s tier", direction, protocol, tier),
		Objects: []map[string]any{{"apiVersion": newTierVersion, "kind": "ClusterNetworkPolicy", "metadata": map[string]any{"name": "rules"}, "spec": map[string]any{
			"tier": tier, "priority": float64(6), "subject": map[string]any{"namespaces": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "g"}}},
			direction: []any{rule("Accept", "r"), rule("Deny", "r"), rule("Pass", "r"), rule("Deny", "s", port), rule("Pass", "s", port), rule("Accept", "h", other), rule("Deny", "h")}}}},
		Steps: []tierStep{
			{Check: []string{line("r", "port yes, other yes"), line("s", "port no, other yes"), line("h", "other yes, port no")}},
			{Swap: []string{direction + " 0 1"}, Check: []string{line("r", "port no, other no")}},
			{Swap: []string{direction + " 0 2"}, Check: []string{line("r", "port yes, other yes")}},
			{Swap: []string{direction + " 3 4"}, Check: []string{line("s", "port yes, other yes")}},
		}}
}

func (s tierStep) apply(t *testing.T, objects []map[string]any) (out []map[string]any) {
	rules := func(o map[string]any, direction string) []any {
		list, ok := model.Get(o, "spec", direction).([]any)
		if !ok {
			t.Fatalf("%v has no %s", o, direction)
		}
		return list
	}
	for _, o := range objects {
		name, _ := model.Get(o, "metadata", "name").(string)
		if strings.Contains(" "+strings.Join(s.Remove, " ")+" ", " "+name+" ") {
			continue
		}
		if p, ok := s.Priority[name]; ok {
			o["spec"].(map[string]any)["priority"] = whole(p)
		}
		for _, set := range s.Set {
			var of, direction, action string
			var i int
			if _, err := fmt.Sscanf(set, "%s %s %d %s", &of, &direction, &i, &action); err != nil {
				t.Fatal(err)
			}
			if of == name {
				rules(o, direction)[i].(map[string]any)["action"] = action
			}
		}
		out = append(out, o)
	}
	for _, swap := range s.Swap {
		var direction string
		var i, j int
		if _, err := fmt.Sscanf(swap, "%s %d %d", &direction, &i, &j); err != nil {
			t.Fatal(err)
		}
		of := rules(out[0], direction)
		of[i], of[j] = of[j], of[i]
	}
	return out
}

// houses are the pods of the suite, each of its own labels and addresses.
func houses(t *testing.T) (out []*model.Object) {
	pod := func(ns, name, address string, spec map[string]any) {
		spec["containers"] = []any{map[string]any{"name": "serve", "ports": []any{
			map[string]any{"containerPort": int64(80), "protocol": "TCP", "name": "web"}, map[string]any{"containerPort": int64(53), "protocol": "UDP", "name": "dns"}}}}
		out = append(out, object(t, map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": ns, "name": name, "labels": map[string]any{"house": ns}},
			"spec": spec, "status": map[string]any{"podIP": address}}))
	}
	for i, ns := range []string{"g", "s", "h", "r", "host"} {
		out = append(out, object(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": map[string]any{"house": ns}}}))
		if ns == "host" {
			pod(ns, "node-pod", "192.168.7.1", map[string]any{"hostNetwork": true, "nodeName": "worker"})
			continue
		}
		pod(ns, "0", fmt.Sprintf("10.0.%d.1", i+1), map[string]any{})
		pod(ns, "1", fmt.Sprintf("10.0.%d.2", i+1), map[string]any{})
	}
	return append(out, object(t, map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "worker", "labels": map[string]any{"os": "linux"}},
		"status": map[string]any{"addresses": []any{map[string]any{"type": "InternalIP", "address": "192.168.7.1"}}}}))
}

// checkLine asks for all pods that a line names: "g -> h/0 TCP 80 yes, UDP 53 no".
func checkLine(t *testing.T, name string, e *Engine, line string) (asked int) {
	var a, arrow, b string
	if _, err := fmt.Sscanf(line, "%s %s %s", &a, &arrow, &b); err != nil || arrow != "->" {
		t.Fatalf("%s: %q is no line: %v", name, line, err)
	}
	rest := strings.TrimPrefix(line, a+" -> "+b+" ")
	is := func(pattern string, p *Pod) bool {
		return pattern == p.Namespace || pattern == p.Namespace+"/"+p.Object.Name
	}
	for _, item := range strings.Split(rest, ", ") {
		var protocol, yes string
		var port uint16
		if _, err := fmt.Sscanf(item, "%s %d %s", &protocol, &port, &yes); err != nil || yes != "yes" && yes != "no" {
			t.Fatalf("%s: %q of %q: %v", name, item, line, err)
		}
		p := map[string]Protocol{"TCP": TCP, "UDP": UDP, "SCTP": SCTP}[protocol]
		for _, from := range e.Cluster.Pods {
			for _, to := range e.Cluster.Pods {
				if !is(a, from) || !is(b, to) {
					continue
				}
				asked++
				got := e.Between(Side{Pod: from}, Side{Pod: to}).Contains(p, port)
				if explained := e.Cluster.Explain(Side{Pod: from}, Side{Pod: to}, p, port).Allowed; got != (yes == "yes") || got != explained {
					t.Errorf("%s: %v to %v by %v %d: %v, explained as %v, should be %s", name, from, to, p, port, got, explained, yes)
				}
			}
		}
	}
	if asked == 0 {
		t.Errorf("%s: %q asks nothing", name, line)
	}
	return asked
}
