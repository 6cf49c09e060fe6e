package overlay

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
)

// refusing lets nothing through: what kustomize itself would fetch, it does not.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// FuzzPlan takes any kustomization file and any patch that a run before may have
// left: where it builds, a change of each object is refused or is exactly what
// the build then gives, and no comment is lost.
func FuzzPlan(f *testing.F) {
	const entry = "patches:\n- path: bulkhead-deployment-web.yaml # ours\n  target: {group: apps, version: v1, kind: Deployment, name: web}\n"
	f.Add("resources: [../base]\n", "")
	f.Add("# top\nresources:\n- ../base # why\n"+entry+"namePrefix: a-\n", header+"- {op: add, path: /spec/x, value: 1} # x\n")
	f.Add("resources: [../base]\n"+entry+"- target: {kind: .*}\n  patch: |-\n    - op: add\n      path: /spec/template\n      value: &a {spec: {containers: [{name: x}]}}\n", header+"[]\n")
	f.Add("bases: &b [../base]\nlabels: [{pairs: {x: z}, includeSelectors: true}]\nimages: [{name: web, newTag: x}]\n", header+"x: 1\n")
	f.Add("{\"resources\": [\"../base\"], \"PATCHES\": null, \"nameSuffix\": \"-x\", \"configMapGenerator\": [{\"name\": \"c\"}]}", headerMark)
	f.Add("kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [../base]\r\n...\n---\nx\n", "")
	f.Setenv("PATH", "")
	http.DefaultTransport = refusing{}
	f.Fuzz(func(t *testing.T, text, left string) {
		tree := one("", deployment, service).and("top/kustomization.yaml", text)
		if text == "" || strings.Contains(text, "://") {
			return
		}
		if left != "" {
			tree = tree.and("top/bulkhead-deployment-web.yaml", left)
		}
		before, err := tree.tryBuild("top")
		if err != nil {
			return
		}
		var wanted []fix.Change
		for i, content := range before {
			o, ok := model.NewObject(content, nil, model.Source{})
			if !ok || model.Get(content, "metadata") == nil {
				return
			}
			c := fix.Change{Object: o}
			after := apply(runtime.DeepCopyJSON(prune(content)), add("/metadata/labels", map[string]any{"wanted": fmt.Sprint(i)}))
			if o.Kind == "Deployment" {
				after = apply(after, add(pod+"/containers/0/tty", true))
			}
			c.Edits, c.After = fix.Difference(prune(content), after), after
			wanted = append(wanted, c)
		}
		k := tree.kustomization(t, "top", "top")
		r, err := Plan(t.Context(), k, wanted)
		if err != nil {
			return
		}
		verify(t, tree, "top", before, wanted, r, true)
		for path, content := range r.Files {
			for _, comment := range []string{"# top", "# why", "# ours", "# x"} {
				if strings.Contains(tree[path], comment) && !strings.Contains(string(content), comment) {
					t.Errorf("%s loses %s", path, comment)
				}
			}
		}
		if t.Failed() {
			t.Logf("%q\n%q\n%v\n%s", text, left, r.Refused, texts(r))
		}
	})
}

// tryBuild is build where kustomize panics on odd input.
func (f tree) tryBuild(dir string) (objects []map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize: %v", r)
		}
	}()
	return f.build(dir)
}
