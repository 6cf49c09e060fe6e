package check_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// plainWaiver is a waiver as a person would judge it by hand: what it accepts is
// written out, with nothing indexed, shared or parsed.
type plainWaiver struct {
	id       string // as the audit names it, with the day it expires
	controls []string
	state    string // live, expired or invalid
	accepts  func(f *check.Judged) bool
}

// glob is a second reading of path.Match for names without slashes.
func glob(pattern, name string) bool {
	var re strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			re.WriteString(".*")
		case '?':
			re.WriteString(".")
		case '[', ']', '^', '-':
			re.WriteByte(c)
		case '\\':
			i++
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.MustCompile("^(" + re.String() + ")$").MatchString(name)
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var (
	randomControls   = []string{"no-root", "no-host-path", "strict", "weak"}
	randomKinds      = []string{"Deployment", "Pod", "ClusterRole", "argoproj.io/Rollout", "Service", "serving.knative.dev/Service"}
	randomNamespaces = []string{"a", "b", "ab"}
	randomPatterns   = []string{"*", "?", "a", "b", "ab", "a*", "[ab]", "[^a]", `\a`, "A", "c", "*b"}
	randomDays       = map[string]string{"2026-08-06": "live", "2026-08-07": "live", "2030-01-01": "live", "2026-08-05": "expired", "2020-01-01": "expired"}
)

// randomWaiver makes the content of a Waiver and what it means.
func randomWaiver(r *rand.Rand, root, name string) (map[string]any, plainWaiver) {
	date := pick(r, "2026-08-06", "2026-08-07", "2030-01-01", "2026-08-05", "2020-01-01")
	p := plainWaiver{id: name + " " + date, state: randomDays[date]}
	spec := map[string]any{"owner": "o", "reason": "r", "expires": date}
	for _, c := range randomControls {
		if r.IntN(2) == 0 {
			p.controls = append(p.controls, c)
		}
	}
	if len(p.controls) == 0 {
		p.controls = []string{"weak"}
	}
	var list []any
	for _, c := range p.controls {
		list = append(list, c)
	}
	spec["controls"] = list
	if len(list) == 1 && r.IntN(2) == 0 {
		delete(spec, "controls")
		spec["control"] = list[0]
	}
	var resources []plainResource
	var items []any
	for range 1 + r.IntN(2) {
		res := plainResource{kind: pick(r, append(randomKinds, "*", "*/*", "apps/*", "D*")...), name: pick(r, randomPatterns...)}
		item := map[string]any{"kind": res.kind, "name": res.name}
		if needs := slices.Contains([]string{"Deployment", "Pod", "Service"}, res.kind); res.kind != "ClusterRole" && (needs || r.IntN(3) > 0) {
			res.namespace = pick(r, randomPatterns...)
			item["namespace"] = res.namespace
		}
		resources, items = append(resources, res), append(items, item)
	}
	spec["resources"] = items
	var containers []string
	if r.IntN(2) == 0 {
		containers = []string{pick(r, randomPatterns...)}
		spec["containers"] = []any{containers[0]}
	}
	meta := map[string]any{"name": name}
	namespace := ""
	if r.IntN(4) == 0 {
		namespace = pick(r, randomNamespaces...)
		meta["namespace"] = namespace
	}
	p.accepts = func(f *check.Judged) bool {
		return (root == "" || f.Root == root) && (namespace == "" || f.Object.Namespace == namespace) && inContainers(containers, f) &&
			slices.ContainsFunc(resources, func(res plainResource) bool { return res.accepts(f) })
	}
	if r.IntN(5) == 0 {
		p.state = "invalid"
		breakWaiver(r, spec)
	}
	return map[string]any{"apiVersion": "bulkhead.dev/v1", "kind": "Waiver", "metadata": meta, "spec": spec}, p
}

type plainResource struct{ kind, namespace, name string }

func (res plainResource) accepts(f *check.Judged) bool {
	kind := res.kind
	if !strings.ContainsAny(kind, "*/") { // a kind of Kubernetes
		kind = map[string]string{"Deployment": "apps/Deployment", "ClusterRole": "rbac.authorization.k8s.io/ClusterRole"}[kind]
		if kind == "" {
			kind = "/" + res.kind
		}
	}
	if !strings.Contains(kind, "/") {
		kind = "*/" + kind
	}
	sameNamespace := res.namespace == "" && f.Object.Namespace == "" ||
		res.namespace != "" && f.Object.Namespace != "" && glob(res.namespace, f.Object.Namespace)
	return glob(kind, f.Object.Group+"/"+f.Object.Kind) && sameNamespace && glob(res.name, f.Object.Name)
}

func inContainers(containers []string, f *check.Judged) bool {
	return containers == nil || f.Container != "" && slices.ContainsFunc(containers, func(c string) bool { return glob(c, f.Container) })
}

func breakWaiver(r *rand.Rand, spec map[string]any) {
	switch r.IntN(6) {
	case 0:
		delete(spec, pick(r, "owner", "reason", "expires", "resources"))
	case 1:
		spec[pick(r, "owner", "reason", "expires")] = pick[any](r, "", " ", int64(1), true, nil, []any{"x"})
	case 2:
		delete(spec, "control")
		spec["controls"] = pick[any](r, nil, []any{}, []any{""}, []any{"no-root", "No-Root"}, []any{"*"}, "no-root", []any{"no-root", nil})
	case 3:
		spec[pick(r, "container", "Containers", "scope")] = []any{"a"}
	case 4:
		spec["containers"] = pick[any](r, nil, []any{}, []any{""}, []any{"["}, "a")
	case 5:
		item := spec["resources"].([]any)[0].(map[string]any)
		item[pick(r, "kind", "name")] = pick[any](r, nil, "", "[", int64(1))
	}
}

// randomAnnotation makes an annotation for a control and what it means on an object.
func randomAnnotation(r *rand.Rand, control string, allowed bool) (string, plainWaiver) {
	date := pick(r, "2026-08-06", "2026-08-05", "2030-01-01")
	p := plainWaiver{controls: []string{control}, state: randomDays[date]}
	parts := []string{"owner=o", "expires=" + date}
	var containers []string
	for range r.IntN(3) {
		c := pick(r, randomPatterns...)
		containers = append(containers, c)
		parts = append(parts, "container="+c)
	}
	if r.IntN(5) == 0 {
		parts, p.state = append(parts, pick(r, "owner=p", "container=", "x=y", "x", "expires=2030-01-01")), "invalid"
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	if !allowed {
		p.state = "invalid"
	}
	p.id = " " + date
	p.accepts = func(f *check.Judged) bool { return inContainers(containers, f) }
	return "why; " + strings.Join(parts, "; "), p
}

// randomWorld makes objects that carry annotations, waivers among them.
func randomWorld(r *rand.Rand, root string, annotations check.AnnotationSettings) (*model.World, []plainWaiver) {
	var objects []*model.Object
	var plain []plainWaiver
	add := func(content map[string]any) *model.Object {
		o, ok := model.NewObject(content, nil, model.Source{})
		if !ok {
			panic("no object")
		}
		objects = append(objects, o)
		return o
	}
	for i := range r.IntN(6) {
		content, p := randomWaiver(r, root, fmt.Sprintf("w%d%s", i, strings.ReplaceAll(root, "/", "-")))
		add(content)
		plain = append(plain, p)
	}
	for range 12 {
		gk := model.ParseGroupKind(pick(r, randomKinds...))
		apiVersion := "v1"
		if g := map[string]string{"Deployment": "apps", "ClusterRole": "rbac.authorization.k8s.io", "Rollout": "argoproj.io"}[gk.Kind]; g != "" || gk.Group != "" {
			apiVersion = g + gk.Group + "/v1"
			if gk.Kind == "Rollout" {
				apiVersion = "argoproj.io/v1"
			}
		}
		meta := map[string]any{"name": pick(r, randomNamespaces...)}
		namespace := ""
		if gk.Kind != "ClusterRole" {
			namespace = pick(r, randomNamespaces...)
			meta["namespace"] = namespace
		}
		onObject, onTemplate := map[string]any{}, map[string]any{}
		o := add(map[string]any{"apiVersion": apiVersion, "kind": gk.Kind, "metadata": meta, "spec": map[string]any{
			"template": map[string]any{"metadata": map[string]any{"annotations": onTemplate}, "spec": map[string]any{}}}})
		allowed := !annotations.Off && (annotations.Namespaces == nil ||
			namespace != "" && slices.ContainsFunc(annotations.Namespaces, func(p string) bool { return glob(p, namespace) }))
		type place struct {
			annotations map[string]any
			read        bool
		}
		// A template in an object that makes no pod is none.
		makesPod := gk.Kind == "Deployment" || gk.Kind == "Rollout" || gk.Group == "serving.knative.dev"
		for _, at := range []place{{onObject, true}, {onTemplate, makesPod}} {
			for _, control := range randomControls {
				if r.IntN(8) > 0 {
					continue
				}
				text, p := randomAnnotation(r, control, allowed)
				at.annotations["waive.bulkhead.dev/"+control] = text
				accepts := p.accepts
				p.accepts = func(f *check.Judged) bool { return f.Of == o && accepts(f) }
				p.id = "annotation on " + o.Ref().String() + p.id
				if at.read {
					plain = append(plain, p)
				}
			}
		}
		meta["annotations"] = onObject
	}
	return model.NewWorld(objects, model.WorldOptions{Root: root}), plain
}

func randomFindings(r *rand.Rand, worlds []*model.World) []*check.Judged {
	var out []*check.Judged
	for _, w := range worlds {
		for _, o := range w.Objects {
			for range r.IntN(4) {
				f := &check.Judged{Of: o, Finding: finding.Finding{Verdict: finding.Fail, Control: pick(r, randomControls...), Root: w.Root, Object: o.Ref(), Container: pick(r, "", "a", "b", "ab")}}
				if f.Control == "strict" && r.IntN(2) == 0 {
					f.Covers = []string{"weak"}
				}
				if r.IntN(5) == 0 {
					f.Verdict, f.Covers = finding.Unknown, nil
				}
				if r.IntN(5) == 0 {
					f.Of = nil
				}
				out = append(out, f)
			}
		}
	}
	return out
}

// TestWaiversAgainstTwin compares Apply with a plain reading of the same waivers
// over random worlds: which findings are waived, what is counted, and what the
// audit says of each waiver.
func TestWaiversAgainstTwin(t *testing.T) {
	var waived, refused int
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 17))
		settings := pick(r, check.AnnotationSettings{}, check.AnnotationSettings{}, check.AnnotationSettings{Off: true}, check.AnnotationSettings{Namespaces: []string{"a*"}})
		a, plainA := randomWorld(r, "", settings)
		b, plainB := randomWorld(r, "charts/x", settings)
		snapshot, plain := &model.Snapshot{Worlds: []*model.World{a, b}}, slices.Concat(plainA, plainB)
		out := outcomeOf(randomFindings(r, snapshot.Worlds)...)
		want := twin(out, plain)
		got := check.ReadWaivers(snapshot, check.WaiverOptions{Known: knownControl, Annotations: settings}).Apply(out, today)
		for i, f := range out.Findings {
			if (f.Waived != nil) != (want.by[i] != nil) || f.Waived != nil && !slices.Contains(want.by[i], f.Waived.Waiver) {
				t.Fatalf("seed %d: %s %s %s/%s covers %v: waived by %+v, want %q", seed, f.Verdict, f.Control, f.Object, f.Container, f.Covers, f.Waived, want.by[i])
			}
			if f.Waived != nil {
				waived++
			} else {
				refused++
			}
		}
		for name, c := range want.counts {
			if *out.Counts[name] != c {
				t.Fatalf("seed %d: counts %+v, want %+v", seed, *out.Counts[name], c)
			}
		}
		var audit []string
		for _, u := range got {
			if u.State == "invalid" {
				continue
			}
			audit = append(audit, fmt.Sprint(u.Waiver, " ", u.Expires, " ", u.Control, " ", u.State, " ", u.Matches))
		}
		slices.Sort(audit)
		slices.Sort(want.audit)
		if !slices.Equal(audit, want.audit) {
			t.Fatalf("seed %d: audit\n%s\nwant\n%s", seed, strings.Join(audit, "\n"), strings.Join(want.audit, "\n"))
		}
		if n := len(got) - len(audit); n != want.invalid {
			t.Fatalf("seed %d: %d invalid, want %d", seed, n, want.invalid)
		}
	}
	t.Logf("%d findings waived, %d not", waived, refused)
	if waived < 500 || refused < 500 {
		t.Error("the random worlds compare too little")
	}
}

type twinResult struct {
	// by are, for each finding, the names of the waivers that may be credited.
	by      [][]string
	counts  map[string]finding.ControlCount
	audit   []string
	invalid int
}

// twin judges every finding by every waiver.
func twin(out *check.Outcome, waivers []plainWaiver) twinResult {
	res := twinResult{by: make([][]string, len(out.Findings)), counts: map[string]finding.ControlCount{}}
	credited := func(f *check.Judged, control string) []string {
		var names []string
		for _, w := range waivers {
			if w.state == "live" && slices.Contains(w.controls, control) && w.accepts(f) {
				name, _, _ := strings.Cut(w.id, " ")
				names = append(names, name)
			}
		}
		return names
	}
	waivedObjects := map[string]bool{}
	for i := range out.Findings {
		f := out.Findings[i]
		if f.Verdict != finding.Fail {
			continue
		}
		all := true
		for _, c := range append([]string{f.Control}, f.Covers...) {
			names := credited(f, c)
			all = all && names != nil
			key := fmt.Sprint(c, " ", f.Root, f.Object)
			if f.Of != nil {
				key = fmt.Sprintf("%s %p", c, f.Of)
			}
			before, seen := waivedObjects[key]
			waivedObjects[key] = names != nil && (before || !seen)
		}
		if all {
			res.by[i] = credited(f, f.Control)
		}
	}
	for name, c := range out.Counts {
		sum := *c
		for key, waived := range waivedObjects {
			if waived && strings.HasPrefix(key, name+" ") {
				sum.Fail--
				sum.Waived++
			}
		}
		res.counts[name] = sum
	}
	res.audit, res.invalid = twinAudit(out, waivers)
	return res
}

func twinAudit(out *check.Outcome, waivers []plainWaiver) (audit []string, invalid int) {
	for _, w := range waivers {
		if w.state == "invalid" {
			invalid++
			continue
		}
		for _, control := range w.controls {
			n := 0
			for i := range out.Findings {
				f := out.Findings[i]
				if f.Verdict == finding.Fail && (f.Control == control || slices.Contains(f.Covers, control)) && w.accepts(f) {
					n++
				}
			}
			state := map[bool]string{true: "matched", false: "unused"}[n > 0]
			if w.state == "expired" {
				state, n = "expired", 0
			}
			audit = append(audit, fmt.Sprint(w.id, " ", control, " ", state, " ", n))
		}
	}
	return audit, invalid
}
