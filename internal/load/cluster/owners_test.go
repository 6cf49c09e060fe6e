package cluster

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

func worldOf(t *testing.T, text string) *model.World {
	t.Helper()
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(text))
	if len(f.Problems) > 0 {
		t.Fatalf("%v\n%s", f.Problems, text)
	}
	return model.NewWorld(f.Objects, model.WorldOptions{Live: true})
}

// A Deployment as the API server stores it, its ReplicaSet and its pod as the
// controllers and the admission plugins make them.
const (
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d1}
spec:
  template:
    metadata: {labels: {app: web}, annotations: {}}
    spec:
      containers: [{name: web, image: web:1, imagePullPolicy: IfNotPresent, resources: {limits: {memory: 1Gi}}, securityContext: {runAsNonRoot: true}}]
      restartPolicy: Always
      securityContext: {}
`
	replicaSet = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, uid: r1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web, pod-template-hash: "1"}}
    spec:
      containers: [{name: web, image: web:1, imagePullPolicy: IfNotPresent, resources: {limits: {memory: 1Gi}}, securityContext: {runAsNonRoot: true}}]
      restartPolicy: Always
      securityContext: {}
status: {replicas: 2}
`
	pod = `apiVersion: v1
kind: Pod
metadata: {name: web-1-a, namespace: shop, uid: p1, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r1, controller: true}]}
spec:
  containers:
  - {name: web, image: web:1, imagePullPolicy: IfNotPresent, resources: {limits: {memory: 1Gi, cpu: 1}, requests: {memory: 1Gi}}, securityContext: {runAsNonRoot: true},
     volumeMounts: [{name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]}
  volumes:
  - {name: kube-api-access-x, projected: {defaultMode: 420, sources: [{serviceAccountToken: {expirationSeconds: 3607, path: token}}, {configMap: {name: kube-root-ca.crt}}, {downwardAPI: {items: []}}]}}
  restartPolicy: Always
  securityContext: {}
  serviceAccountName: default
  serviceAccount: default
  enableServiceLinks: true
  nodeName: node-1
  priority: 0
  preemptionPolicy: PreemptLowerPriority
  imagePullSecrets: [{name: registry}]
  tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
status: {phase: Running}
`
)

// change replaces a text that must be there.
func change(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in\n%s", old, text)
	}
	return strings.Replace(text, old, new, 1)
}

// TestChangedPods: what the platform adds to a pod leaves it at its Deployment; any
// other difference makes it judged as it runs.
func TestChangedPods(t *testing.T) {
	const token = "  - {name: kube-api-access-x, projected"
	for name, test := range map[string]struct {
		old, new    string
		represented bool
	}{
		"as made":                  {"kind: Pod", "kind: Pod", true},
		"on another node":          {"node-1", "node-2", true},
		"an injected sidecar":      {"  volumes:", "  - {name: proxy, image: proxy:1}\n  volumes:", false},
		"a debug container":        {"  volumes:", "  ephemeralContainers: [{name: debug, image: busybox}]\n  volumes:", false},
		"an init container":        {"  volumes:", "  initContainers: [{name: setup, image: setup:1}]\n  volumes:", false},
		"another image":            {"image: web:1", "image: web:2", false},
		"another securityContext":  {"securityContext: {runAsNonRoot: true}", "securityContext: {privileged: true}", false},
		"no securityContext":       {", securityContext: {runAsNonRoot: true}", "", false},
		"in the node's network":    {"  priority: 0", "  priority: 0\n  hostNetwork: true", false},
		"an added variable":        {"image: web:1", "image: web:1, env: [{name: LD_PRELOAD, value: /x.so}]", false},
		"another service account":  {"serviceAccountName: default", "serviceAccountName: admin", false},
		"a host path":              {token, "  - {name: host, hostPath: {path: /}}\n" + token, false},
		"a false token volume":     {"projected: {defaultMode: 420,", "hostPath: {path: /}, projected: {defaultMode: 420,", false},
		"a token for others":       {"{serviceAccountToken: {", "{serviceAccountToken: {audience: vault, ", false},
		"a secret with the token":  {"{configMap: {name: kube-root-ca.crt}}", "{secret: {name: x}}", false},
		"a mount elsewhere":        {"mountPath: /var/run/secrets/kubernetes.io/serviceaccount", "mountPath: /tmp", false},
		"a limit that is gone":     {"limits: {memory: 1Gi, cpu: 1}", "limits: {cpu: 1}", false},
		"resized":                  {"limits: {memory: 1Gi, cpu: 1}", "limits: {memory: 2Gi, cpu: 1}", true},
		"a toleration of masters":  {"{key: node.kubernetes.io/not-ready,", "{operator: Exists}, {key: node.kubernetes.io/not-ready,", false},
		"an unconfined annotation": {"uid: p1,", "uid: p1, annotations: {container.apparmor.security.beta.kubernetes.io/web: unconfined},", false},
		"an owner of that name":    {"name: web-1, uid: r1", "name: web-1, uid: r0", false},
		"an owner that is gone":    {"name: web-1, uid: r1", "name: web-2, uid: r2", false},
		"no controller":            {"controller: true", "controller: false", false},
		"changed, and ended":       {"status: {phase: Running}", "  hostNetwork: true\nstatus: {phase: Succeeded}", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldOf(t, deployment+"---\n"+replicaSet+"---\n"+change(t, pod, test.old, test.new))
			got := Represented(w)
			for _, o := range w.Objects {
				want := test.represented
				switch o.Kind {
				case "Deployment":
					want = false
				case "ReplicaSet":
					want = true
				}
				if got[o] != want {
					t.Errorf("%s represented: %v, want %v", o.Ref(), got[o], want)
				}
			}
		})
	}
}

// TestReplicaSets: the current one is judged at its Deployment, an old one that still
// runs by itself, with its pods at it; one without pods not at all.
func TestReplicaSets(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		set, pod bool
	}{
		"current":             {"replicas: 2", "replicas: 2", true, true},
		"old, running":        {"image: web:1", "image: web:0", false, false},
		"old, scaled to none": {"  replicas: 2\n  template:\n    metadata: {labels: {app: web, pod-template-hash: \"1\"}}\n    spec:\n      containers: [{name: web, image: web:1", "  replicas: 0\n  template:\n    metadata: {labels: {app: web, pod-template-hash: \"1\"}}\n    spec:\n      containers: [{name: web, image: web:0", false, false},
		"without an owner":    {", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldOf(t, deployment+"---\n"+change(t, replicaSet, test.old, test.new)+"---\n"+pod)
			got := Represented(w)
			set, pod := w.Kind(model.GroupKind{Group: "apps", Kind: "ReplicaSet"})[0], w.Kind(podKind)[0]
			if got[set] != test.set || got[pod] != test.pod {
				t.Errorf("ReplicaSet represented: %v, Pod: %v", got[set], got[pod])
			}
		})
	}
	// status.replicas counts pods that are not gone yet.
	idle := change(t, change(t, change(t, replicaSet, "image: web:1", "image: web:0"), "  replicas: 2", "  replicas: 0"), "status: {replicas: 2}", "status: {replicas: 0}")
	w := worldOf(t, deployment+"---\n"+idle)
	if !Represented(w)[w.Kind(model.GroupKind{Group: "apps", Kind: "ReplicaSet"})[0]] {
		t.Error("a ReplicaSet without pods speaks for itself")
	}
}

// TestReplicasThatDifferAlike: of the pods of one owner that are changed in the same
// way the first is judged; mirrors of static pods all are.
func TestReplicasThatDifferAlike(t *testing.T) {
	var text strings.Builder
	text.WriteString(deployment + "---\n" + replicaSet)
	for i, image := range []string{"proxy:1", "proxy:1", "proxy:2", "proxy:1"} {
		p := change(t, pod, "name: web-1-a", fmt.Sprintf("name: web-1-%d", i))
		p = strings.ReplaceAll(change(t, p, "node-1", fmt.Sprintf("node-%d", i)), "kube-api-access-x", fmt.Sprintf("kube-api-access-%d", i))
		text.WriteString("---\n" + change(t, p, "  volumes:", "  - {name: proxy, image: "+image+"}\n  volumes:"))
	}
	for _, node := range []string{"a", "b"} {
		fmt.Fprintf(&text, `---
apiVersion: v1
kind: Pod
metadata: {name: etcd-%[1]s, namespace: kube-system, uid: m%[1]s, annotations: {kubernetes.io/config.mirror: x}, ownerReferences: [{apiVersion: v1, kind: Node, name: %[1]s, uid: n, controller: true}]}
spec: {nodeName: %[1]s, containers: [{name: etcd, image: etcd}]}
`, node)
	}
	w := worldOf(t, text.String())
	got := Represented(w)
	for _, o := range w.Kind(podKind) {
		if want := o.Name == "web-1-1" || o.Name == "web-1-3"; got[o] != want {
			t.Errorf("%s represented: %v, want %v", o.Name, got[o], want)
		}
	}
}

// TestOtherControllers: what a StatefulSet, a DaemonSet and an indexed Job put into
// their pods is theirs.
func TestOtherControllers(t *testing.T) {
	const format = `apiVersion: %s
kind: %s
metadata: {name: o, namespace: shop, uid: o1}
spec:
  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]
  template:
    spec: {hostNetwork: true, containers: [{name: c, image: c:1, ports: [{containerPort: 80}], volumeMounts: [{name: data, mountPath: /data}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: o-0, namespace: shop, uid: p, ownerReferences: [{apiVersion: %[1]s, kind: %[2]s, name: o, uid: o1, controller: true}]}
spec:
  hostNetwork: true
  hostname: o-0
  affinity: {nodeAffinity: {}}
  %[3]s
  containers: [{name: c, image: c:1, ports: [{containerPort: 80, hostPort: 80}], volumeMounts: [{name: data, mountPath: /data}], %[4]s}]
`
	const claim = "volumes: [{name: data, persistentVolumeClaim: {claimName: data-o-0}}]"
	const index = "env: [{name: JOB_COMPLETION_INDEX, valueFrom: {fieldRef: {fieldPath: 'x'}}}]"
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"StatefulSet":            {fmt.Sprintf(format, "apps/v1", "StatefulSet", claim, ""), true},
		"StatefulSet, host path": {fmt.Sprintf(format, "apps/v1", "StatefulSet", "volumes: [{name: data, hostPath: {path: /}}]", ""), false},
		"DaemonSet":              {fmt.Sprintf(format, "apps/v1", "DaemonSet", "", ""), true},
		"Job":                    {fmt.Sprintf(format, "batch/v1", "Job", "", index), true},
		"DaemonSet with index":   {fmt.Sprintf(format, "apps/v1", "DaemonSet", "", index), false},
	} {
		w := worldOf(t, test.text)
		if got := Represented(w)[w.Kind(podKind)[0]]; got != test.want {
			t.Errorf("%s: represented %v, want %v", name, got, test.want)
		}
	}
}

// TestShare: pods that run as their template says hold that very template, and what
// they say does not change.
func TestShare(t *testing.T) {
	f := manifest.NewDecoder().Decode(model.Source{File: "f.yaml"}, []byte(deployment+"---\n"+replicaSet+"---\n"+pod))
	tpl := newTemplates(nil)
	tpl.add(f.Objects[:2])
	for _, o := range f.Objects[1:] {
		tpl.sharePod(o)
	}
	w := model.NewWorld(f.Objects, model.WorldOptions{Live: true})
	want := w.Objects[0].Pod().Spec
	for _, o := range w.Objects[1:] {
		if fmt.Sprintf("%p", o.Pod().Spec) != fmt.Sprintf("%p", want) {
			t.Errorf("%s has a spec of its own", o.Ref())
		}
		if !Represented(w)[o] {
			t.Errorf("%s speaks for itself", o.Ref())
		}
	}
}
