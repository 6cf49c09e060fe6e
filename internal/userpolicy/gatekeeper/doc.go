// Package gatekeeper judges objects by Gatekeeper's constraint templates and constraints,
// with the framework that Gatekeeper is made of: its Rego driver, and for templates in CEL
// a driver on the evaluator of this project behind the same interface.
//
// A template runs without a network, and for so long and no longer.
package gatekeeper
