package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/model"
)

// TestLargeObjects: objects as large as etcd takes them, 1.5 MiB by default, are read
// whole, and so is what stands between them.
func TestLargeObjects(t *testing.T) {
	s := connect(t)
	// One byte more of the value, and some of the rest, is one byte more in etcd.
	large := strings.Repeat("x", 1536<<10-4<<10)
	labels := map[string]string{"app": "x"}
	for i := range 4 {
		value := large
		if i%2 == 1 {
			value = "small"
		}
		none := int32(0)
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("d%d", i)}, Spec: appsv1.DeploymentSpec{Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "a", Image: "registry.example/a:1", Env: []corev1.EnvVar{{Name: "A", Value: value}}}}}}}}
		if _, err := s.kube.AppsV1().Deployments(s.namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w := s.read(t, s.config, deploymentKind)
	found := w.Kind(deploymentKind)
	if len(found) != 4 || len(w.Coverage()) > 0 {
		t.Fatalf("%d objects, coverage %v", len(found), w.Coverage())
	}
	for _, o := range found {
		container, _ := o.Pod().Spec["containers"].([]any)[0].(map[string]any)
		env, _ := container["env"].([]any)
		value, _ := model.Get(env[0], "value").(string)
		if want := map[bool]int{true: len(large), false: len("small")}[o.Name == "d0" || o.Name == "d2"]; len(value) != want {
			t.Errorf("%s has %d bytes, want %d", o.Name, len(value), want)
		}
	}
}

// scale is by how much more than usual a test reads: BULKHEAD_TEST_SCALE=10 makes
// 50,000 objects of one kind.
func scale(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("BULKHEAD_TEST_SCALE"))
	if err != nil {
		return 1
	}
	t.Logf("at scale %d", n)
	return n
}

// TestManyObjects: of a kind with very many objects each is read once, in pages, and
// of each no more is held than what a scan keeps.
func TestManyObjects(t *testing.T) {
	s := connect(t)
	n := 5000 * scale(t)
	start := time.Now()
	s.many(t, n)
	t.Logf("made %d objects in %v", n, time.Since(start).Round(time.Second))

	var pages atomic.Int64
	config := s.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if isList(r, "configmaps") {
			pages.Add(1)
		}
		return false
	}, nil)
	before := heap()
	start = time.Now()
	w := s.read(t, config, configMapKind)
	took, held := time.Since(start), heap()-before
	names := map[string]bool{}
	for _, o := range w.Kind(configMapKind) {
		if strings.HasPrefix(o.Name, "many-") {
			names[o.Name] = true
		}
	}
	t.Logf("read %d in %d pages and %v, %d bytes held of each", len(names), pages.Load(), took.Round(10*time.Millisecond), held/int64(n))
	if len(names) != n || len(w.Coverage()) > 0 {
		t.Errorf("%d of %d were read, coverage %v", len(names), n, w.Coverage())
	}
	if got := len(w.Kind(configMapKind)); got > n+1 {
		t.Errorf("%d objects, of %d that there are", got, n+1)
	}
	if want := int64(n/pageSize + 1); pages.Load() > want {
		t.Errorf("%d pages, want %d", pages.Load(), want)
	}
	if held/int64(n) > 6<<10 {
		t.Errorf("%d bytes are held of each object", held/int64(n))
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// many makes small ConfigMaps, and removes them all at once.
func (s *realServer) many(t *testing.T, n int) {
	t.Helper()
	config := rest.CopyConfig(s.config)
	config.QPS, config.Burst = -1, 0
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(s.namespace)
	t.Cleanup(func() {
		_ = client.DeleteCollection(context.WithoutCancel(t.Context()), metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(48)
	for i := range n {
		g.Go(func() error {
			c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("many-%05d", i)}, Data: map[string]string{"key": "value"}}
			_, err := client.Create(ctx, c, metav1.CreateOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
