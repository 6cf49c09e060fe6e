package workload

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func world(t *testing.T, options model.WorldOptions, documents ...string) *model.World {
	t.Helper()
	file := manifest.NewDecoder().Decode(model.Source{File: "x.yaml"}, []byte(strings.Join(documents, "\n---\n")))
	for _, p := range file.Problems {
		t.Fatalf("line %d: %s", p.Location.Line, p.Message)
	}
	return model.NewWorld(file.Objects, options)
}

const restrictedSpec = `{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}},
  containers: [{name: a, image: a, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}`

const baselineSpec = `{containers: [{name: a, image: a}]}`

const privilegedSpec = `{hostPID: true, containers: [{name: a, image: a, securityContext: {privileged: true}}]}`

func namespaceText(name string, labels ...string) string {
	text := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + name + "\n  labels: {"
	for i := 0; i < len(labels); i += 2 {
		text += fmt.Sprintf("pod-security.kubernetes.io/%s: %q, ", labels[i], labels[i+1])
	}
	return text + "}"
}

// objectText is an object of a kind, controlled by another ("Kind/name" of apps/v1
// or batch/v1) where owner is not empty.
func objectText(apiVersion, kind, namespace, name, owner, spec string) string {
	text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n", apiVersion, kind, name, namespace)
	if ownerKind, ownerName, ok := strings.Cut(owner, "/"); ok {
		group := "apps/v1"
		if ownerKind == "Job" || ownerKind == "CronJob" {
			group = "batch/v1"
		}
		text += fmt.Sprintf("  ownerReferences: [{apiVersion: %s, kind: %s, name: %s, controller: true}]\n", group, ownerKind, ownerName)
	}
	switch kind {
	case "Pod":
		return text + "spec: " + spec
	case "CronJob":
		return text + "spec: {jobTemplate: {spec: {template: {spec: " + spec + "}}}}"
	}
	return text + "spec: {template: {spec: " + spec + "}}"
}

func podText(name, owner, spec string) string {
	return objectText("v1", "Pod", "shop", name, owner, spec)
}

func TestLevels(t *testing.T) {
	shop := namespaceText("shop")
	deployment := func(spec string) string { return objectText("apps/v1", "Deployment", "shop", "web", "", spec) }
	tests := map[string]struct {
		documents []string
		version   int
		want      psapi.Level
		pods      int
		blocking  []string
	}{
		"nothing":         {documents: []string{shop}, want: "restricted"},
		"restricted":      {documents: []string{shop, deployment(restrictedSpec)}, want: "restricted", pods: 1},
		"blocks baseline": {documents: []string{shop, deployment(privilegedSpec)}, want: "privileged", pods: 1, blocking: []string{"shop/Deployment/web"}},
		"blocks restricted": {documents: []string{shop, deployment(baselineSpec), podText("other", "", restrictedSpec)},
			want: "baseline", pods: 2, blocking: []string{"shop/Deployment/web"}},
		"only what blocks the next level": {documents: []string{shop, deployment(baselineSpec), podText("agent", "", privilegedSpec)},
			want: "privileged", pods: 2, blocking: []string{"shop/Pod/agent"}},
		"owners count once": {documents: []string{shop, deployment(baselineSpec),
			objectText("apps/v1", "ReplicaSet", "shop", "web-1", "Deployment/web", baselineSpec), podText("web-1-a", "ReplicaSet/web-1", baselineSpec)},
			want: "baseline", pods: 2, blocking: []string{"shop/Deployment/web"}},
		"an old ReplicaSet breaks nothing": {documents: []string{shop, deployment(restrictedSpec),
			objectText("apps/v1", "ReplicaSet", "shop", "web-0", "Deployment/web", privilegedSpec)}, want: "restricted", pods: 1},
		"a pod that was changed on its way in": {documents: []string{shop, deployment(restrictedSpec),
			objectText("apps/v1", "ReplicaSet", "shop", "web-1", "Deployment/web", restrictedSpec), podText("web-1-a", "ReplicaSet/web-1", privilegedSpec)},
			want: "privileged", pods: 2, blocking: []string{"shop/Deployment/web"}},
		"a pod whose owner is not there": {documents: []string{shop, podText("a", "ReplicaSet/gone", baselineSpec)},
			want: "baseline", pods: 1, blocking: []string{"shop/Pod/a"}},
		"owners in a ring": {documents: []string{shop, podText("a", "StatefulSet/b", privilegedSpec),
			objectText("apps/v1", "StatefulSet", "shop", "b", "DaemonSet/c", restrictedSpec), objectText("apps/v1", "DaemonSet", "shop", "c", "StatefulSet/b", restrictedSpec)},
			want: "privileged", pods: 1, blocking: []string{"shop/DaemonSet/c"}},
		"pods that ended": {documents: []string{shop, podText("a", "", privilegedSpec) + "\nstatus: {phase: Succeeded}", podText("b", "", privilegedSpec) + "\nstatus: {phase: Failed}",
			objectText("batch/v1", "Job", "shop", "c", "", privilegedSpec) + "\nstatus: {conditions: [{type: Complete, status: \"True\"}]}"}, want: "restricted"},
		"a running pod": {documents: []string{shop, podText("a", "", privilegedSpec) + "\nstatus: {phase: Running}"},
			want: "privileged", pods: 1, blocking: []string{"shop/Pod/a"}},
		"a CronJob": {documents: []string{shop, objectText("batch/v1", "CronJob", "shop", "c", "", baselineSpec),
			objectText("batch/v1", "Job", "shop", "c-1", "CronJob/c", baselineSpec)}, want: "baseline", pods: 1, blocking: []string{"shop/CronJob/c"}},
		"a custom resource": {documents: []string{shop, objectText("argoproj.io/v1alpha1", "Rollout", "shop", "web", "", baselineSpec)},
			want: "baseline", pods: 1, blocking: []string{"shop/Rollout/web"}},
		"another namespace": {documents: []string{shop, objectText("v1", "Pod", "other", "a", "", privilegedSpec)}, want: "restricted"},
		// 1.34 is the first version that forbids hosts in probes.
		"a label that pins an old version": {documents: []string{namespaceText("shop", "enforce-version", "v1.33"), deployment(probing)}, version: 37, want: "baseline", pods: 1, blocking: []string{"shop/Deployment/web"}},
		"an old cluster":                   {documents: []string{namespaceText("shop", "enforce-version", "latest"), deployment(probing)}, version: 33, want: "baseline", pods: 1, blocking: []string{"shop/Deployment/web"}},
		"a label newer than the cluster":   {documents: []string{namespaceText("shop", "enforce-version", "v1.36"), deployment(probing)}, version: 33, want: "baseline", pods: 1, blocking: []string{"shop/Deployment/web"}},
		"a new cluster":                    {documents: []string{shop, deployment(probing)}, version: 34, want: "privileged", pods: 1, blocking: []string{"shop/Deployment/web"}},
		// Written without a source, a volume is stored as an emptyDir.
		"defaults": {documents: []string{shop, deployment(strings.Replace(restrictedSpec, "{", "{volumes: [{name: v}], ", 1))}, want: "restricted", pods: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			version := test.version
			if version == 0 {
				version = newest
			}
			got := Levels(world(t, model.WorldOptions{}, test.documents...), version)["shop"]
			var blocking []string
			for _, b := range got.Blocking {
				blocking = append(blocking, b.Object.String())
				if len(b.Reasons) == 0 {
					t.Errorf("%s blocks without a reason", b.Object)
				}
			}
			if got.Possible != test.want || got.Pods != test.pods || !slices.Equal(blocking, test.blocking) || got.Unknown != "" {
				t.Errorf("got %s by %d pods, blocked by %v, unknown %q", got.Possible, got.Pods, blocking, got.Unknown)
			}
		})
	}
}

const probing = `{containers: [{name: a, image: a, livenessProbe: {tcpSocket: {host: 10.0.0.1, port: 22}}}]}`

func TestLevelsUnknown(t *testing.T) {
	broken := podText("broken", "", "{containers: {}}")
	got := Levels(world(t, model.WorldOptions{}, namespaceText("shop"), broken), newest)["shop"]
	if !strings.Contains(got.Unknown, "shop/Pod/broken") {
		t.Errorf("a pod that cannot be read: unknown is %q", got.Unknown)
	}
	unread := model.WorldOptions{Live: true, Unobserved: []model.Unobserved{{GroupKind: model.GroupKind{Group: "apps", Kind: "DaemonSet"}, Namespace: "shop", Reason: "forbidden"}}}
	levels := Levels(world(t, unread, namespaceText("shop"), namespaceText("other")), newest)
	if got := levels["shop"].Unknown; !strings.Contains(got, "DaemonSet") || !strings.Contains(got, "forbidden") {
		t.Errorf("a kind that could not be read: unknown is %q", got)
	}
	if got := levels["other"].Unknown; got != "" {
		t.Errorf("another namespace is unknown: %q", got)
	}
}

// TestLevelsOfRandomPods compares levels with the library's evaluator, asked about
// every pod of a namespace.
func TestLevelsOfRandomPods(t *testing.T) {
	t.Parallel()
	g := &generator{Rand: rand.New(rand.NewPCG(5, 6))}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[psapi.Level]int{}
	for n := range 800 {
		version := g.IntN(newest + 1)
		var objects []*model.Object
		refused := map[psapi.Level][]string{}
		for i := range 1 + g.IntN(2) {
			o := g.object(g.pod())
			meta := o.Content["metadata"].(map[string]any)
			meta["name"], meta["namespace"] = fmt.Sprint("x", i), "default"
			o = asObject(o.Content)
			podMeta, spec := stored(t, o)
			objects = append(objects, o)
			for _, level := range []psapi.Level{psapi.LevelBaseline, psapi.LevelRestricted} {
				if !allows(evaluator, level, version, podMeta, spec) {
					refused[level] = append(refused[level], o.Ref().String())
				}
			}
		}
		want, blocking := psapi.LevelRestricted, []string(nil)
		if len(refused[want]) > 0 {
			want, blocking = psapi.LevelBaseline, refused[psapi.LevelRestricted]
		}
		if want == psapi.LevelBaseline && len(refused[want]) > 0 {
			want, blocking = psapi.LevelPrivileged, refused[psapi.LevelBaseline]
		}
		got := Levels(model.NewWorld(objects, model.WorldOptions{}), version)["default"]
		var names []string
		for _, b := range got.Blocking {
			names = append(names, b.Object.String())
		}
		slices.Sort(blocking)
		if got.Possible != want || !slices.Equal(names, blocking) {
			t.Fatalf("namespace %d in 1.%d: got %s blocked by %v, want %s blocked by %v", n, version, got.Possible, names, want, blocking)
		}
		seen[want]++
	}
	if len(seen) != 3 || slices.Min(slices.Collect(maps.Values(seen))) < 10 {
		t.Errorf("levels seen: %v; want many of all three", seen)
	}
	t.Log(seen)
}

// judged runs one of the controls of namespaces and returns what it says, by
// namespace.
func judged(t *testing.T, c *check.Control, w *model.World, settings check.Settings) map[string][]string {
	t.Helper()
	out, err := check.Run(t.Context(), &model.Snapshot{Worlds: []*model.World{w}}, check.Options{
		Controls: []*check.Control{c}, Settings: settings, Version: newest, KeepPasses: true,
		Compile: func(cs []*check.Control, p check.Parameters, v int) (check.ObjectEvaluator, error) {
			return admission.Compile(cs, p, v)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	says := map[string][]string{}
	for _, f := range out.Findings {
		if f.Object.Kind != "Namespace" {
			t.Errorf("a finding about %s", f.Object)
		}
		says[f.Object.Name] = append(says[f.Object.Name], fmt.Sprintf("%s: %s", f.Verdict, f.Message))
	}
	for _, p := range out.Passes {
		says[p.Object.Name] = append(says[p.Object.Name], "pass")
	}
	for name := range says {
		slices.Sort(says[name])
	}
	return says
}

func TestNamespaceControls(t *testing.T) {
	enforced, warned, level := podSecurityEnforced(), podSecurityWarned(), podSecurityLevel()
	files, complete := model.WorldOptions{}, model.WorldOptions{Complete: true}
	strict := check.Settings{Overrides: check.Overrides{Parameters: map[string]map[string]any{
		"pod-security-enforced": {"level": "restricted"}, "pod-security-warned": {"level": "restricted"}}}}
	wrong := check.Settings{Overrides: check.Overrides{Parameters: map[string]map[string]any{
		"pod-security-enforced": {"level": "strict"}, "pod-security-warned": {"level": "strict"}}}}
	orphan := objectText("v1", "Pod", "orphan", "a", "", baselineSpec)
	tests := map[string]struct {
		control   *check.Control
		options   model.WorldOptions
		settings  check.Settings
		documents []string
		want      map[string][]string
	}{
		"no label":      {enforced, files, check.Settings{}, []string{namespaceText("shop")}, map[string][]string{"shop": {"fail: namespace shop enforces no Pod Security level"}}},
		"baseline":      {enforced, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline")}, map[string][]string{"shop": {"pass"}}},
		"not strict":    {enforced, files, strict, []string{namespaceText("shop", "enforce", "baseline")}, map[string][]string{"shop": {"fail: namespace shop enforces baseline, not restricted"}}},
		"system":        {enforced, complete, check.Settings{}, []string{namespaceText("kube-system"), namespaceText("kube-node-lease")}, map[string][]string{}},
		"open world":    {enforced, files, check.Settings{}, []string{orphan}, map[string][]string{}},
		"closed world":  {enforced, complete, check.Settings{}, []string{orphan}, map[string][]string{"orphan": {"fail: namespace orphan enforces no Pod Security level"}}},
		"old version":   {enforced, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline", "enforce-version", "v1.24")}, map[string][]string{"shop": {"pass"}}},
		"no parameter":  {enforced, files, wrong, []string{namespaceText("shop")}, map[string][]string{"shop": {"unknown: parameter level of pod-security-enforced must be one of privileged, baseline, restricted"}}},
		"wrong version": {enforced, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline", "enforce-version", "1.24")}, map[string][]string{"shop": {`fail: label pod-security.kubernetes.io/enforce-version is invalid: Invalid value: "1.24": must be "latest" or "v1.x"`}}},

		"warned by default":  {warned, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline", "audit", "baseline")}, map[string][]string{"shop": {"pass"}}},
		"warned of less":     {warned, files, check.Settings{}, []string{namespaceText("shop", "enforce", "restricted", "audit", "baseline", "warn", "restricted")}, map[string][]string{"shop": {"fail: namespace shop: the audit log does not say what violates restricted (it is told of baseline)"}}},
		"warned of more":     {warned, files, check.Settings{}, []string{namespaceText("shop", "enforce", "privileged", "audit", "restricted", "warn", "restricted")}, map[string][]string{"shop": {"pass"}}},
		"warned, strict":     {warned, files, strict, []string{namespaceText("shop", "audit", "restricted", "warn", "baseline")}, map[string][]string{"shop": {"fail: namespace shop: nobody is warned of what violates restricted (but of baseline)"}}},
		"warned, wrong":      {warned, files, check.Settings{}, []string{namespaceText("shop", "audit", "restricted", "warn", "x")}, map[string][]string{"shop": {`fail: label pod-security.kubernetes.io/warn is invalid: Invalid value: "x": must be one of privileged, baseline, restricted`}}},
		"warned, parameters": {warned, files, wrong, []string{namespaceText("shop")}, map[string][]string{"shop": {"unknown: parameter level of pod-security-warned must be one of privileged, baseline, restricted"}}},

		"could be stricter":      {level, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline"), podText("a", "", restrictedSpec)}, map[string][]string{"shop": {"fail: namespace shop could enforce restricted today; it enforces baseline"}}},
		"as strict as it can be": {level, files, check.Settings{}, []string{namespaceText("shop", "enforce", "baseline"), podText("a", "", baselineSpec)}, map[string][]string{"shop": {"pass"}}},
		"stricter than its pods": {level, files, check.Settings{}, []string{namespaceText("shop", "enforce", "restricted"), podText("a", "", baselineSpec)}, map[string][]string{"shop": {"pass"}}},
		"empty, in files":        {level, files, check.Settings{}, []string{namespaceText("shop")}, map[string][]string{}},
		"empty, in a cluster":    {level, model.WorldOptions{Live: true}, check.Settings{}, []string{namespaceText("shop")}, map[string][]string{"shop": {"fail: namespace shop could enforce restricted today; it enforces privileged"}}},
		"no pods but others": {level, complete, check.Settings{}, []string{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}"},
			map[string][]string{"shop": {"fail: namespace shop could enforce restricted today; it enforces privileged"}}},
		"levels in an open world": {level, files, check.Settings{}, []string{orphan}, map[string][]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := judged(t, test.control, world(t, test.options, test.documents...), test.settings)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

func TestLevelEvidence(t *testing.T) {
	documents := []string{namespaceText("shop")}
	for i := range 12 {
		documents = append(documents, podText(fmt.Sprintf("p%02d", i), "", baselineSpec))
	}
	l := Levels(world(t, model.WorldOptions{}, documents...), newest)["shop"]
	got := l.evidence()
	if len(got) != maxEvidence || !strings.Contains(got[0].Detail, "blocks restricted: allowPrivilegeEscalation != false") ||
		got[9] != (finding.Evidence{Source: "3 more objects", Detail: "block restricted"}) {
		t.Errorf("got %v", got)
	}
	l = Levels(world(t, model.WorldOptions{}, documents[:11]...), newest)["shop"]
	if got := l.evidence(); len(got) != 10 || got[9].Source != "shop/Pod/p09" {
		t.Errorf("got %v", got)
	}
}

// BenchmarkLevels measures the survey of 10,000 pods in 100 namespaces that block
// the level restricted; one iteration is all of them.
func BenchmarkLevels(b *testing.B) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 1))}
	var objects []*model.Object
	for i := range 10000 {
		o := g.object(metav1.ObjectMeta{Name: fmt.Sprint("p", i), Namespace: fmt.Sprint("n", i%100)}, corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}})
		objects = append(objects, o)
	}
	b.ReportAllocs()
	for b.Loop() {
		Levels(model.NewWorld(objects, model.WorldOptions{}), newest)
	}
}
