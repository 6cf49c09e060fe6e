package workload

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

// newest is the newest version of Kubernetes that the library has a change for.
const newest = 37

// TestPodSecurityControls compares the table with the library's checks and with
// the control files.
func TestPodSecurityControls(t *testing.T) {
	controls := podSecurityControlFiles(t)
	checks := PodSecurityChecks()
	byID := map[policy.CheckID]PodSecurityCheck{}
	for _, c := range checks {
		byID[c.ID] = c
	}
	if len(checks) != len(podSecurityControls) {
		t.Errorf("the library has %d checks, the table %d", len(checks), len(podSecurityControls))
	}
	for _, c := range checks {
		if c.Control == "" || c.locate == nil {
			t.Errorf("check %s has no control: the library is newer than the table", c.ID)
			continue
		}
		control := controls[c.Control]
		if control == nil || control.Object.Judge == nil {
			t.Errorf("check %s: there is no control file %s with podSecurity: %s", c.ID, c.Control, c.ID)
			continue
		}
		var want []string
		for _, overridden := range c.Versions[len(c.Versions)-1].OverrideCheckIDs {
			want = append(want, byID[overridden].Control)
		}
		if !slices.Equal(control.Subsumes, want) {
			t.Errorf("%s subsumes %v; the library's check overrides %v", control.Name, control.Subsumes, want)
		}
		if last := c.Versions[len(c.Versions)-1].MinimumVersion; last.Minor() > newest {
			t.Errorf("check %s changes in %s: test it", c.ID, last)
		}
	}
}

func podSecurityControlFiles(t testing.TB) map[string]*check.Control {
	t.Helper()
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*check.Control{}
	for _, c := range controls {
		if c.Object != nil && c.Object.Judge != nil {
			out[c.Name] = c
		}
	}
	return out
}

// oracle is the library's own evaluator, one for each check and one for all.
type oracle struct {
	single map[policy.CheckID]policy.Evaluator
	whole  policy.Evaluator
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	evaluator := func(checks ...policy.Check) policy.Evaluator {
		e, err := policy.NewEvaluator(checks, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	o := &oracle{single: map[policy.CheckID]policy.Evaluator{}, whole: evaluator(policy.DefaultChecks()...)}
	for _, c := range policy.DefaultChecks() {
		o.single[c.ID] = evaluator(c)
	}
	return o
}

func allows(e policy.Evaluator, level psapi.Level, minor int, meta *metav1.ObjectMeta, spec *corev1.PodSpec) bool {
	lv := psapi.LevelVersion{Level: level, Version: psapi.MajorMinorVersion(1, minor)}
	r := policy.AggregateCheckResults(e.EvaluatePod(lv, meta, spec))
	return r.Allowed
}

// stored decodes the pod of an object with the defaults of the API server that
// the library would see.
func stored(t *testing.T, o *model.Object) (*metav1.ObjectMeta, *corev1.PodSpec) {
	t.Helper()
	meta, spec, err := o.Pod().Decode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range spec.Volumes {
		if reflect.ValueOf(spec.Volumes[i].VolumeSource).IsZero() {
			spec.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	if spec.HostNetwork && o.Kind == "Pod" {
		for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for _, c := range list {
				for p := range c.Ports {
					if c.Ports[p].HostPort == 0 {
						c.Ports[p].HostPort = c.Ports[p].ContainerPort
					}
				}
			}
		}
	}
	return meta, spec
}

func judgePod(t *testing.T, c PodSecurityCheck, o *model.Object, minor int) []check.Violation {
	t.Helper()
	meta, spec, err := o.Pod().Decode()
	if err != nil {
		t.Fatal(err)
	}
	before := spec.DeepCopy()
	out := c.judge(check.PodInput{Pod: o.Pod(), Meta: meta, Spec: spec, Version: minor})
	if !reflect.DeepEqual(before, spec) {
		t.Fatalf("%s changes the spec that it is given", c.ID)
	}
	return out
}

// TestPodSecurityVerdicts compares the verdicts on random pods with the library's
// evaluator, each check alone and all together, and holds the reported fields to
// their word: where they are repaired the library allows the pod, and where one of
// them is not it does not.
func TestPodSecurityVerdicts(t *testing.T) {
	t.Parallel()
	const pods = 2500
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	checks, library := PodSecurityChecks(), newOracle(t)
	passed, failed := map[policy.CheckID]int{}, map[policy.CheckID]int{}
	levels := map[string]int{}
	for n := range pods {
		o := g.object(g.pod())
		minor := n % (newest + 1)
		if n%2 == 0 {
			minor = newest
		}
		meta, spec := stored(t, o)
		fails := map[policy.CheckID]bool{}
		for _, c := range checks {
			violations := judgePod(t, c, o, minor)
			if got, want := len(violations) == 0, allows(library.single[c.ID], c.Level, minor, meta, spec); got != want {
				t.Fatalf("pod %d, %s in 1.%d: allowed is %v, the library says %v\n%v", n, c.ID, minor, got, want, o.Content)
			}
			if len(violations) == 0 {
				passed[c.ID]++
				continue
			}
			failed[c.ID]++
			fails[c.ID] = true
			wellFormed(t, o, violations)
			if g.IntN(4) != 0 {
				continue // repairing takes most of the time
			}
			repaired(t, library.single[c.ID], c, o, minor, violations)
		}
		for _, level := range []psapi.Level{psapi.LevelBaseline, psapi.LevelRestricted} {
			got := levelAllows(checks, level, minor, fails)
			if want := allows(library.whole, level, minor, meta, spec); got != want {
				t.Fatalf("pod %d, %s in 1.%d: allowed is %v, the library says %v", n, level, minor, got, want)
			}
			levels[fmt.Sprint(level, " ", got)]++
		}
		if t.Failed() {
			t.Fatalf("pod %d in 1.%d: %v", n, minor, o.Content)
		}
	}
	for _, c := range checks {
		if passed[c.ID] < 100 || failed[c.ID] < 100 {
			t.Errorf("%s: %d passes, %d failures: the generator is too one-sided", c.ID, passed[c.ID], failed[c.ID])
		}
	}
	t.Logf("%d pods, each with %d checks; passes %v; failures %v; levels %v", pods, len(checks), passed, failed, levels)
}

// levelAllows says what the checks of a level amount to: restricted has those of
// baseline too, but for the ones that its own stand in for.
func levelAllows(checks []PodSecurityCheck, level psapi.Level, minor int, fails map[policy.CheckID]bool) bool {
	overridden := map[policy.CheckID]bool{}
	for _, c := range checks {
		for _, v := range c.Versions {
			for _, id := range v.OverrideCheckIDs {
				overridden[id] = overridden[id] || level == psapi.LevelRestricted && v.MinimumVersion.Minor() <= minor
			}
		}
	}
	for _, c := range checks {
		if fails[c.ID] && !overridden[c.ID] && (c.Level == psapi.LevelBaseline || level == psapi.LevelRestricted) {
			return false
		}
	}
	return true
}

// wellFormed checks what is said of a violation's place.
func wellFormed(t *testing.T, o *model.Object, violations []check.Violation) {
	t.Helper()
	for _, v := range violations {
		if parsed, err := model.ParsePath(v.Path.String()); err != nil || !reflect.DeepEqual(parsed, v.Path) {
			t.Errorf("path %s: parsed as %v, %v", v.Path, parsed, err)
		}
		if v.Detail == "" || len(v.Path) <= len(o.Pod().SpecPath()) {
			t.Errorf("violation names no field: %+v", v)
		}
		inContainer := false
		for c := range o.Pod().Containers() {
			if len(v.Path) > len(c.Path) && reflect.DeepEqual(v.Path[:len(c.Path)], c.Path) {
				inContainer = true
				if v.Container != c.Name {
					t.Errorf("%s is in container %s, not %q", v.Path, c.Name, v.Container)
				}
			}
		}
		if annotation := v.Path[len(v.Path)-2].Key == "annotations"; v.Container != "" && !inContainer && !annotation {
			t.Errorf("%s is in no container, but %q is named", v.Path, v.Container)
		}
	}
}

// repaired checks that the reported fields are all that is wrong, and that each of
// them is wrong.
func repaired(t *testing.T, library policy.Evaluator, c PodSecurityCheck, o *model.Object, minor int, violations []check.Violation) {
	t.Helper()
	if c.ID == "hostPorts" && o.Kind == "Pod" && o.Pod().Spec["hostNetwork"] == true {
		return // the ports are the node's whatever they say
	}
	allowedWithout := func(left int) bool {
		content := runtime.DeepCopyJSON(o.Content)
		for i, v := range violations {
			if i != left {
				repair(t, content, v.Path)
			}
		}
		meta, spec := stored(t, asObject(content))
		return allows(library, c.Level, minor, meta, spec)
	}
	if !allowedWithout(-1) {
		t.Errorf("%s in 1.%d: repairing all of %v is not enough", c.ID, minor, violations)
	}
	for i, v := range violations {
		if allowedWithout(i) {
			t.Errorf("%s in 1.%d: %s need not be repaired", c.ID, minor, v.Path)
		}
	}
}

// repairs are values that every version allows, by the last key of a path.
var repairs = map[string]any{
	"allowPrivilegeEscalation": false, "privileged": false, "hostProcess": false,
	"hostNetwork": false, "hostPID": false, "hostIPC": false, "hostPort": int64(0), "host": "",
	"procMount": "Default", "runAsNonRoot": true, "runAsUser": int64(1000),
	"drop": []any{"ALL"}, "add": "NET_BIND_SERVICE", "user": "", "role": "", "name": "kernel.shm_rmid_forced",
}

func repair(t *testing.T, content map[string]any, path model.Path) {
	t.Helper()
	last := path[len(path)-1]
	if last.Key == "" {
		last = path[len(path)-2]
	}
	parent := path[len(path)-2]
	value, ok := repairs[last.Key]
	switch {
	case parent.Key == "annotations":
		value = "runtime/default"
	case parent.Key == "seLinuxOptions":
		value = ""
	case last.Key == "type":
		value = "RuntimeDefault"
	case len(path) > 3 && path[len(path)-3].Key == "volumes":
		path, value = path[:len(path)-1], map[string]any{"name": "v", "emptyDir": map[string]any{}}
	case !ok:
		t.Fatalf("no repair is known for %s", path)
	}
	set(content, path, value)
}

// set writes a value at a path, and makes the maps that lead there.
func set(content any, path model.Path, value any) {
	for _, s := range path[:len(path)-1] {
		if s.Key == "" {
			content = content.([]any)[s.Index]
			continue
		}
		m := content.(map[string]any)
		if m[s.Key] == nil {
			m[s.Key] = map[string]any{}
		}
		content = m[s.Key]
	}
	if last := path[len(path)-1]; last.Key == "" {
		content.([]any)[last.Index] = value
	} else {
		content.(map[string]any)[last.Key] = value
	}
}

// TestPodSecurityFixes applies every control's mutation to random pods: the
// library then allows them, and a pod that it allowed is not changed.
func TestPodSecurityFixes(t *testing.T) {
	t.Parallel()
	const pods = 250
	g := &generator{Rand: rand.New(rand.NewPCG(3, 4))}
	library, controls := newOracle(t), podSecurityControlFiles(t)
	fixed, kept := map[string]int{}, map[string]int{}
	mutations := map[string]*admission.Mutation{}
	for name, control := range controls {
		if control.Object.Mutation == "" {
			continue
		}
		m, err := admission.CompileMutation(control, nil)
		if err != nil {
			t.Fatal(err)
		}
		mutations[name] = m
	}
	for n := range pods {
		o := g.object(g.pod())
		for _, c := range PodSecurityChecks() {
			m := mutations[c.Control]
			if m == nil || cannotFix(c.ID, o) {
				continue
			}
			meta, spec := stored(t, o)
			allowed := allows(library.single[c.ID], c.Level, newest, meta, spec)
			content, err := m.Apply(t.Context(), o)
			if err != nil {
				t.Fatalf("pod %d: %v\n%v", n, err, o.Content)
			}
			if allowed {
				kept[c.Control]++
				if d := cmp.Diff(withoutSeccompAnnotations(o.Content), withoutSeccompAnnotations(content)); d != "" {
					t.Fatalf("pod %d: the fix of %s changes what is right:\n%s", n, c.Control, d)
				}
				continue
			}
			fixed[c.Control]++
			meta, spec = stored(t, asObject(content))
			if !allows(library.single[c.ID], c.Level, newest, meta, spec) {
				t.Fatalf("pod %d: %s fails after its fix:\n%s", n, c.Control, cmp.Diff(o.Content, content))
			}
			// What older versions still refuse is right in the newest one.
			for minor := range newest {
				if !allows(library.single[c.ID], c.Level, minor, meta, spec) && !newerAllows(c.ID, o) {
					t.Fatalf("pod %d: %s fails in 1.%d after its fix:\n%s", n, c.Control, minor, cmp.Diff(o.Content, content))
				}
			}
		}
	}
	for name := range mutations {
		if fixed[name] < 20 || kept[name] < 20 {
			t.Errorf("%s: %d fixed, %d left alone: the generator is too one-sided", name, fixed[name], kept[name])
		}
	}
	t.Logf("%d pods; fixed %v; left alone %v", pods, fixed, kept)
}

// cannotFix says where the API server would refuse or undo the fix, as the fix's
// note says.
func cannotFix(id policy.CheckID, o *model.Object) bool {
	spec := o.Pod().Spec
	refusesNoEscalation, hostProcess := false, model.Get(spec, "securityContext", "windowsOptions", "hostProcess") == true
	for c := range o.Pod().Containers() {
		added := model.Strings(model.Get(c.Content, "securityContext", "capabilities", "add"))
		refusesNoEscalation = refusesNoEscalation || model.Get(c.Content, "securityContext", "privileged") == true || slices.Contains(added, "CAP_SYS_ADMIN")
		hostProcess = hostProcess || model.Get(c.Content, "securityContext", "windowsOptions", "hostProcess") == true
	}
	switch id {
	case "allowPrivilegeEscalation":
		return refusesNoEscalation
	case "hostPorts":
		return spec["hostNetwork"] == true
	case "hostNamespaces":
		return hostProcess
	}
	return false
}

// newerAllows says where a newer version of a check allows more than an older one.
func newerAllows(id policy.CheckID, o *model.Object) bool {
	return id == "sysctls" || id == "seLinuxOptions" || o.Pod().Windows() || o.Pod().Spec["hostUsers"] == false
}

// withoutSeccompAnnotations leaves out what only Kubernetes before 1.19 reads; the
// fix removes it for all.
func withoutSeccompAnnotations(content map[string]any) map[string]any {
	out := runtime.DeepCopyJSON(content)
	annotations, _ := asObject(out).Pod().Meta["annotations"].(map[string]any)
	for key := range annotations {
		if key == "seccomp.security.alpha.kubernetes.io/pod" || len(key) > 47 && key[:47] == "container.seccomp.security.alpha.kubernetes.io/" {
			delete(annotations, key)
		}
	}
	return out
}

// BenchmarkPodSecurity measures all checks on one pod, beside the library's checks
// alone: "passing" is a pod that every check allows, "failing" one that sets
// nothing, in three containers.
func BenchmarkPodSecurity(b *testing.B) {
	hardened := corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}
	specs := map[string]corev1.PodSpec{
		"passing": {Containers: []corev1.Container{hardened, hardened, hardened}, Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: "RuntimeDefault"}}},
		"failing": {Containers: []corev1.Container{{Name: "a"}, {Name: "b"}, {Name: "c"}}},
	}
	g := &generator{Rand: rand.New(rand.NewPCG(1, 1))}
	checks := PodSecurityChecks()
	for name, spec := range specs {
		o := g.object(metav1.ObjectMeta{}, spec)
		in := check.PodInput{Pod: o.Pod(), Meta: &metav1.ObjectMeta{}, Spec: &spec, Version: newest}
		b.Run(name+"/library", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i := range checks {
					checks[i].At(newest)(in.Meta, in.Spec)
				}
			}
		})
		b.Run(name+"/controls", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i := range checks {
					checks[i].judge(in)
				}
			}
		})
	}
}
