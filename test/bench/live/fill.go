package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

//go:embed namespace.yaml
var namespaceText string

const (
	workloads = 4 // in a namespace
	replicas  = 5 // of each, as namespace.yaml has it
	nodes     = 50
	writers   = 32
)

var (
	pods      = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	nodeKinds = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	spaces    = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// fill makes as many namespaces as are wanted, beside those that are there, and waits
// for what the controllers make in them.
func fill(ctx context.Context, config *rest.Config, to int) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range nodes {
		if err := create(ctx, client, nodeKinds, node(i)); err != nil {
			return err
		}
	}
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range to {
		g.Go(func() error { return fillNamespace(within, client, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := runPods(ctx, client, to*workloads*replicas); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d namespaces, %d workloads and %d pods are there after %.0f s\n", to, to*workloads, to*workloads*replicas, time.Since(start).Seconds())
	return nil
}

func fillNamespace(ctx context.Context, client dynamic.Interface, number int) error {
	name := strconv.Itoa(number)
	if err := create(ctx, client, spaces, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": "team-" + name, "labels": map[string]any{"pod-security.kubernetes.io/warn": "restricted"}}}}); err != nil {
		return err
	}
	once, each, _ := strings.Cut(strings.ReplaceAll(namespaceText, "NS", name), "# each\n")
	texts := []string{once}
	for i := range workloads {
		texts = append(texts, strings.ReplaceAll(each, "web-N", "web-"+strconv.Itoa(i)))
	}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(strings.Join(texts, "---\n"))), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := d.Decode(&o.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := create(ctx, client, resourceOfKind(o), o); err != nil {
			return err
		}
	}
}

func create(ctx context.Context, client dynamic.Interface, r schema.GroupVersionResource, o *unstructured.Unstructured) error {
	_, err := client.Resource(r).Namespace(o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// resourceOfKind is right for the kinds of namespace.yaml.
func resourceOfKind(o *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	name := strings.ToLower(gvk.Kind) + "s"
	if strings.HasSuffix(name, "ys") {
		name = strings.TrimSuffix(name, "ys") + "ies"
	}
	return gvk.GroupVersion().WithResource(name)
}

// resourceOf reads /api/v1/pods and /apis/apps/v1/deployments.
func resourceOf(path string) schema.GroupVersionResource {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "api" {
		return schema.GroupVersionResource{Version: parts[1], Resource: parts[2]}
	}
	return schema.GroupVersionResource{Group: parts[1], Version: parts[2], Resource: parts[3]}
}

func node(i int) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": "node-" + strconv.Itoa(i), "labels": map[string]any{"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}}}
}

// runPods waits until the controllers have made all pods, and does for those that
// wait what the scheduler and a kubelet would.
func runPods(ctx context.Context, client dynamic.Interface, want int) error {
	deadline := time.Now().Add(20 * time.Minute)
	for {
		running, pending, err := podsByPhase(ctx, client)
		if err != nil {
			return err
		}
		if running == want && len(pending) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d pods run after 20 minutes", running, want)
		}
		g, within := errgroup.WithContext(ctx)
		g.SetLimit(writers)
		for i, p := range pending {
			g.Go(func() error { return runPod(within, client, p, i) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if len(pending) == 0 {
			time.Sleep(time.Second)
		}
	}
}

func podsByPhase(ctx context.Context, client dynamic.Interface) (running int, pending []*unstructured.Unstructured, err error) {
	for token := ""; ; {
		page, err := client.Resource(pods).List(ctx, metav1.ListOptions{Limit: 500, Continue: token})
		if err != nil {
			return 0, nil, err
		}
		for i := range page.Items {
			if phase, _, _ := unstructured.NestedString(page.Items[i].Object, "status", "phase"); phase == "Running" {
				running++
			} else {
				pending = append(pending, &page.Items[i])
			}
		}
		if token = page.GetContinue(); token == "" {
			return running, pending, nil
		}
	}
}

func runPod(ctx context.Context, client dynamic.Interface, p *unstructured.Unstructured, i int) error {
	on := client.Resource(pods).Namespace(p.GetNamespace())
	if assigned, _, _ := unstructured.NestedString(p.Object, "spec", "nodeName"); assigned == "" {
		binding := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Binding",
			"metadata": map[string]any{"name": p.GetName(), "namespace": p.GetNamespace()},
			"target":   map[string]any{"apiVersion": "v1", "kind": "Node", "name": "node-" + strconv.Itoa(i%nodes)}}}
		if _, err := on.Create(ctx, binding, metav1.CreateOptions{}, "binding"); err != nil {
			return err
		}
	}
	_, err := on.Patch(ctx, p.GetName(), types.MergePatchType, []byte(podStatus), metav1.PatchOptions{}, "status")
	return err
}

// podStatus is what a kubelet writes of a pod that runs.
const podStatus = `{"status": {"phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "startTime": "2026-01-01T00:00:00Z",
"conditions": [
 {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
 {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
 {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
 {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
 {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
"containerStatuses": [
 {"name": "web", "ready": true, "started": true, "restartCount": 0, "image": "registry.example.com/web:1.4.2",
  "imageID": "registry.example.com/web@sha256:0000000000000000000000000000000000000000000000000000000000000000",
  "containerID": "containerd://0000000000000000000000000000000000000000000000000000000000000000", "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}}},
 {"name": "proxy", "ready": true, "started": true, "restartCount": 0, "image": "registry.example.com/mesh/proxy:2.9",
  "imageID": "registry.example.com/mesh/proxy@sha256:0000000000000000000000000000000000000000000000000000000000000000",
  "containerID": "containerd://0000000000000000000000000000000000000000000000000000000000000000", "state": {"running": {"startedAt": "2026-01-01T00:00:04Z"}}}]}}`
