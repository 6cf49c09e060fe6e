// Package userpolicy judges objects by policies of the user's own: control files,
// ValidatingAdmissionPolicies with their bindings and parameters, and Gatekeeper's
// constraint templates with their constraints. Each becomes a control, so that waivers,
// baselines, reports and exit codes treat it as any other.
package userpolicy
