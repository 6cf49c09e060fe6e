package conformance

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/workload"
)

// apiServerMinor is the version of the API server that test/cluster builds.
const apiServerMinor = 37

// TestPodSecurity sends every example of the Pod Security controls to namespaces
// that enforce and warn of each level: the API server refuses pods, and warns of
// what makes pods, for exactly the checks whose controls fail offline.
func TestPodSecurity(t *testing.T) {
	connect(t)
	offline := newPodSecurityOffline(t)
	var pods, refused, workloads, warned, invalid atomic.Int64
	for _, level := range []psapi.Level{psapi.LevelBaseline, psapi.LevelRestricted} {
		t.Run(string(level), func(t *testing.T) {
			c := connectWithWarnings(t, level)
			for _, control := range offline.controls {
				for _, o := range examples(t, control) {
					if !offline.extracted(o) {
						continue
					}
					if o.List("spec", "ephemeralContainers") != nil {
						invalid.Add(1) // they cannot be set when a pod is created
						continue
					}
					if _, err := c.unlabelled.create(t.Context(), o); err != nil {
						t.Logf("%s: %s: refused without a level: %v", control.Name, o.Ref(), err)
						invalid.Add(1)
						continue
					}
					want := offline.fails(t, o, level)
					stored, said := c.say(t, o)
					if got := offline.named(said, level); !maps.Equal(got, want) {
						t.Errorf("%s: %s at %s:\nAPI server %v\noffline    %v\nit says %s", control.Name, o.Ref(), level, got, want, said)
					}
					if stored != nil {
						if after := offline.fails(t, asObject(stored), level); !maps.Equal(after, want) {
							t.Errorf("%s: %s: the verdict changes with defaulting: before %v, after %v", control.Name, o.Ref(), want, after)
						}
					}
					judged, failed := &workloads, &warned
					if o.Kind == "Pod" {
						judged, failed = &pods, &refused
					}
					judged.Add(1)
					if len(want) > 0 {
						failed.Add(1)
					}
				}
			}
		})
	}
	if refused.Load() == 0 || warned.Load() == 0 || pods.Load() == refused.Load() || workloads.Load() == warned.Load() {
		t.Error("the examples are one-sided")
	}
	t.Logf("compared %d verdicts on pods, %d of them refused, and %d on what makes pods, %d of them warned of; %d examples are refused by the API's own validation",
		pods.Load(), refused.Load(), workloads.Load(), warned.Load(), invalid.Load())
}

func asObject(u *unstructured.Unstructured) *model.Object {
	o, _ := model.NewObject(u.Object, nil, model.Source{})
	model.NewWorld([]*model.Object{o}, model.WorldOptions{})
	return o
}

// podSecurityOffline judges by the controls, without an API server.
type podSecurityOffline struct {
	controls  []*check.Control
	checks    []workload.PodSecurityCheck
	evaluator *admission.Evaluator
}

func newPodSecurityOffline(t *testing.T) *podSecurityOffline {
	t.Helper()
	all, err := workload.Controls()
	if err != nil {
		t.Fatal(err)
	}
	out := &podSecurityOffline{checks: workload.PodSecurityChecks()}
	for _, c := range out.checks {
		i := slices.IndexFunc(all, func(control *check.Control) bool { return control.Name == c.Control })
		if i < 0 {
			t.Fatalf("no control %q for the check %s", c.Control, c.ID)
		}
		out.controls = append(out.controls, all[i])
	}
	out.evaluator, err = admission.Compile(out.controls, nil, apiServerMinor)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// extracted reports whether the API server's Pod Security looks at a kind.
func (p *podSecurityOffline) extracted(o *model.Object) bool {
	_, builtin := model.BuiltinResource(o.GroupKind)
	return o.Pod() != nil && builtin && o.Group != "extensions"
}

// fails lists the checks of a level whose controls fail on an object.
func (p *podSecurityOffline) fails(t *testing.T, o *model.Object, level psapi.Level) map[policy.CheckID]bool {
	t.Helper()
	judgements, err := p.evaluator.Evaluate(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Ref(), err)
	}
	out := map[policy.CheckID]bool{}
	for _, j := range judgements {
		if id := p.checks[slices.Index(p.controls, j.Control)].ID; len(j.Violations) > 0 && p.runs(id, level) {
			out[id] = true
		}
	}
	return out
}

// runs reports whether a check belongs to a level: restricted has those of
// baseline too, but for the ones that its own stand in for.
func (p *podSecurityOffline) runs(id policy.CheckID, level psapi.Level) bool {
	runs := false
	for _, c := range p.checks {
		if c.ID == id {
			runs = c.Level == psapi.LevelBaseline || level == psapi.LevelRestricted
		}
	}
	for _, c := range p.checks {
		if level == psapi.LevelRestricted && slices.Contains(c.Versions[len(c.Versions)-1].OverrideCheckIDs, id) {
			return false
		}
	}
	return runs
}

// reasons are the words by which the API server names the checks that fail.
var reasons = map[policy.CheckID]string{
	"allowPrivilegeEscalation": "allowPrivilegeEscalation != false", "appArmorProfile": "forbidden AppArmor profile",
	"capabilities_baseline": "non-default capabilities", "capabilities_restricted": "unrestricted capabilities",
	"hostNamespaces": "host namespaces", "hostPathVolumes": "hostPath volumes", "hostPorts": "hostPort",
	"hostProbesAndHostLifecycle": "probe or lifecycle host", "privileged": "privileged",
	"procMount": "procMount", "procMount_restricted": "procMount", "restrictedVolumes": "restricted volume types",
	"runAsNonRoot": "runAsNonRoot != true", "runAsUser": "runAsUser=0", "seLinuxOptions": "seLinuxOptions",
	"seccompProfile_baseline": "seccompProfile", "seccompProfile_restricted": "seccompProfile",
	"sysctls": "forbidden sysctls", "windowsHostProcess": "hostProcess",
}

// named lists the checks of a level that a message of the API server names: it is
// a list of "reason (detail)", some reasons with an s for many.
func (p *podSecurityOffline) named(message string, level psapi.Level) map[policy.CheckID]bool {
	out := map[policy.CheckID]bool{}
	for id, reason := range reasons {
		for _, start := range []string{": ", ", "} {
			if p.runs(id, level) && (strings.Contains(message, start+reason+" (") || strings.Contains(message, start+reason+"s (")) {
				out[id] = true
			}
		}
	}
	return out
}

// warningCluster is an API server whose warnings are heard, with a namespace that
// enforces and warns of a level, and one that does not.
type warningCluster struct {
	*cluster
	unlabelled *cluster

	mu       sync.Mutex
	warnings []string
}

// HandleWarningHeader is called by the client for every warning of a response.
func (c *warningCluster) HandleWarningHeader(_ int, _, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, text)
}

func connectWithWarnings(t *testing.T, level psapi.Level) *warningCluster {
	t.Helper()
	c := &warningCluster{cluster: connect(t), unlabelled: connect(t)}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("BULKHEAD_TEST_KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst, config.WarningHandler = 500, 500, c
	c.dynamic = dynamic.NewForConfigOrDie(config)
	labels := fmt.Sprintf(`{"metadata":{"labels":{%q:%q,%q:%q}}}`, psapi.EnforceLevelLabel, level, psapi.WarnLevelLabel, level)
	if _, err := c.kube.CoreV1().Namespaces().Patch(t.Context(), c.namespace, types.MergePatchType, []byte(labels), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitEnforcement(t)
	return c
}

// awaitEnforcement waits until the API server's admission has seen the labels.
func (c *warningCluster) awaitEnforcement(t *testing.T) {
	t.Helper()
	privileged := manifest.NewDecoder().Decode(model.Source{File: "privileged.yaml"},
		[]byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: a, image: a}]}"))
	model.NewWorld(privileged.Objects, model.WorldOptions{})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := c.create(t.Context(), privileged.Objects[0]); err != nil && strings.Contains(err.Error(), "violates PodSecurity") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the API server does not enforce Pod Security in a labelled namespace")
		}
	}
}

// say creates an object in a dry run and returns it as it would be stored, nil
// where it is refused, and what Pod Security says of it.
func (c *warningCluster) say(t *testing.T, o *model.Object) (*unstructured.Unstructured, string) {
	t.Helper()
	c.mu.Lock()
	c.warnings = nil
	c.mu.Unlock()
	stored, err := c.create(context.WithoutCancel(t.Context()), o)
	if err != nil {
		if _, said, ok := strings.Cut(err.Error(), "violates PodSecurity"); ok && o.Kind == "Pod" {
			return nil, said
		}
		t.Errorf("%s: refused, but not by Pod Security: %v", o.Ref(), err)
		return nil, ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.warnings {
		if _, said, ok := strings.Cut(w, "would violate PodSecurity"); ok {
			return stored, said
		}
	}
	return stored, ""
}
