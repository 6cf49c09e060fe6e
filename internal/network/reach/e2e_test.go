package reach

import (
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
)

// e2eCase is a case of testdata/e2e.yaml: states of a cluster, and who reaches whom.
type e2eCase struct {
	Name  string
	Steps []struct {
		Policies []struct {
			Namespace string
			Spec      map[string]any
		}
		// Namespaces and Pods are labels beside those that all have.
		Namespaces, Pods map[string]map[string]string
		Check            []struct {
			Port     uint16
			Protocol string
			Table    []string
		}
	}
}

// TestE2E goes through the truth tables of the upstream end-to-end suite, in every profile
// that takes blocks as that suite does.
func TestE2E(t *testing.T) {
	var cases []e2eCase
	readFixture(t, "testdata/e2e.yaml", &cases)
	if len(cases) != 49 {
		t.Errorf("%d cases, not 49", len(cases))
	}
	asked := 0
	for _, profile := range Profiles {
		for _, c := range cases {
			for i, step := range c.Steps {
				objects := e2eCluster(t, step.Namespaces, step.Pods)
				for n, p := range step.Policies {
					objects = append(objects, object(t, map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": p.Spec,
						"metadata": map[string]any{"namespace": p.Namespace, "name": fmt.Sprint("policy-", n)}}))
					if blocks := strings.Contains(fmt.Sprint(p.Spec), "ipBlock"); blocks && !profile.BlocksMatchPods {
						step.Check = nil
					}
				}
				cluster := NewCluster(model.NewWorld(objects, model.WorldOptions{}), profile)
				if len(cluster.Problems) > 0 {
					t.Fatalf("%s: %v", c.Name, cluster.Problems)
				}
				e := New(cluster)
				for _, check := range step.Check {
					asked += checkTable(t, fmt.Sprintf("%s: %s, step %d", profile.Name, c.Name, i), e, check.Protocol, max(check.Port, 80), check.Table)
				}
			}
		}
	}
	t.Logf("%d cases, %d answers", len(cases), asked)
}

func readFixture(t *testing.T, file string, into any) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.UnmarshalStrict(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// object makes an object of what is written. YAML has numbers as JSON does.
func object(t testing.TB, content map[string]any) *model.Object {
	o, ok := model.NewObject(whole(content).(map[string]any), nil, model.Source{})
	if !ok {
		t.Fatalf("%v is no object", content)
	}
	return o
}

// whole makes the numbers of JSON those that an object has.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = whole(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = whole(e)
		}
		return out
	case float64:
		return int64(v)
	}
	return v
}

func stringMap(of map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range of {
		out[k] = v
	}
	return out
}

func e2eCluster(t *testing.T, namespaces, pods map[string]map[string]string) (out []*model.Object) {
	for i, ns := range []string{"x", "y", "z"} {
		out = append(out, object(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": stringMap(namespaces[ns])}}))
		for j, name := range []string{"a", "b", "c"} {
			labels := stringMap(pods[ns+"/"+name])
			labels["pod"] = name
			var ports []any
			for _, port := range []int64{80, 81} {
				for _, protocol := range []string{"TCP", "UDP", "SCTP"} {
					ports = append(ports, map[string]any{"containerPort": port, "protocol": protocol, "name": fmt.Sprintf("serve-%d-%s", port, strings.ToLower(protocol))})
				}
			}
			out = append(out, object(t, map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": ns, "name": name, "labels": labels},
				"spec":   map[string]any{"containers": []any{map[string]any{"name": "serve", "ports": ports}}},
				"status": map[string]any{"podIP": fmt.Sprintf("10.0.%d.%d", i+1, j+1)}}))
		}
	}
	return out
}

// checkTable compares the answers for all pairs of pods with a table.
func checkTable(t *testing.T, name string, e *Engine, protocol string, port uint16, table []string) (asked int) {
	p, err := ParseProtocol(corev1.Protocol(protocol))
	if err != nil {
		t.Fatal(err)
	}
	for i, from := range e.Cluster.Pods {
		for j, to := range e.Cluster.Pods {
			if i == j {
				continue
			}
			want := true
			for _, line := range table {
				var a, b, yes string
				if _, err := fmt.Sscanf(line, "%s -> %s %s", &a, &b, &yes); err != nil || yes != "yes" && yes != "no" {
					t.Fatalf("%s: %q is no line of a table: %v", name, line, err)
				}
				if inTable(a, from) && inTable(b, to) {
					want = yes == "yes"
				}
			}
			asked++
			if got := e.Allowed(e.PodEnd(i), e.PodEnd(j)).Contains(p, port); got != want {
				t.Errorf("%s: %v to %v by %v %d: %v, should be %v", name, from, to, p, port, got, want)
			}
			if got := e.Cluster.Explain(Side{Pod: from}, Side{Pod: to}, p, port).Allowed; got != want {
				t.Errorf("%s: %v to %v by %v %d: explained as %v, should be %v", name, from, to, p, port, got, want)
			}
		}
	}
	return asked
}

func inTable(pattern string, p *Pod) bool {
	ns, name, all := strings.Cut(pattern, "/")
	return pattern == "*" || all && ns == p.Namespace && (name == "*" || name == p.Object.Name)
}
