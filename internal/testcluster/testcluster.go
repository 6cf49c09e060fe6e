// Package testcluster connects tests to the real API server that make test starts.
package testcluster

import (
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config returns how to reach the API server, and the path of its kubeconfig. The
// test is skipped where there is none.
func Config(t *testing.T) (*rest.Config, string) {
	t.Helper()
	path := os.Getenv("BULKHEAD_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("BULKHEAD_TEST_KUBECONFIG is not set: make test starts a cluster and sets it")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 500, 500
	return config, path
}

// Discovered fails the test where not all kinds were discovered. Groups below example.com
// are those of other tests, which serve APIs that are down, or gone the next moment.
func Discovered(t *testing.T, err error) {
	t.Helper()
	failed, some := discovery.GroupDiscoveryFailedErrorGroups(err)
	for group, why := range failed {
		if !strings.HasSuffix(group.Group, ".example.com") {
			t.Errorf("discover %s: %v", group, why)
		}
	}
	if err != nil && !some {
		t.Fatal(err)
	}
}
