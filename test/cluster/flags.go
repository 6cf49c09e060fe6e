package main

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"net"
	"os"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

// serviceNetwork holds the addresses of Services, which exist in objects only, and
// serviceIP is the first of it, which the API server gives to Service kubernetes.
const serviceNetwork = "10.96.0.0/16"

var serviceIP = net.IPv4(10, 96, 0, 1)

// ports are those of one attempt to start.
type ports struct{ etcd, etcdPeer, apiServer int }

// freePorts asks the kernel for ports that nobody listens on. Somebody may before the
// components do; then there is another attempt.
func freePorts() (ports, error) {
	var found [3]int
	for i := range found {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() // not before the last, so that they differ
		found[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports{found[0], found[1], found[2]}, nil
}

func httpsURL(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

func etcdFlags(f *folder, keys pki, at ports) []string {
	client, peer := httpsURL(at.etcd), httpsURL(at.etcdPeer)
	return []string{
		"--name=store",
		"--data-dir=" + f.file("etcd"),
		"--unsafe-no-fsync", // the data dies with the cluster anyway
		"--log-level=warn",
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=store=" + peer,
		"--client-cert-auth",
		"--trusted-ca-file=" + keys.cert("etcd-ca"),
		"--cert-file=" + keys.cert("etcd"),
		"--key-file=" + keys.key("etcd"),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + keys.cert("etcd-ca"),
		"--peer-cert-file=" + keys.cert("etcd"),
		"--peer-key-file=" + keys.key("etcd"),
	}
}

func apiServerFlags(f *folder, keys pki, at ports, admission string) []string {
	flags := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", at.apiServer),
		// Endpoints may not be loopback addresses, so Service kubernetes gets none.
		"--endpoint-reconciler-type=none",
		"--etcd-servers=" + httpsURL(at.etcd),
		"--etcd-cafile=" + keys.cert("etcd-ca"),
		"--etcd-certfile=" + keys.cert("etcd-client"),
		"--etcd-keyfile=" + keys.key("etcd-client"),
		"--tls-cert-file=" + keys.cert("apiserver"),
		"--tls-private-key-file=" + keys.key("apiserver"),
		"--client-ca-file=" + keys.cert("ca"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", // beside those that are on by default
		"--allow-privileged=true",                    // it is for admission to refuse them
		"--service-cluster-ip-range=" + serviceNetwork,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + keys.pub("service-account"),
		"--service-account-signing-key-file=" + keys.key("service-account"),
		"--audit-policy-file=" + f.file("audit-policy.yaml"),
		"--audit-log-path=" + f.file("audit.log"),
		"--audit-log-maxsize=1000", // MB; a test reads one file, not rotated ones
		"--audit-log-maxbackup=1",
		"--profiling=false",
	}
	if admission != "" {
		flags = append(flags, "--admission-control-config-file="+admission)
	}
	return flags
}

func controllerManagerFlags(f *folder, keys pki) []string {
	config := f.file("pki", "controller-manager.kubeconfig")
	return []string{
		"--kubeconfig=" + config,
		"--secure-port=0", // nobody asks it anything
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + keys.key("service-account"),
		"--root-ca-file=" + keys.cert("ca"),
		"--cluster-signing-cert-file=" + keys.cert("ca"),
		"--cluster-signing-key-file=" + keys.key("ca"),
		// The default, 20 a second, makes a test of a thousand pods wait for a minute.
		"--kube-api-qps=300",
		"--kube-api-burst=600",
		"--profiling=false",
	}
}

// writeKubeconfig writes the kubeconfig of the user whose certificate is called name. It
// holds the keys themselves, so that it can be copied.
func writeKubeconfig(path string, keys pki, name string, at ports) error {
	var data [3]string
	for i, file := range []string{keys.cert("ca"), keys.cert(name), keys.key(name)} {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("write kubeconfig of %s: %w", name, err)
		}
		data[i] = base64.StdEncoding.EncodeToString(text)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: bulkhead-test
contexts:
- name: bulkhead-test
  context: {cluster: bulkhead-test, user: %[1]s, namespace: default}
clusters:
- name: bulkhead-test
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
`, name, httpsURL(at.apiServer), data[0], data[1], data[2])
	return os.WriteFile(path, []byte(text), 0o600)
}
