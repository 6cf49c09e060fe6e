// Package psp turns PodSecurityPolicies, which no supported API server serves, into
// what replaced them: the nearest level of Pod Security, with what it loosens and
// tightens field by field, and admission policies that keep the semantics of the
// PodSecurityPolicy admission of Kubernetes 1.24, the last release that had it.
//
// Each field of a policy becomes a rule of CEL expressions: what it refuses, and what
// it fills in. The ValidatingAdmissionPolicy and the MutatingAdmissionPolicy are made
// of the same rules, and so is the table of levels, which tries them on pods.
package psp
