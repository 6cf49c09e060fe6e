package persona

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"

	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestCatalogueOnACluster: what the roles name is served by a real API server, with these
// verbs, and lies where the role says. A permission to what is not there is dead weight.
func TestCatalogueOnACluster(t *testing.T) {
	config, _ := testcluster.Config(t)
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, lists, err := client.ServerGroupsAndResources()
	testcluster.Discovered(t, err)
	type served struct {
		namespaced bool
		verbs      []string
	}
	known := map[string]served{}
	for _, list := range lists {
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		if !grouped {
			group = ""
		}
		for _, r := range list.APIResources {
			known[group+" "+r.Name] = served{r.Namespaced, append(known[group+" "+r.Name].verbs, r.Verbs...)}
		}
	}
	c, err := readCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	// The kubelet serves these, and the metrics server and we ourselves those.
	elsewhere := func(x thing) bool {
		return x.url != "" || x.resource == "nodes/metrics" || x.resource == "nodes/stats" || x.group == "metrics.k8s.io" || x.group == "bulkhead.dev"
	}
	checked := 0
	for _, role := range c.roles {
		for namespaced, actions := range map[bool][]Action{true: role.Namespaced, false: role.Cluster} {
			for _, a := range actions {
				for _, x := range a.things() {
					is, ok := known[x.group+" "+x.resource]
					switch {
					case elsewhere(x):
						continue
					case !ok:
						t.Errorf("%s: %s: there is no such resource", role.Name, x)
					case is.namespaced != namespaced && (x.resource != "namespaces"):
						t.Errorf("%s: %s stands under the wrong scope", role.Name, x)
					case !slices.Contains(is.verbs, x.verb):
						t.Errorf("%s: %s: the verbs of the resource are %v", role.Name, x, is.verbs)
					}
					checked++
				}
			}
		}
	}
	if checked < 300 {
		t.Errorf("only %d were looked at", checked)
	}
}
