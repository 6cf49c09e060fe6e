package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// realServer is an API server with a namespace for one test.
type realServer struct {
	config    *rest.Config
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func connect(t *testing.T) *realServer {
	t.Helper()
	config, _ := testcluster.Config(t)
	s := &realServer{config: config, kube: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config)}
	ns, err := s.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "live-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.namespace = ns.Name
	t.Cleanup(func() {
		_ = s.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{})
	})
	return s
}

// through returns a config that reaches the API server by way of a fault: a function
// that answers itself, or changes the request or the answer, and reports whether the
// request is done.
func (s *realServer) through(t *testing.T, before func(http.ResponseWriter, *http.Request) bool, after func(*http.Response) error) *rest.Config {
	t.Helper()
	target, err := url.Parse(s.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(s.config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, ModifyResponse: after,
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL, QPS: 500, Burst: 500}
}

func (s *realServer) configMaps(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%02d", i)}, Data: map[string]string{"k": strings.Repeat("v", 100)}}
		if _, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	configMapKind  = model.GroupKind{Kind: "ConfigMap"}
	serviceKind    = model.GroupKind{Kind: "Service"}
	deploymentKind = model.GroupKind{Group: "apps", Kind: "Deployment"}
)

func (s *realServer) read(t *testing.T, config *rest.Config, kinds ...model.GroupKind) *model.World {
	t.Helper()
	got, err := Read(t.Context(), config, Options{Name: "test", Kinds: kinds, Namespace: s.namespace})
	if err != nil {
		t.Fatal(err)
	}
	return got.Worlds[0]
}

func isList(r *http.Request, resource string) bool {
	return strings.HasSuffix(r.URL.Path, "/"+resource)
}

// smallPages makes the API server's pages small, and counts them.
func smallPages(resource string, size int, pages *atomic.Int64) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if isList(r, resource) {
			pages.Add(1)
			if q := r.URL.Query(); q.Get("limit") != "" {
				q.Set("limit", strconv.Itoa(size))
				r.URL.RawQuery = q.Encode()
			}
		}
		return false
	}
}

func TestPages(t *testing.T) {
	s := connect(t)
	s.configMaps(t, 23)
	var pages atomic.Int64
	w := s.read(t, s.through(t, smallPages("configmaps", 5, &pages), nil), configMapKind)
	// 23, and kube-root-ca.crt once its controller has made it.
	if n := len(w.Kind(configMapKind)); n != 23 && n != 24 {
		t.Errorf("read %d", n)
	}
	if pages.Load() != 5 || len(w.Coverage()) > 0 {
		t.Errorf("%d pages, coverage %v", pages.Load(), w.Coverage())
	}
	names := map[string]bool{}
	for _, o := range w.Kind(configMapKind) {
		names[o.Name] = true
		if o.Namespace != s.namespace || o.Version != "v1" || o.Get("metadata", "managedFields") != nil || o.Locate(nil) != nil {
			t.Errorf("%+v", o)
		}
	}
	for i := range 23 {
		if !names[fmt.Sprintf("c%02d", i)] {
			t.Errorf("c%02d is missing", i)
		}
	}
}

const expired = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"The provided continue parameter is too old","reason":"Expired","code":410}`

// TestExpiredToken: the list is read again as a whole, once.
func TestExpiredToken(t *testing.T) {
	s := connect(t)
	s.configMaps(t, 12)
	for name, test := range map[string]struct {
		fullFails bool
		unknown   bool
	}{"once": {false, false}, "and then not at all": {true, true}} {
		t.Run(name, func(t *testing.T) {
			var pages, full atomic.Int64
			small := smallPages("configmaps", 5, &pages)
			config := s.through(t, func(w http.ResponseWriter, r *http.Request) bool {
				small(w, r)
				if !isList(r, "configmaps") {
					return false
				}
				whole := r.URL.Query().Get("limit") == ""
				if whole {
					full.Add(1)
				}
				if r.URL.Query().Get("continue") == "" && !(whole && test.fullFails) {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusGone)
				_, _ = io.WriteString(w, expired)
				return true
			}, nil)
			w := s.read(t, config, configMapKind)
			reason := w.Unobserved(configMapKind, s.namespace)
			if full.Load() != 1 || (reason != "") != test.unknown || !test.unknown && len(w.Kind(configMapKind)) < 12 {
				t.Errorf("%d full lists, %d objects, reason %q", full.Load(), len(w.Kind(configMapKind)), reason)
			}
		})
	}
}

// TestFaults: whatever goes wrong with one kind, it is unobserved with a reason, the
// others are read, and what came of it before is kept.
func TestFaults(t *testing.T) {
	s := connect(t)
	s.configMaps(t, 12)
	cut := func(r *http.Response) error {
		if isList(r.Request, "configmaps") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body[:len(body)*2/3]))
			r.ContentLength = -1
			r.Header.Del("Content-Length")
		}
		return nil
	}
	answer := func(code int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if isList(r, "configmaps") {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				_, _ = io.WriteString(w, text)
			}
			return isList(r, "configmaps")
		}
	}
	for name, test := range map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		after  func(*http.Response) error
		want   string
		kept   bool
	}{
		"an answer that breaks off": {nil, cut, "the answer broke off", true},
		"not JSON":                  {answer(200, "<html>"), nil, "invalid character", false},
		"another shape":             {answer(200, `{"items": {"a": 1}}`), nil, "items begin with {", false},
		"an item that is a number":  {answer(200, `{"items": [7]}`), nil, "cannot unmarshal number", false},
		"an error inside":           {answer(500, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"conversion webhook failed","code":500}`), nil, "conversion webhook failed", false},
		"no status":                 {answer(502, "bad gateway"), nil, "an error on the server", false},
		"pages without an end":      {answer(200, `{"metadata": {"continue": "x"}, "items": []}`), nil, "the same page again", false},
		"closed": {func(_ http.ResponseWriter, r *http.Request) bool {
			if isList(r, "configmaps") {
				panic(http.ErrAbortHandler)
			}
			return false
		}, nil, "EOF", false},
		"too slow": {func(_ http.ResponseWriter, r *http.Request) bool {
			if isList(r, "configmaps") {
				<-r.Context().Done()
			}
			return false
		}, nil, "did not answer in time", false},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.through(t, test.before, test.after)
			config.Timeout = 2 * time.Second
			w := s.read(t, config, configMapKind, serviceKind, deploymentKind)
			if reason := w.Unobserved(configMapKind, s.namespace); !strings.Contains(reason, test.want) {
				t.Errorf("reason %q, want %q", reason, test.want)
			}
			if got := len(w.Kind(configMapKind)) > 0; got != test.kept {
				t.Errorf("%d ConfigMaps are kept", len(w.Kind(configMapKind)))
			}
			if len(w.Coverage()) != 1 || w.Namespace(s.namespace) == nil {
				t.Errorf("coverage %v", w.Coverage())
			}
		})
	}
}

// TestConnectionBreaksOnce: that is no reason for a kind to be unknown.
func TestConnectionBreaksOnce(t *testing.T) {
	s := connect(t)
	s.configMaps(t, 3)
	var once atomic.Bool
	config := s.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if isList(r, "configmaps") && r.URL.Query().Get("continue") == "" && !once.Swap(true) {
			panic(http.ErrAbortHandler)
		}
		return false
	}, nil)
	w := s.read(t, config, configMapKind)
	if len(w.Coverage()) > 0 || len(w.Kind(configMapKind)) < 3 || !once.Load() {
		t.Errorf("%d objects, coverage %v", len(w.Kind(configMapKind)), w.Coverage())
	}
}

// TestServerStops: what was read before is used, and the rest does not wait for each
// kind in turn.
func TestServerStops(t *testing.T) {
	s := connect(t)
	var lists atomic.Int64
	var stopped atomic.Bool
	config := s.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("limit") != "" {
			lists.Add(1)
			if stopped.Load() || isList(r, "services") {
				stopped.Store(true)
				panic(http.ErrAbortHandler)
			}
		}
		return false
	}, nil)
	var kinds []model.GroupKind
	for _, r := range model.BuiltinResources() {
		kinds = append(kinds, r.GroupKind)
	}
	w := s.read(t, config, kinds...)
	missing := len(w.Coverage())
	if w.Namespace(s.namespace) == nil || missing == 0 {
		t.Errorf("coverage %v", w.Coverage())
	}
	if w.Unobserved(podKind, s.namespace) == "" {
		t.Error("pods were read after the server had stopped")
	}
	// client-go asks again where a connection was closed.
	if n := int(lists.Load()); n > missing+60 {
		t.Errorf("%d requests for %d kinds that were missing", n, missing)
	}
}

// TestInterrupt: Ctrl-C ends a scan at once, with the context's error.
func TestInterrupt(t *testing.T) {
	s := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	config := s.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if isList(r, "configmaps") {
			once.Do(cancel)
			<-r.Context().Done()
		}
		return false
	}, nil)
	start := time.Now()
	_, err := Read(ctx, config, Options{Kinds: []model.GroupKind{configMapKind}})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// create makes an object of a YAML text that belongs to the whole cluster.
func (s *realServer) create(t *testing.T, gvr schema.GroupVersionResource, text string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := s.dynamic.Resource(gvr).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.dynamic.Resource(gvr).Delete(context.WithoutCancel(t.Context()), u.GetName(), metav1.DeleteOptions{})
	})
}

// TestExtensions: the group of an extension server that is down is unobserved, and so
// is a custom resource whose conversion fails; one that is not installed has no
// objects, which is known.
func TestExtensions(t *testing.T) {
	s := connect(t)
	suffix := strings.TrimPrefix(s.namespace, "live-")
	down, broken := "down-"+suffix+".example.com", "broken-"+suffix+".example.com"
	s.create(t, schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}, fmt.Sprintf(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.%s}
spec: {group: %[1]s, version: v1, groupPriorityMinimum: 1000, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: nothing, namespace: %s}}
`, down, s.namespace))
	s.create(t, schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.%s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: Thing, plural: things}
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {service: {name: nothing, namespace: %s}}}}
  versions:
  - {name: v1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
  - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`, broken, s.namespace))
	thing := &unstructured.Unstructured{Object: map[string]any{"apiVersion": broken + "/v1beta1", "kind": "Thing", "metadata": map[string]any{"name": "t"}}}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := s.dynamic.Resource(schema.GroupVersionResource{Group: broken, Version: "v1beta1", Resource: "things"}).Namespace(s.namespace).Create(ctx, thing.DeepCopy(), metav1.CreateOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	downKind, brokenKind, absentKind := model.GroupKind{Group: down, Kind: "X"}, model.GroupKind{Group: broken, Kind: "Thing"}, model.GroupKind{Group: "absent.example.com", Kind: "X"}
	var w *model.World
	err = wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		w = s.read(t, s.config, downKind, brokenKind, absentKind, serviceKind)
		return w.Unobserved(downKind, s.namespace) != "" && w.Unobserved(brokenKind, s.namespace) != "", nil
	})
	if err != nil {
		t.Fatalf("coverage %v", w.Coverage())
	}
	if reason := w.Unobserved(downKind, s.namespace); !strings.Contains(reason, "cannot say whether it serves") {
		t.Errorf("an extension server that is down: %q", reason)
	}
	if reason := w.Unobserved(brokenKind, s.namespace); !strings.Contains(reason, "conversion webhook") {
		t.Errorf("a conversion that fails: %q", reason)
	}
	if w.Unobserved(absentKind, s.namespace) != "" || w.Unobserved(serviceKind, s.namespace) != "" {
		t.Errorf("coverage %v", w.Coverage())
	}
}

// TestSecrets: no value of a Secret is kept, in whatever part of it, and neither is
// the manifest that kubectl remembers.
func TestSecrets(t *testing.T) {
	s := connect(t)
	const marker = "c2VjcmV0LW1hcmtlcg"
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Annotations: map[string]string{
		model.LastApplied: `{"apiVersion":"v1","kind":"Secret","data":{"password":"` + marker + `"}}`}},
		Data: map[string][]byte{"password": []byte(marker)}, Type: "example.com/any"}
	if _, err := s.kube.CoreV1().Secrets(s.namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := s.read(t, s.config, secretKind)
	i := slices.IndexFunc(w.Kind(secretKind), func(o *model.Object) bool { return o.Name == "s" })
	if i < 0 {
		t.Fatal("the Secret was not read")
	}
	o := w.Kind(secretKind)[i]
	if text := fmt.Sprint(o.Content); strings.Contains(text, marker) || strings.Contains(text, "YzJWa") {
		t.Errorf("a value is kept: %s", text)
	}
	if o.Map("data")["password"] != "" || o.Text("type") != "example.com/any" || o.Annotations()[model.LastApplied] != `{"apiVersion":"v1","kind":"Secret"}` {
		t.Errorf("got %v", o.Content)
	}
}
