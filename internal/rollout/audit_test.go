package rollout

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func auditLine(stage, namespace, resource, name string, policies ...string) string {
	var failures []map[string]any
	for _, p := range policies {
		failures = append(failures, map[string]any{"policy": p, "message": "m", "validationActions": []string{"Audit"}})
	}
	value, _ := json.Marshal(failures)
	event, _ := json.Marshal(map[string]any{"kind": "Event", "stage": stage,
		"objectRef":   map[string]any{"resource": resource, "namespace": namespace, "name": name},
		"annotations": map[string]string{failureAnnotation: string(value)}})
	return string(event)
}

// TestReadAudit: a request counts once for each control, in its last stage, and for
// policies and namespaces that are there; what is no event is told and does no harm.
func TestReadAudit(t *testing.T) {
	s := stateWith(testPolicy("a", "pods"), testPolicy("b", "pods"))
	s.Namespaces = map[string]*unstructured.Unstructured{"shop": {}, "blog": {}}
	lines := []string{
		auditLine("ResponseComplete", "shop", "pods", "p", "a.bulkhead.dev", "a.bulkhead.dev", "b.bulkhead.dev"),
		auditLine("ResponseComplete", "shop", "pods", "p", "a.bulkhead.dev"),
		auditLine("RequestReceived", "shop", "pods", "p", "a.bulkhead.dev"),
		auditLine("ResponseComplete", "gone", "pods", "p", "a.bulkhead.dev"),
		auditLine("ResponseComplete", "shop", "pods", "p", "other.example.com"),
		auditLine("ResponseComplete", "", "persistentvolumes", "p", "b.bulkhead.dev"),
		auditLine("ResponseComplete", "", "namespaces", "blog", "b.bulkhead.dev"),
		`{"kind":"Event","stage":"ResponseComplete"}`,
		"", "  ",
		"no event", `{"annotations": {"` + failureAnnotation + `": 1}}`, `["` + failureAnnotation + `"`,
		`{"stage":"ResponseComplete","annotations":{"` + failureAnnotation + `":"no list"}}`,
		strings.Repeat("x", maxEvent+1),
		auditLine("ResponseComplete", "blog", "pods", "p", "a.bulkhead.dev"),
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		got, err := s.ReadAudit(t.Context(), strings.NewReader(strings.Join(lines, "\n")+end))
		if err != nil {
			t.Fatal(err)
		}
		if want := "map[:map[b:1] blog:map[a:1 b:1] shop:map[a:2 b:1]]"; fmt.Sprint(got.Requests) != want || got.Skipped != 5 {
			t.Errorf("counted %v, skipped %d; want %s", got.Requests, got.Skipped, want)
		}
	}
}
