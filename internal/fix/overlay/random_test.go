package overlay

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/model"
)

// randomObjects are a base's, in one file. Names repeat between kinds.
func randomObjects(r *rand.Rand) string {
	var all []string
	for i := range 1 + r.IntN(3) {
		d := fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: o%d\nspec:\n  replicas: %d\n  selector: {matchLabels: {app: o}}\n  template:\n    metadata: {labels: {app: o}}\n    spec:\n      containers:\n", i, r.IntN(3))
		for c := range 1 + r.IntN(3) {
			d += fmt.Sprintf("      - name: c%d\n        image: i%d:1\n", c, r.IntN(3))
			if r.IntN(2) == 0 {
				d += "        securityContext: {privileged: true, capabilities: {add: [A, B, C]}}\n"
			}
			if r.IntN(2) == 0 {
				d += "        ports: [{containerPort: 80}, {containerPort: 81}]\n        args: [-a, -b]\n"
			}
		}
		all = append(all, d)
		if r.IntN(2) == 0 {
			all = append(all, strings.ReplaceAll(service, "name: web", fmt.Sprintf("name: o%d", i)))
		}
		if r.IntN(2) == 0 {
			all = append(all, strings.ReplaceAll(role, "name: web", fmt.Sprintf("name: o%d.x", i)))
		}
		if r.IntN(3) == 0 {
			all = append(all, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: o%d\n  namespace: else\ndata: {a: \"yes\", b: \"1\"}\n", i))
		}
	}
	return strings.Join(all, "---\n")
}

// randomLayer is a kustomization of another, with files of its folder.
func randomLayer(r *rand.Rand, dir string, kind string, resources ...string) tree {
	f := tree{}
	text := fmt.Sprintf("apiVersion: kustomize.config.k8s.io/%s # version\nkind: %s\n", map[string]string{"Kustomization": "v1beta1", "Component": "v1alpha1"}[kind], kind)
	if len(resources) > 0 {
		text += fmt.Sprintf("resources: # what it is made of\n- %s\n", strings.Join(resources, "\n- "))
	}
	f[dir+"/add.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: any}\nspec: {template: {spec: {containers: [{name: " + dir + ", image: i0}], hostPID: true}}}\n"
	f[dir+"/insert.yaml"] = "- {op: add, path: /spec/template/spec/containers/0, value: {name: late-" + dir + ", image: i1}}\n"
	parts := []string{
		"namePrefix: " + dir + "-\n",
		"nameSuffix: -" + dir + "\n",
		"namespace: ns-" + dir + "\n",
		"labels:\n- pairs: {" + dir + ": x} # a label\n",
		"labels: [{pairs: {" + dir + ": x}, includeSelectors: true, includeTemplates: true}]\n",
		"commonAnnotations: {" + dir + ": z}\n",
		"images:\n- {name: i0, newTag: " + dir + "}\n",
		"replicas: [{name: o0, count: 2}]\n",
		"patches:\n- path: add.yaml\n  target: {kind: Deployment}\n",
		"patches: [{path: add.yaml, target: {kind: Deployment, name: o0}}]\n",
		"patches:\n  # one more container\n  - {path: insert.yaml, target: {kind: Deployment, name: o1}}\n",
		"patchesJson6902:\n- path: insert.yaml\n  target: {group: apps, version: v1, kind: Deployment, name: o0}\n",
		"configMapGenerator:\n- {name: g-" + dir + ", literals: [a=b]}\n",
		"transformers:\n- |-\n  apiVersion: builtin\n  kind: AnnotationsTransformer\n  metadata: {name: x}\n  annotations: {by: transformer}\n  fieldSpecs: [{path: metadata/annotations, create: true}, {path: spec/template/metadata/annotations, create: true, kind: Deployment}]\n",
	}
	seen := map[string]bool{}
	for range 1 + r.IntN(5) {
		part := parts[r.IntN(len(parts))]
		if field, _, _ := strings.Cut(part, ":"); !seen[field] {
			seen[field] = true
			text += part
		}
	}
	f[dir+"/kustomization.yaml"] = text
	return f
}

// randomTree is a top over one or two others, and a component sometimes.
func randomTree(r *rand.Rand) tree {
	f := tree{"base/kustomization.yaml": base, "base/all.yaml": randomObjects(r)}
	below := []string{"../base"}
	switch r.IntN(4) {
	case 0:
		maps.Copy(f, randomLayer(r, "mid", "Kustomization", "../base"))
		below = []string{"../mid"}
	case 1: // the same base twice
		f["a/kustomization.yaml"] = "namePrefix: a-\nresources: [../base]\n"
		f["b/kustomization.yaml"] = "namePrefix: b-\nresources: [../base]\n"
		below = []string{"../a", "../b"}
	}
	maps.Copy(f, randomLayer(r, "top", "Kustomization", below...))
	if r.IntN(2) == 0 {
		maps.Copy(f, randomLayer(r, "part", "Component"))
		f["top/kustomization.yaml"] += "components: [../part]\n"
	}
	return f
}

// mutate changes a few places of a value at random.
func mutate(r *rand.Rand, v any, depth int) any {
	values := []any{"x", "yes", "012", int64(7), true, map[string]any{"k": "v"}, []any{"a"}}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		keys := slices.Sorted(maps.Keys(v))
		switch n := r.IntN(8); {
		case n == 0 && depth > 1:
			out[fmt.Sprintf("new/%d", r.IntN(3))] = values[r.IntN(len(values))]
		case n == 1 && depth > 1 && len(keys) > 0:
			delete(out, keys[r.IntN(len(keys))])
		case len(keys) > 0:
			k := keys[r.IntN(len(keys))]
			if depth == 0 {
				k = []string{"spec", "spec", "rules", "data", "metadata"}[r.IntN(5)]
			}
			if out[k] != nil && k != "name" && k != "namespace" {
				out[k] = mutate(r, out[k], depth+1)
				if m, ok := out[k].(map[string]any); ok && slices.Contains([]string{"labels", "annotations", "matchLabels", "data"}, k) {
					for name, v := range m {
						m[name] = fmt.Sprint(v)
					}
				}
			}
		}
		return out
	case []any:
		out := slices.Clone(v)
		switch n := r.IntN(5); {
		case n == 0:
			return slices.Insert(out, r.IntN(len(out)+1), any(map[string]any{"name": fmt.Sprint("n", r.IntN(100))}))
		case n == 1 && len(out) > 1:
			i := r.IntN(len(out))
			return slices.Delete(out, i, i+1)
		case len(out) > 0:
			i := r.IntN(len(out))
			out[i] = mutate(r, out[i], depth+1)
		}
		return out
	}
	return values[r.IntN(4)]
}

// randomChanges wants something of some objects.
func randomChanges(r *rand.Rand, t *testing.T, objects []map[string]any) []fix.Change {
	var wanted []fix.Change
	for _, o := range objects {
		after := runtime.DeepCopyJSON(prune(o))
		for range r.IntN(5) {
			after = mutate(r, after, 0).(map[string]any)
		}
		if edits := fix.Difference(prune(o), after); len(edits) > 0 {
			object, ok := model.NewObject(o, nil, model.Source{})
			if !ok {
				t.Fatal(o)
			}
			wanted = append(wanted, fix.Change{Object: object, Edits: edits, After: after})
		}
	}
	return wanted
}

// seeds is how many trees the test makes.
const seeds = 25

// TestRandom: whatever is wanted of whatever is built, either it is refused, or
// the build gives exactly it and nothing else. What was made is there for a
// second run, which changes nothing.
func TestRandom(t *testing.T) {
	made, refused, builds := 0, map[string]int{}, 0
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := randomTree(r)
		dir := "top"
		if _, ok := f["part/kustomization.yaml"]; ok && r.IntN(3) == 0 {
			dir = "part"
		}
		for run := range 3 {
			before, err := f.build("top")
			if err != nil {
				if run > 0 {
					t.Errorf("seed %d: what a run before left does not build: %v", seed, err)
				}
				break
			}
			wanted := randomChanges(r, t, before)
			k := f.kustomization(t, dir, "top")
			render := k.Render
			k.Render = func(ctx context.Context, files map[string][]byte) ([]map[string]any, error) {
				builds++
				return render(ctx, files)
			}
			result, err := Plan(t.Context(), k, wanted)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			verify(t, f, "top", before, wanted, result, true)
			for i := range wanted {
				if why := result.Refused[i]; why != "" {
					refused[reason(why)]++
				} else {
					made++
				}
			}
			next := f.with(result.Files)
			checkAgain(t, next, dir, wanted, result)
			for path := range f {
				if _, ours := result.Files[path]; ours && path != k.File && !strings.Contains(path, "/"+namePrefix) {
					t.Errorf("%s is written", path)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, run %d: %s\nrefused %v\n%s", seed, run, dump(map[string]string(f)), result.Refused, texts(result))
			}
			f = next
		}
	}
	t.Logf("%d changes made, refused: %v; %d builds", made, refused, builds)
	all := 0
	for why, n := range refused {
		all += n
		if !slices.Contains(refusals, why) {
			t.Errorf("%d times: %s", n, why)
		}
	}
	if made < all || made < 3*seeds {
		t.Errorf("%d changes made, %d refused", made, all)
	}
}

// checkAgain wants what was made once more.
func checkAgain(t *testing.T, f tree, dir string, wanted []fix.Change, r *fix.Result) {
	t.Helper()
	objects, err := f.build("top")
	if err != nil {
		t.Error(err)
		return
	}
	var again []fix.Change
	for i, c := range wanted {
		if r.Refused[i] == "" {
			o, _ := model.NewObject(built(t, objects, called(c.After)), nil, model.Source{})
			again = append(again, fix.Change{Object: o, After: c.After})
		}
	}
	second, err := Plan(t.Context(), f.kustomization(t, dir, "top"), again)
	if err != nil || len(second.Files) > 0 || len(second.Refused) > 0 {
		t.Errorf("a second run: %v, %v", second, err)
	}
}

// refusals are the reasons that there can be; of each change there is one that no
// patch of this kustomization could make.
var refusals = []string{"is set by", "is not there yet", "the build does not give", "its name would change", "the build fails"}

// reason is a refusal without what is different each time.
func reason(why string) string {
	for _, known := range refusals {
		if strings.Contains(why, known) {
			return known
		}
	}
	return why
}
