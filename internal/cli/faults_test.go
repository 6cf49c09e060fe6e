package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"bulkhead.dev/bulkhead/internal/finding"
)

// TestServerStopsMidScan: what was read before the API server was gone is judged, the
// rest is unknown with the reason, and the scan ends soon.
func TestServerStopsMidScan(t *testing.T) {
	c := connectLive(t)
	c.loadShop(t)
	c.waitForPods(t, "shop"+c.suffix, 4)
	target, err := url.Parse(c.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	var server *httptest.Server
	var pods atomic.Bool
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Pods are listed when all else was read: there is nobody to answer from then on.
		if strings.HasSuffix(r.URL.Path, "/pods") {
			pods.Store(true)
			server.Listener.Close()
			go server.CloseClientConnections()
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Start()
	t.Cleanup(server.Close)
	plain := *c
	plain.config = &rest.Config{}
	start := time.Now()
	r, s := scanResult(t, "--kubeconfig", plain.kubeconfig(t, &api.AuthInfo{}, server.URL), "--profile", "all")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	unread := slices.IndexFunc(r.Unknown, func(u finding.Unmet) bool { return u.What == "Pod" })
	if s.code != exitIncomplete || !pods.Load() || unread < 0 || !strings.Contains(r.Unknown[unread].Reason, "connection refused") {
		t.Errorf("exit code %d, unknown %v: %s", s.code, r.Unknown, s.stderr)
	}
	if n := len(c.failures(r)); n < 50 || r.Summary.Kinds["apps/Deployment"] < 2 {
		t.Errorf("%d failures in what was read", n)
	}
}

// TestBadCredentials: credentials that cannot be had, or are refused, are one message
// that says so, and the exit code 2.
func TestBadCredentials(t *testing.T) {
	c := connectLive(t)
	certificate, key := expiredCertificate(t)
	for name, test := range map[string]struct {
		user *api.AuthInfo
		want string
	}{
		"an expired certificate":   {&api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}, "log in again"},
		"no certificate at all":    {&api.AuthInfo{ClientCertificateData: []byte("x"), ClientKeyData: []byte("y")}, "certificate"},
		"a file that is missing":   {&api.AuthInfo{TokenFile: "/nonexistent/token"}, "/nonexistent/token"},
		"a plugin that is missing": {&api.AuthInfo{Exec: &api.ExecConfig{Command: "bulkhead-no-such-plugin", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: api.NeverExecInteractiveMode}}, "bulkhead-no-such-plugin"},
		"a plugin that fails":      {&api.AuthInfo{Exec: &api.ExecConfig{Command: "false", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: api.NeverExecInteractiveMode}}, "exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.kubeconfig(t, test.user, c.config.Host)
			for _, args := range [][]string{{"scan"}, {"fix", "--live"}, {"diff", "--live", "../../examples/shop"}} {
				s := command(t, append(args, "--kubeconfig", path)...)
				if s.code != exitNothing || !strings.Contains(s.stderr, test.want) || strings.Count(s.stderr, "bulkhead: ") != 1 || s.stdout != "" {
					t.Errorf("%v: got %+v", args, s)
				}
			}
		})
	}
}

// expiredCertificate is one of a client that ended an hour ago.
func expiredCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}
