// Package conformance holds the controls to the API server's own verdicts: its
// tests send every example of every exportable control to a real kube-apiserver
// with the exported policy. They run where BULKHEAD_TEST_KUBECONFIG names a
// cluster made for tests; make test starts one.
package conformance
