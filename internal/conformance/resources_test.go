package conformance

import (
	"encoding/json"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestResources holds the table of built-in kinds against the API server's own
// discovery: plural and scope.
func TestResources(t *testing.T) {
	c := connect(t)
	_, lists, err := c.kube.Discovery().ServerGroupsAndResources()
	testcluster.Discovered(t, err)
	text, err := c.kube.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var definitions struct {
		Items []struct{ Spec struct{ Group string } }
	}
	if err := json.Unmarshal(text, &definitions); err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, d := range definitions.Items {
		defined[d.Spec.Group] = true
	}
	compared := 0
	for _, list := range lists {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group = ""
		}
		if defined[group] {
			continue // other tests define resources of their own meanwhile
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !containsVerb(r.Verbs, "list") {
				continue
			}
			gk := model.GroupKind{Group: group, Kind: r.Kind}
			known, ok := model.BuiltinResource(gk)
			switch {
			case !ok:
				t.Errorf("the API server serves %s (%s), which the table lacks", gk, r.Name)
			case known.Name != r.Name || known.Namespaced != r.Namespaced:
				t.Errorf("%s: the table says %s, namespaced %v; the API server %s, %v", gk, known.Name, known.Namespaced, r.Name, r.Namespaced)
			}
			compared++
		}
	}
	if compared < 50 {
		t.Errorf("only %d resources were compared", compared)
	}
	t.Logf("compared %d resources", compared)
}

func containsVerb(verbs []string, verb string) bool {
	for _, v := range verbs {
		if v == verb {
			return true
		}
	}
	return false
}
