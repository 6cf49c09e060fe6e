// Package vap judges objects by ValidatingAdmissionPolicies as the API server does when
// they are created: by its own matcher, its compiler and its validator, under its cost
// limits. What only a running API server knows (who makes the request, parameters that
// were not given) makes a verdict unknown.
package vap
