// Command cluster builds and starts a real Kubernetes control plane on the
// loopback interface: etcd, kube-apiserver and kube-controller-manager, compiled
// from the Go modules that go.mod pins. Tests that need the API server's own
// verdict (RBAC, admission, garbage collection) run against it; it needs neither
// a container runtime nor root.
//
//	go run . build                                     build the binaries, once
//	go run . start --load ../../examples/shop          run until Ctrl-C
//	go run . exec --chdir ../.. -- go test ./...       run a command with a cluster
//	go run . kubectl -- get pods                       kubectl of the same version
//
// # What runs
//
// Authorization is Node and RBAC. Admission is what is on by default, PodSecurity,
// ValidatingAdmissionPolicy and MutatingAdmissionPolicy among it, and NodeRestriction,
// without which the Node authorizer means little. The controller manager runs its
// default controllers, each with its own service account. The kubeconfig holds a
// client certificate of a user in system:masters. etcd, too, wants a client
// certificate, so that nobody else on the machine can read it. Ports are free ones,
// chosen anew when another process was faster.
//
// A cluster's folder holds
//
//	kubeconfig      0600; exec passes it on in BULKHEAD_TEST_KUBECONFIG and KUBECONFIG
//	audit.log       JSON lines: RequestResponse for rbac.authorization.k8s.io, Metadata for the rest
//	logs/           one file a component
//	pki/            keys and certificates, good for a year
//	etcd/           the data, written without fsync
//
// It is a temporary folder, removed at the end, unless --dir names one. A cluster
// always starts empty: what a former one left in --dir is replaced. Paths of --load,
// --dir and --admission-config are relative to the folder that the command runs in,
// which is this one under go -C.
//
// # What is cached where
//
// Binaries are in $BULKHEAD_TEST_CACHE, or else in bulkhead/test-cluster of
// os.UserCacheDir, in a folder named after the versions of Kubernetes, etcd and Go and
// a hash of go.mod, the platform and the build's flags. The folder holds about 250 MB,
// and 60 MB more once kubectl was needed. Nothing is evicted: delete the folder to get
// the space back. The compiled packages are, as ever, in Go's build cache (go env
// GOCACHE).
//
// To move to another version of Kubernetes, change v1.X.Y and every v0.X.Y in go.mod
// and run go mod tidy.
//
// # Limitations
//
// There is no kubelet and no scheduler: pods stay Pending until a test (or kwok) binds
// them to a node and gives them a status, and a Node without a heartbeat turns NotReady.
// There is no kube-proxy and no DNS, and Service kubernetes has no endpoints. There is
// no aggregation layer beyond the API server's own groups. The service network,
// 10.96.0.0/16, exists in objects only.
//
// Linux and macOS only. On Linux nothing outlives the launcher, however it ends; on
// macOS, one that is killed with SIGKILL leaves the three processes behind. After a
// SIGKILL a temporary folder stays. The command that exec runs is ended with its
// children, except where there is a terminal: there, Ctrl-C reaches them all, and another
// signal the command only.
//
// go run exits with 1 whatever the command's exit code was; where the code matters,
// go build the launcher and run that.
package main
