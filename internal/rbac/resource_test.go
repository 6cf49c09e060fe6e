package rbac

import (
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

func TestFindResource(t *testing.T) {
	w := world(t, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Widget, plural: widgets}}
`)
	for text, want := range map[string]Resource{
		"pods":                      {"", "pods", "", true, true},
		"po":                        {"", "pods", "", true, true},
		"Pod":                       {"", "pods", "", true, true},
		"pod/exec":                  {"", "pods", "exec", true, true},
		"deploy":                    {"apps", "deployments", "", true, true},
		"deployments.apps/scale":    {"apps", "deployments", "scale", true, true},
		"deployments.extensions":    {"extensions", "deployments", "", true, true},
		"events":                    {"", "events", "", true, true},
		"events.events.k8s.io":      {"events.k8s.io", "events", "", true, true},
		"netpol":                    {"networking.k8s.io", "networkpolicies", "", true, true},
		"no":                        {"", "nodes", "", false, true},
		"widgets":                   {"example.com", "widgets", "", false, true},
		"widget.example.com/status": {"example.com", "widgets", "status", false, true},
		"gadgets.example.org":       {"example.org", "gadgets", "", true, false},
		"*":                         {"*", "*", "", true, true},
		"*.apps/scale":              {"apps", "*", "scale", true, true},
	} {
		if got, err := FindResource(w, text); err != nil || got != want {
			t.Errorf("%s: got %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/exec", "pods/", ".apps"} {
		if got, err := FindResource(w, text); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

func TestParseSubject(t *testing.T) {
	for text, want := range map[string]Subject{
		"jane":                            {"User", "", "jane"},
		"User/jane":                       {"User", "", "jane"},
		"user/spiffe://a/b":               {"User", "", "spiffe://a/b"},
		"spiffe://a/b":                    {"User", "", "spiffe://a/b"},
		"Group/dev":                       {"Group", "", "dev"},
		"sa/shop/web":                     {"ServiceAccount", "shop", "web"},
		"ServiceAccount/shop/web":         {"ServiceAccount", "shop", "web"},
		"system:serviceaccount:shop:web":  {"ServiceAccount", "shop", "web"},
		"Group/system:serviceaccounts:ns": {"Group", "", "system:serviceaccounts:ns"},
	} {
		if got, err := ParseSubject(text); err != nil || got != want {
			t.Errorf("%s: got %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Group/", "sa/web", "sa//web", "User/"} {
		if got, err := ParseSubject(text); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

// TestShortNames holds the short names against those that a real API server serves.
func TestShortNames(t *testing.T) {
	lists, err := connect(t).Discovery().ServerPreferredResources()
	testcluster.Discovered(t, err)
	served := map[string]string{}
	for _, list := range lists {
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		if !grouped {
			group = ""
		}
		for _, r := range list.APIResources {
			for _, short := range r.ShortNames {
				// Events have theirs in two groups.
				if served[short] != "" && served[short] != r.Name {
					t.Errorf("%s is %s and %s", short, served[short], r.Name)
				}
				served[short] = r.Name
				known := slices.ContainsFunc(model.BuiltinResources(), func(b model.Resource) bool { return b.Group == group && b.Name == r.Name })
				if known && shortNames[short] != r.Name {
					t.Errorf("%s is short for %s.%s", short, r.Name, group)
				}
			}
		}
	}
	for short, name := range shortNames {
		if served[short] != name {
			t.Errorf("%s is short for %q and not for %s", short, served[short], name)
		}
	}
}
