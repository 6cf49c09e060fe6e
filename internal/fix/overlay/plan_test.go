package overlay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: server
        image: web:1
        ports: [{containerPort: 80}]
      - name: sidecar
        image: sidecar:1
        securityContext:
          privileged: true
          capabilities:
            add: [NET_ADMIN, SYS_ADMIN]
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
`

const role = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: web
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list]
- apiGroups: [""]
  resources: [pods]
  verbs: ["*"]
`

const base = "resources:\n- all.yaml\n"

const pod = "/spec/template/spec"

// hardened is what most fixes are like.
var hardened = []finding.Edit{
	add(pod+"/containers/0/securityContext", map[string]any{"runAsNonRoot": true}),
	replace(pod+"/containers/1/securityContext/privileged", false),
	add(pod+"/automountServiceAccountToken", false),
}

// one makes a base with some objects and an overlay of it.
func one(top string, objects ...string) tree {
	return tree{"base/kustomization.yaml": base, "base/all.yaml": strings.Join(objects, "---\n"), "top/kustomization.yaml": "resources:\n- ../base\n" + top}
}

func (f tree) and(path, content string) tree {
	out := maps.Clone(f)
	out[path] = content
	return out
}

func TestPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		tree   tree
		object string
		edits  []finding.Edit
		// refused is in the reason; where partly is set, the rest is made.
		refused string
		partly  bool
		// texts are in the files.
		texts []string
	}{
		"overlay": {tree: one("", deployment, service), object: "Deployment web", edits: hardened, texts: []string{
			"# top/bulkhead-deployment-web.yaml\n# Written by bulkhead fix.", "path: " + pod + "/containers/0/name\n  value: server", "op: test",
			"name: web", "group: apps", "version: v1", "path: bulkhead-deployment-web.yaml",
		}},
		"own resources": {tree: tree{"top/kustomization.yaml": "resources: [all.yaml]\n", "top/all.yaml": deployment}, object: "Deployment web", edits: hardened},
		"prefix and namespace": {tree: one("namePrefix: a-\nnameSuffix: -z\nnamespace: shop\n", deployment, service), object: "Deployment a-web-z", edits: hardened,
			texts: []string{"name: web\n"}},
		"prefix below":       {tree: one("namePrefix: a-\n", deployment).and("base/kustomization.yaml", base+"namePrefix: b-\n"), object: "Deployment a-b-web", edits: hardened, texts: []string{"name: b-web\n"}},
		"labels and more":    {tree: one("labels: [{pairs: {tier: x}, includeSelectors: true, includeTemplates: true}]\ncommonAnnotations: {note: z}\nreplicas: [{name: web, count: 3}]\nimages: [{name: web, newTag: \"2\"}]\n", deployment), object: "Deployment web", edits: hardened},
		"beside a label":     {tree: one("labels: [{pairs: {tier: x}}]\n", deployment), object: "Deployment web", edits: []finding.Edit{add("/metadata/labels/owner", "me")}, texts: []string{"path: /metadata/labels\n  value:\n    owner: me"}},
		"beside annotations": {tree: one("commonAnnotations: {note: z}\n", deployment), object: "Deployment web", edits: []finding.Edit{add("/metadata/annotations/owner~1x", "yes"), add(pod[:14]+"/metadata/annotations/a", "1")}, texts: []string{`owner/x: "yes"`}},
		"component":          {tree: one("components: [../part]\n", deployment).and("part/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/template/spec/hostNetwork\", \"value\": true}]'\n"), object: "Deployment web", edits: []finding.Edit{remove(pod + "/hostNetwork")}},
		"nested": {tree: one("", deployment).and("mid/kustomization.yaml", "resources: [../base]\nnamePrefix: mid-\npatches:\n- {path: p.yaml}\n").and("mid/p.yaml", deployment+"        readinessProbe: {tcpSocket: {port: 80}}\n").
			and("top/kustomization.yaml", "namespace: shop\nresources: [../mid]\n"), object: "Deployment mid-web", edits: hardened},
		"items added by a patch": {tree: one("patches:\n- path: p.yaml\n", deployment).and("top/p.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: first, image: x}]}}}\n"), object: "Deployment web",
			edits: []finding.Edit{add(pod+"/containers/2/tty", true)}},
		"item inserted later": {tree: one("patchesJson6902:\n- path: p.yaml\n  target: {group: apps, version: v1, kind: Deployment, name: web}\n", deployment).and("top/p.yaml", "- {op: add, path: /spec/template/spec/containers/0, value: {name: late, image: x}}\n"),
			object: "Deployment web", edits: []finding.Edit{add(pod+"/containers/2/tty", true)}, texts: []string{"path: " + pod + "/containers/1/tty", "value: sidecar"}},
		"edits of the late item": {tree: one("patchesJson6902:\n- path: p.yaml\n  target: {group: apps, version: v1, kind: Deployment, name: web}\n", deployment).and("top/p.yaml", "- {op: add, path: /spec/template/spec/containers/0, value: {name: late, image: x}}\n"),
			object: "Deployment web", edits: []finding.Edit{add(pod+"/containers/0/tty", true)}, refused: "is not there yet where a patch gets the object; what runs after the patches in top/kustomization.yaml may set it: patchesJson6902"},
		"set again later": {tree: one("patchesJson6902:\n- path: p.yaml\n  target: {group: apps, version: v1, kind: Deployment, name: web}\n", deployment).and("top/p.yaml", "- {op: add, path: /spec/template/spec/hostPID, value: true}\n- {op: replace, path: /spec/template/spec/containers/0/image, value: late}\n"),
			object: "Deployment web", edits: []finding.Edit{replace(pod+"/hostPID", false)}, refused: "the build does not give what is wanted at " + pod + "/hostPID"},
		"scalars of a list":   {tree: one("", deployment), object: "Deployment web", edits: []finding.Edit{remove(pod + "/containers/1/securityContext/capabilities/add/1"), add(pod+"/containers/1/securityContext/capabilities/drop", []any{"ALL"})}, texts: []string{"capabilities/add/1\n  value: SYS_ADMIN"}},
		"items without names": {tree: one("", role), object: "Role web", edits: []finding.Edit{remove("/rules/0/verbs/1"), replace("/rules/1/verbs", []any{"get"}), add("/rules/1/resourceNames", []any{"x"})}, texts: []string{"path: /rules/1/verbs\n  value:\n  - '*'", "path: /rules/1\n"}},
		"removed items":       {tree: one("", deployment), object: "Deployment web", edits: []finding.Edit{remove(pod + "/containers/0"), add(pod+"/containers/0/tty", true)}, texts: []string{"value: server", "value: sidecar"}},
		"appended":            {tree: one("", deployment), object: "Deployment web", edits: []finding.Edit{add(pod+"/containers/2", map[string]any{"name": "third", "image": "x"}), add(pod+"/containers/0", map[string]any{"name": "zeroth", "image": "x"})}},
		"image":               {tree: one("images: [{name: web, newTag: \"2\"}]\n", deployment), object: "Deployment web", edits: []finding.Edit{replace(pod+"/containers/0/image", "web:3")}, refused: pod + "/containers/0/image is set by images in top/kustomization.yaml; edit it there"},
		"image and more":      {tree: one("images: [{name: web, newTag: \"2\"}]\n", deployment), object: "Deployment web", edits: append([]finding.Edit{replace(pod+"/containers/0/image", "web:3")}, hardened...), refused: "is set by images", partly: true, texts: []string{"runAsNonRoot"}},
		"other image":         {tree: one("images: [{name: web, newTag: \"2\"}]\n", deployment), object: "Deployment web", edits: []finding.Edit{replace(pod+"/containers/1/image", "sidecar:3")}},
		"replicas":            {tree: one("replicas: [{name: web, count: 1}]\n", deployment), object: "Deployment web", edits: []finding.Edit{replace("/spec/replicas", int64(2))}, refused: "/spec/replicas is set by replicas in top/kustomization.yaml"},
		"label set here":      {tree: one("labels: [{pairs: {tier: x}}]\n", service), object: "Service web", edits: []finding.Edit{remove("/metadata/labels/tier")}, refused: "is set by labels"},
		"generated":           {tree: one("configMapGenerator: [{name: c, literals: [a=b]}]\n", service), object: "ConfigMap c-4h2mbtbbt6", edits: []finding.Edit{add("/metadata/labels", map[string]any{"x": "y"})}, texts: []string{"name: c\n"}},
		"generated data":      {tree: one("configMapGenerator: [{name: c, literals: [a=b]}]\n", service), object: "ConfigMap c-4h2mbtbbt6", edits: []finding.Edit{replace("/data/a", "c")}, refused: "its name would change"},
		"two bases": {tree: tree{"base/kustomization.yaml": base, "base/all.yaml": deployment, "a/kustomization.yaml": "namePrefix: a-\nresources: [../base]\n", "b/kustomization.yaml": "namePrefix: b-\nresources: [../base]\n", "top/kustomization.yaml": "resources: [../a, ../b]\n"},
			object: "Deployment a-web", edits: hardened},
		"two namespaces":      {tree: one("", service, strings.Replace(service, "name: web", "name: web\n  namespace: x", 1)), object: "Service <nil>/web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}, texts: []string{"namespace: default"}},
		"two groups":          {tree: one("", service, strings.Replace(service, "apiVersion: v1", "apiVersion: serving.knative.dev/v1", 1)), object: "Service web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}, texts: []string{"group: ^$"}},
		"name with dots":      {tree: one("", strings.Replace(service, "name: web", "name: web.x", 1), strings.Replace(service, "name: web", "name: web-x", 1)), object: "Service web.x", edits: []finding.Edit{add("/spec/type", "ClusterIP")}, texts: []string{`name: web\.x`}},
		"list of objects":     {tree: one("", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {}}\n"), object: "Service web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}},
		"null fields":         {tree: one("", strings.Replace(service, "name: web", "name: web\n  labels:\n  creationTimestamp: null", 1)), object: "Service web", edits: []finding.Edit{add("/metadata/labels", map[string]any{"a": "b"})}},
		"strings like others": {tree: one("", service), object: "Service web", edits: []finding.Edit{add("/metadata/annotations", map[string]any{"a": "yes", "b": "012", "c": "1e3", "d": "null", "e": "~", "f": "", "g": "on", "h": "2001-01-01", "i": " x: y #z\n"})}},
		"build metadata":      {tree: one("buildMetadata: [originAnnotations, transformerAnnotations]\nnamePrefix: a-\n", deployment, service), object: "Deployment a-web", edits: hardened},
		"another name":        {tree: one("", service), object: "Service web", edits: []finding.Edit{replace("/metadata/name", "x")}, refused: "it would change what the object is called"},
		"empty list":          {tree: one("patches: []\n", service), object: "Service web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}},
		"field in capitals":   {tree: one("Patches:\n- target: {kind: Service}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/x\", \"value\": 1}]'\n", service), object: "Service web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}, texts: []string{"Patches:"}},
		"not ours":            {tree: one("", service).and("top/bulkhead-service-web.yaml", "mine\n"), object: "Service web", edits: []finding.Edit{add("/spec/type", "ClusterIP")}, texts: []string{"# top/bulkhead-service--web.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := tt.tree.build("top")
			if err != nil {
				t.Fatal(err)
			}
			wanted := []fix.Change{change(t, built(t, before, tt.object), tt.edits...)}
			r, err := Plan(t.Context(), tt.tree.kustomization(t, "top", "top"), wanted)
			if err != nil {
				t.Fatal(err)
			}
			if tt.refused == "" != (r.Refused[0] == "") || !strings.Contains(r.Refused[0], tt.refused) {
				t.Errorf("refused: %q, want %q", r.Refused[0], tt.refused)
			}
			if made := len(r.Files) > 0; made != (tt.refused == "" || tt.partly) {
				t.Errorf("files: %v", texts(r))
			}
			for _, want := range tt.texts {
				if !strings.Contains(texts(r), want) {
					t.Errorf("no %q in\n%s", want, texts(r))
				}
			}
			verify(t, tt.tree, "top", before, wanted, r, tt.partly)
			if t.Failed() {
				t.Log(texts(r))
			}
		})
	}
}

// TestKustomizationFileIsKept: of the kustomization file nothing goes, however it
// is written.
func TestKustomizationFileIsKept(t *testing.T) {
	for name, text := range map[string]string{
		"comments":      "# top\nresources: # what\n- ../base # why\n\n# middle\nnamePrefix: a- # prefix\n# end\n",
		"patches":       "# top\nresources:\n  - ../base # why\npatches: # all\n  # one\n  - patch: |- # text\n      # inside\n      - op: add\n        path: /spec/x\n        value: 1\n    target: {kind: Service} # who\n  # two\nnamePrefix: a- # prefix\n",
		"flow":          "resources: [../base] # why\npatches: [{target: {kind: Service}, patch: \"[{\\\"op\\\": \\\"add\\\", \\\"path\\\": \\\"/spec/x\\\", \\\"value\\\": 1}]\"}] # flow\n# end\n",
		"windows":       "# top\r\nresources:\r\n- ../base # why\r\n# end\r\n",
		"json":          "{\"resources\": [\"../base\"], \"namePrefix\": \"a-\"}\n",
		"no line break": "resources:\n- ../base # why",
		"documents":     "# top\n---\nresources:\n- ../base # why\n...\n",
		"deprecated":    "bases: # old\n- ../base\npatchesStrategicMerge: # older\n- |-\n  apiVersion: v1\n  kind: Service\n  metadata: {name: web}\n  spec: {x: 1} # x\n",
		"null":          "resources: [../base]\npatches: # none yet\nnamePrefix: a-\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := one("", deployment, service).and("top/kustomization.yaml", text)
			before, err := f.build("top")
			if err != nil {
				t.Fatal(err)
			}
			var wanted []fix.Change
			for _, o := range before {
				wanted = append(wanted, change(t, o, add("/metadata/labels", map[string]any{"a": "b"})))
			}
			r, err := Plan(t.Context(), f.kustomization(t, "top", "top"), wanted)
			if err != nil || len(r.Refused) > 0 {
				t.Fatalf("got %v, %v", r, err)
			}
			verify(t, f, "top", before, wanted, r, false)
			rest := text
			for _, c := range r.Files["top/kustomization.yaml"] {
				if rest != "" && rest[0] == c {
					rest = rest[1:]
				}
			}
			if rest != "" {
				t.Errorf("%q is gone, or has moved, in\n%s", rest, r.Files["top/kustomization.yaml"])
			}
		})
	}
}

// TestComponentOfAnother patches a component by building what takes it in.
func TestComponentOfAnother(t *testing.T) {
	f := one("namePrefix: a-\nnamespace: shop\nlabels: [{pairs: {x: z}}]\ncomponents: [../part]\n", deployment, service).
		and("part/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -part\n")
	before, err := f.build("top")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []fix.Change{change(t, built(t, before, "Deployment a-web-part"), append(hardened, add("/metadata/labels/own", "z"))...)}
	r, err := Plan(t.Context(), f.kustomization(t, "part", "top"), wanted)
	if err != nil || len(r.Refused) > 0 || len(r.Files) != 2 {
		t.Errorf("got %v, %v", r, err)
	}
	verify(t, f, "top", before, wanted, r, false)
	for path := range r.Files {
		if !strings.HasPrefix(path, "part/") {
			t.Errorf("%s is written", path)
		}
	}
}

// TestRunsAfterEachOther extends what a run before left, keeps what a person
// added to it, and changes nothing where nothing is wanted.
func TestRunsAfterEachOther(t *testing.T) {
	f := one("namePrefix: a-\nimages:\n- {name: web, newTag: \"2\"}\n", deployment, service)
	plan := func(edits ...finding.Edit) *fix.Result {
		t.Helper()
		before, err := f.build("top")
		if err != nil {
			t.Fatal(err)
		}
		var wanted []fix.Change
		if edits != nil {
			wanted = []fix.Change{change(t, built(t, before, "Deployment a-web"), edits...)}
		}
		r, err := Plan(t.Context(), f.kustomization(t, "top", "top"), wanted)
		if err != nil || len(r.Refused) > 0 {
			t.Fatalf("got %v, %v", r, err)
		}
		verify(t, f, "top", before, wanted, r, false)
		return r
	}
	f = f.with(plan(hardened...).Files)
	const file = "top/bulkhead-deployment-web.yaml"
	f[file] += "- {op: add, path: /spec/paused, value: true} # by hand\n"
	f["top/kustomization.yaml"] = strings.Replace(f["top/kustomization.yaml"], "resources:", "# kept\nresources:", 1)
	f["top/p.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: first, image: x}]}}}\n"
	more := plan(add("/spec/minReadySeconds", int64(5)))
	if got := slices.Sorted(maps.Keys(more.Files)); !slices.Equal(got, []string{file}) {
		t.Errorf("the second run writes %v", got)
	}
	if got := string(more.Files[file]); !strings.HasPrefix(got, f[file]) || strings.Contains(strings.TrimPrefix(got, f[file]), "test") {
		t.Errorf("the second run does not add to\n%s\nbut makes\n%s", f[file], got)
	}
	f = f.with(more.Files)
	if r := plan(); len(r.Files) > 0 {
		t.Errorf("a run with nothing wanted writes %s", texts(r))
	}
	if r := plan(replace("/spec/paused", true)); len(r.Files) > 0 {
		t.Errorf("a run that wants what is there writes %s", texts(r))
	}
	// A patch behind ours puts another container before those that it knows.
	f["top/kustomization.yaml"] += indentOf(f["top/kustomization.yaml"]) + "- path: p.yaml\n"
	r := plan(add(pod+"/containers/2/tty", true))
	if got := string(r.Files[file]); len(r.Files) != 1 || !strings.Contains(got, "path: "+pod+"/containers/1/tty") {
		t.Errorf("a container that has another index later: %s", texts(r))
	}
	f = f.with(r.Files)
	r = plan(add(pod+"/containers/0/tty", true))
	if got := string(r.Files["top/bulkhead-deployment--web.yaml"]); len(r.Files) != 2 || !strings.Contains(got, "value: first") {
		t.Errorf("a container that comes later: %s", texts(r))
	}
}

// indentOf is how far the items of patches, the last field, stand in.
func indentOf(text string) string {
	_, list, _ := strings.Cut(text, "patches:\n")
	return list[:strings.IndexByte(list, '-')]
}

// TestOneOfMany: what fails does not take the others along.
func TestOneOfMany(t *testing.T) {
	f := one("configMapGenerator: [{name: c, literals: [a=b]}]\nimages: [{name: web, newTag: \"2\"}]\npatchesJson6902:\n- path: p.yaml\n  target: {version: v1, kind: Service, name: web}\n", deployment, service, role).
		and("top/p.yaml", "- {op: test, path: /spec/selector, value: {app: web}}\n")
	before, err := f.build("top")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []fix.Change{
		change(t, built(t, before, "Service web"), add("/spec/selector/x", "y")), // breaks the build
		change(t, built(t, before, "Deployment web"), append([]finding.Edit{replace(pod+"/containers/0/image", "web:3")}, hardened...)...),
		change(t, built(t, before, "ConfigMap c-4h2mbtbbt6"), replace("/data/a", "c")), // changes its name
		change(t, built(t, before, "Role web"), remove("/rules/0")),
	}
	r, err := Plan(t.Context(), f.kustomization(t, "top", "top"), wanted)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"the build fails with a patch of it", "set by images", "its name would change", ""} {
		if (want == "") != (r.Refused[i] == "") || !strings.Contains(r.Refused[i], want) {
			t.Errorf("change %d: refused %q, want %q", i, r.Refused[i], want)
		}
	}
	if got := slices.Sorted(maps.Keys(r.Files)); !slices.Equal(got, []string{"top/bulkhead-deployment-web.yaml", "top/bulkhead-role-web.yaml", "top/kustomization.yaml"}) {
		t.Errorf("files %v", got)
	}
	wanted[1] = change(t, built(t, before, "Deployment web"), hardened...)
	delete(r.Refused, 1)
	verify(t, f, "top", before, wanted, r, false)
}

// TestPatchesFailLoudly: where another item gets the index of the one that a patch
// is for, the build fails and says where.
func TestPatchesFailLoudly(t *testing.T) {
	for name, tt := range map[string]struct {
		object, content, changed, want string
		edits                          []finding.Edit
	}{
		"containers": {"Deployment web", deployment, strings.Replace(deployment, "      - name: server", "      - name: proxy\n      - name: server", 1), "containers/0/name", hardened},
		"rules":      {"Role web", role, strings.Replace(role, "rules:\n", "rules:\n- {apiGroups: [apps], resources: [deployments], verbs: [get]}\n", 1), "rules/1/verbs", []finding.Edit{replace("/rules/1/verbs", []any{"get"})}},
		"scalars":    {"Deployment web", deployment, strings.Replace(deployment, "[NET_ADMIN, SYS_ADMIN]", "[SYS_TIME, NET_ADMIN]", 1), "capabilities/add/1", []finding.Edit{remove(pod + "/containers/1/securityContext/capabilities/add/1")}},
	} {
		t.Run(name, func(t *testing.T) {
			f := one("", tt.content)
			before, err := f.build("top")
			if err != nil {
				t.Fatal(err)
			}
			r, err := Plan(t.Context(), f.kustomization(t, "top", "top"), []fix.Change{change(t, built(t, before, tt.object), tt.edits...)})
			if err != nil || len(r.Refused) > 0 {
				t.Fatalf("got %v, %v", r, err)
			}
			_, err = f.with(r.Files).and("base/all.yaml", tt.changed).build("top")
			if err == nil || !strings.Contains(err.Error(), "test") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPlanErrors(t *testing.T) {
	f := one("", service)
	before, err := f.build("top")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []fix.Change{change(t, before[0], add("/spec/type", "ClusterIP"))}
	k := f.kustomization(t, "top", "top")
	k.File = "base/kustomization.yaml"
	if _, err := Plan(t.Context(), k, wanted); err == nil || !strings.Contains(err.Error(), "is not in that folder") {
		t.Errorf("a file of another folder: %v", err)
	}
	k = f.kustomization(t, "top", "top")
	k.Render = func(context.Context, map[string][]byte) ([]map[string]any, error) { return nil, errors.New("x\x1b") }
	if _, err := Plan(t.Context(), k, wanted); err == nil || !strings.Contains(err.Error(), "build the kustomization top") {
		t.Errorf("a kustomization that does not build: %v", err)
	}
	for _, text := range []string{"- x\n", "patches: {}\n", "a: b: c\n", "patches: []\nPatches: []\n", ""} {
		k = f.kustomization(t, "top", "top")
		k.Text = []byte(text)
		if _, err := Plan(t.Context(), k, wanted); err == nil {
			t.Errorf("%q is taken as a kustomization", text)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Plan(ctx, f.kustomization(t, "top", "top"), wanted); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// TestRefused: what cannot be found as it was is not touched.
func TestRefused(t *testing.T) {
	f := one("", service)
	before, err := f.build("top")
	if err != nil {
		t.Fatal(err)
	}
	edit := add("/spec/type", "ClusterIP")
	other := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "x"}, "spec": map[string]any{}}
	nameless := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"generateName": "x-"}, "spec": map[string]any{}}
	stale := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "web"}, "spec": map[string]any{}}
	wrong := change(t, before[0], edit)
	wrong.After = before[0]
	wanted := []fix.Change{change(t, other, edit), change(t, nameless, edit), change(t, stale, edit), wrong, change(t, before[0], edit), change(t, before[0], edit), {},
		{Object: wrong.Object, Edits: []finding.Edit{{Op: "add", Value: before[0]}}, After: before[0]}, {Object: wrong.Object, Edits: []finding.Edit{{Op: "move", From: "/spec", Path: "/x"}}}}
	r, err := Plan(t.Context(), f.kustomization(t, "top", "top"), wanted)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"does not build it", "has no name", "changed since it was read", "do not give what is wanted", "", "another change of the same object", "no object", "no change of a field", "no change of a field"} {
		if (want == "") != (r.Refused[i] == "") || !strings.Contains(r.Refused[i], want) {
			t.Errorf("change %d: refused %q, want %q", i, r.Refused[i], want)
		}
	}
	verify(t, f, "top", before, wanted[4:5], &fix.Result{Files: r.Files}, false)
}
