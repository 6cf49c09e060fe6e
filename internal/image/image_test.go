package image

import (
	"fmt"
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// fails says which of the images a control has something against.
func fails(t *testing.T, control string, parameters map[string]any, images ...string) []bool {
	t.Helper()
	all, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c *check.Control) bool { return c.Name == control })
	values := check.Defaults(all[i : i+1])
	for name, v := range parameters {
		values[control][name] = v
	}
	e, err := admission.Compile(all[i:i+1], values, 37)
	if err != nil {
		t.Fatal(err)
	}
	var containers []any
	for n, image := range images {
		containers = append(containers, map[string]any{"name": fmt.Sprint(n), "image": image})
	}
	o, _ := model.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p"},
		"spec": map[string]any{"containers": containers}}, nil, model.Source{})
	model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	judged, err := e.Evaluate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]bool, len(images))
	for _, j := range judged {
		if j.Verdict == finding.Unknown {
			t.Fatal(j.Reason)
		}
		for _, v := range j.Violations {
			var n int
			if _, err := fmt.Sscan(v.Container, &n); err != nil {
				t.Fatal(err)
			}
			out[n] = true
		}
	}
	return out
}

func TestAllowedRegistries(t *testing.T) {
	list := func(entries ...any) []any { return entries }
	for _, c := range []struct {
		registries, denied []any
		allowed, refused   []string
	}{
		{nil, nil, []string{"nginx", "evil.example.com/x:1"}, nil},
		{list("quay.io"), nil,
			[]string{"quay.io/a", "quay.io/a/b/c:1@" + digest},
			[]string{"nginx", "docker.io/a/b", "quay.io.example.com/a", "quay.io:443/a", "example.com/quay.io/a", "xquay.io/a", "quay.iox/a", "quay.io"}},
		{list("docker.io"), nil,
			[]string{"nginx", "nginx:1", "bitnami/redis", "docker.io/nginx", "index.docker.io/nginx", "docker.io/library/nginx@" + digest, "library/nginx"},
			[]string{"localhost/nginx", "localhost:5000/nginx", "Registry/nginx", "gcr.io/docker.io/nginx"}},
		{list("docker.io/library"), nil,
			[]string{"nginx", "nginx:1", "library/nginx", "docker.io/nginx", "index.docker.io/library/nginx"},
			[]string{"bitnami/redis", "libraryx/nginx", "docker.io/bitnami/redis"}},
		{list("docker.io/library/nginx"), nil, []string{"nginx:1"}, []string{"nginx-fork", "library/nginx2", "redis"}},
		{list("registry.example.com:5000/team/"), nil,
			[]string{"registry.example.com:5000/team", "registry.example.com:5000/team/web:1", "registry.example.com:5000/team/a/b"},
			[]string{"registry.example.com:5000/teams/web", "registry.example.com/team/web"}},
		{list("gcr.io/shop/*"), nil, []string{"gcr.io/shop/web"}, []string{"gcr.io/shopx/web", "gcr.io/other/web"}},
		{list("*.gcr.io"), nil, []string{"eu.gcr.io/a", "a.b.gcr.io/x:1"}, []string{"gcr.io/a", "xgcr.io/a", "eu.gcr.io.example.com/a", "example.com/eu.gcr.io/a"}},
		{list("*.gcr.io/shop"), nil, []string{"eu.gcr.io/shop/web"}, []string{"eu.gcr.io/other/web", "eu.gcr.io/shops/web", "example.com/eu.gcr.io/shop/web"}},
		{list("quay.io", "localhost:5000"), nil, []string{"quay.io/a", "localhost:5000/a"}, []string{"localhost/a"}},
		{list("quay.io"), list("quay.io/bad"), []string{"quay.io/good"}, []string{"quay.io/bad/x", "nginx"}},
		{nil, list("docker.io/library/*"), []string{"bitnami/redis"}, []string{"nginx"}},
	} {
		parameters := map[string]any{"registries": c.registries, "denied": c.denied}
		for i, failed := range fails(t, "allowed-registries", parameters, slices.Concat(c.allowed, c.refused)...) {
			if image := slices.Concat(c.allowed, c.refused)[i]; failed != (i >= len(c.allowed)) {
				t.Errorf("registries %v, denied %v: %s: refused is %t", c.registries, c.denied, image, failed)
			}
		}
	}
}

func TestTags(t *testing.T) {
	for image, bad := range map[string]bool{
		"nginx":                              true,
		"nginx:latest":                       true,
		"example.com/nginx":                  true,
		"example.com:5000/nginx":             true,
		"example.com:5000/a/b/nginx:latest":  true,
		"latest":                             true,
		"nginx:1":                            false,
		"nginx:edge":                         true,
		"nginx:latest-1":                     false,
		"example.com:5000/latest:1":          false,
		"example.com/latest/nginx:1":         false,
		"nginx@" + digest:                    false,
		"nginx:latest@" + digest:             false,
		"example.com:5000/nginx@" + digest:   false,
		"example.com:5000/nginx:1@" + digest: false,
		"":                                   false,
	} {
		if got := fails(t, "no-latest-tag", map[string]any{"tags": []any{"latest", "edge"}}, image)[0]; got != bad {
			t.Errorf("%q: failed is %t", image, got)
		}
	}
}

func TestDigests(t *testing.T) {
	for image, bad := range map[string]bool{
		"nginx:1":                                 true,
		"nginx@sha256:0123":                       true,
		"nginx@" + digest + "0":                   true,
		"nginx@md5:" + digest[7:]:                 true,
		"nginx@" + digest:                         false,
		"a.b:5000/c/d:1@" + digest:                false,
		"nginx@sha512:" + digest[7:] + digest[7:]: false,
		"": false,
	} {
		if got := fails(t, "pinned-digest", nil, image)[0]; got != bad {
			t.Errorf("%q: failed is %t", image, got)
		}
	}
}
