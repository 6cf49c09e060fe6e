package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A pki is a folder of keys and certificates: NAME.key and NAME.crt.
type pki struct{ dir string }

func (p pki) cert(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p pki) key(name string) string  { return filepath.Join(p.dir, name+".key") }
func (p pki) pub(name string) string  { return filepath.Join(p.dir, name+".pub") }

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newPKI creates all keys and certificates of a cluster in dir. etcd has an authority
// of its own: who may speak to the API server may not therefore speak to its store.
func newPKI(dir string) (pki, error) {
	p := pki{dir}
	cluster, err := p.authority("ca", "bulkhead-test-cluster")
	if err != nil {
		return p, err
	}
	store, err := p.authority("etcd-ca", "bulkhead-test-etcd")
	if err != nil {
		return p, err
	}
	loopback := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, c := range []struct {
		name     string
		signer   authority
		template x509.Certificate
	}{
		{"apiserver", cluster, x509.Certificate{
			Subject: pkix.Name{CommonName: "kube-apiserver"},
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local"},
			IPAddresses: append(loopback, serviceIP),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}},
		{"admin", cluster, x509.Certificate{
			Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}},
		{"controller-manager", cluster, x509.Certificate{
			Subject:     pkix.Name{CommonName: "system:kube-controller-manager"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}},
		{"etcd", store, x509.Certificate{
			Subject:     pkix.Name{CommonName: "etcd"},
			DNSNames:    []string{"localhost"},
			IPAddresses: loopback,
			// etcd is a client of itself: of its peer port and its gateway.
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}},
		{"etcd-client", store, x509.Certificate{
			Subject:     pkix.Name{CommonName: "kube-apiserver"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}},
	} {
		if err := p.issue(c.name, c.template, c.signer); err != nil {
			return p, err
		}
	}
	return p, p.signingKey("service-account")
}

func (p pki) authority(name, commonName string) (authority, error) {
	key, err := p.newKey(name)
	if err != nil {
		return authority{}, err
	}
	template := x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := p.sign(name, &template, authority{&template, key}, key)
	return authority{cert, key}, err
}

func (p pki) issue(name string, template x509.Certificate, signer authority) error {
	key, err := p.newKey(name)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	_, err = p.sign(name, &template, signer, key)
	return err
}

func (p pki) sign(name string, template *x509.Certificate, signer authority, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	// An hour ago, for a clock that is set back while the cluster runs. A serial number
	// that is absent is a random one.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		return nil, fmt.Errorf("create certificate %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", name, err)
	}
	return cert, writePEM(p.cert(name), "CERTIFICATE", der)
}

// signingKey creates a key pair without a certificate.
func (p pki) signingKey(name string) error {
	key, err := p.newKey(name)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encode public key %s: %w", name, err)
	}
	return writePEM(p.pub(name), "PUBLIC KEY", der)
}

func (p pki) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", name, err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key %s: %w", name, err)
	}
	return key, writePEM(p.key(name), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// clientTLS is the configuration of a client with the certificate called name, for
// servers of the authority called ca.
func (p pki) clientTLS(name, ca string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.cert(name), p.key(name))
	if err != nil {
		return nil, fmt.Errorf("read client certificate %s: %w", name, err)
	}
	text, err := os.ReadFile(p.cert(ca))
	if err != nil {
		return nil, fmt.Errorf("read authority %s: %w", ca, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read authority %s: no certificate in %s", ca, p.cert(ca))
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
