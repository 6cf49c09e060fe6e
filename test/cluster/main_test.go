package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asLauncher makes the test binary the launcher, for tests that need it as a process.
const asLauncher = "BULKHEAD_TEST_AS_LAUNCHER"

func TestMain(m *testing.M) {
	if os.Getenv(asLauncher) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdin, os.Stdout, os.Stderr, os.Args[1:]))
}

// TestCluster looks at one cluster from outside, as its users do.
func TestCluster(t *testing.T) {
	c := newTestCluster(t)

	t.Run("readyz", func(t *testing.T) {
		if code, body := c.get(t, "/readyz"); code != http.StatusOK || string(body) != "ok" {
			t.Errorf("got %d %q", code, body)
		}
	})
	t.Run("version", func(t *testing.T) {
		_, body := c.get(t, "/version")
		var version struct{ GitVersion, Major, Minor string }
		decode(t, body, &version)
		want, err := required("k8s.io/kubernetes")
		if err != nil {
			t.Fatal(err)
		}
		if version.GitVersion != want || want != "v"+version.Major+"."+version.Minor+want[strings.LastIndex(want, "."):] {
			t.Errorf("got %+v, want %s", version, want)
		}
	})
	t.Run("default service account", func(t *testing.T) {
		if code, body := c.get(t, "/api/v1/namespaces/default/serviceaccounts/default"); code != http.StatusOK {
			t.Errorf("got %d %s", code, body)
		}
	})
	t.Run("admin is in system:masters", func(t *testing.T) {
		code, body := c.post(t, "/apis/authentication.k8s.io/v1/selfsubjectreviews",
			`{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}`)
		if code != http.StatusCreated || !strings.Contains(string(body), `"system:masters"`) {
			t.Errorf("got %d %s", code, body)
		}
	})
	t.Run("anonymous is refused", func(t *testing.T) {
		anonymous := c.client.Transport.(*http.Transport).Clone()
		anonymous.TLSClientConfig.Certificates = nil
		response, err := (&http.Client{Transport: anonymous}).Get(c.url + "/api/v1/secrets")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		anonymous.CloseIdleConnections()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("got %s", response.Status)
		}
	})
	t.Run("deployment becomes a pending pod", c.testDeployment)
	t.Run("cluster roles are aggregated", func(t *testing.T) {
		c.eventually(t, func() error {
			_, body := c.get(t, "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin")
			var role struct{ Rules []any }
			decode(t, body, &role)
			if len(role.Rules) == 0 {
				return fmt.Errorf("ClusterRole admin has no rules")
			}
			return nil
		})
	})
	t.Run("pod security refuses", c.testPodSecurity)
	t.Run("admission policies are served", func(t *testing.T) {
		_, body := c.get(t, "/apis/admissionregistration.k8s.io/v1")
		var list struct{ Resources []struct{ Name string } }
		decode(t, body, &list)
		for _, want := range []string{"mutatingadmissionpolicies", "validatingadmissionpolicies"} {
			if !strings.Contains(fmt.Sprint(list.Resources), "{"+want+"}") {
				t.Errorf("no %s in %v", want, list.Resources)
			}
		}
	})
	t.Run("mutating admission policy mutates", c.testMutatingPolicy)
	t.Run("audit", c.testAudit)
	t.Run("kubeconfig is private", func(t *testing.T) {
		info, err := os.Stat(c.kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode is %s", info.Mode())
		}
	})
	t.Run("nothing is left after stop", func(t *testing.T) {
		if runtime.GOOS == "linux" && len(processesOf(t, c.folder.path)) != 3 {
			t.Errorf("got processes %v before stop, want 3", processesOf(t, c.folder.path))
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
		if left := processesOf(t, c.folder.path); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
		if _, err := os.Stat(c.folder.path); !os.IsNotExist(err) {
			t.Errorf("the temporary folder is left: %v", err)
		}
	})
}

// testCluster is a cluster with what tests ask of it.
type testCluster struct{ *cluster }

// newTestCluster starts a cluster whose first choice of a port is one that is taken.
func newTestCluster(t *testing.T) testCluster {
	t.Helper()
	bins := builtCache(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tried := 0
	racing := func() (ports, error) {
		at, err := freePorts()
		if tried++; tried == 1 {
			at.apiServer = taken.Addr().(*net.TCPAddr).Port
		}
		return at, err
	}
	c, err := startCluster(t.Context(), config{path: bins.path, ports: racing, log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.stopProcesses() })
	if tried != 2 {
		t.Errorf("the ports were chosen %d times, want 2", tried)
	}
	return testCluster{c}
}

// builtCache returns the cache with all binaries of a cluster in it.
func builtCache(t *testing.T) *cache {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real control plane")
	}
	bins, err := openCache(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if deadline, ok := t.Deadline(); ok && len(bins.missing(components)) > 0 && time.Until(deadline) < 20*time.Minute {
		t.Fatal("the binaries are not built yet, which takes longer than the test may: first run go run . build")
	}
	if err := bins.ensure(t.Context(), components...); err != nil {
		t.Fatal(err)
	}
	return bins
}

func (c testCluster) get(t *testing.T, path string) (int, []byte) {
	t.Helper()
	return c.do(t, http.MethodGet, path, "")
}

func (c testCluster) post(t *testing.T, path, body string) (int, []byte) {
	t.Helper()
	return c.do(t, http.MethodPost, path, body)
}

func (c testCluster) do(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// eventually waits until check is content.
func (c testCluster) eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// processesOf lists the processes that have dir in their command line.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		// A process may end while we look; a zombie's command line is empty.
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(dir)) {
			found = append(found, strings.Split(file, "/")[2])
		}
	}
	return found
}
