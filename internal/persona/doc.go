// Package persona makes roles and bindings of what an organisation wants to say, such
// as "developers of shop", and holds a cluster against what was said.
//
// What each persona may do is data: catalogue.yaml. Personas are read from objects of
// kind Personas and made into a Set: objects for the API server, and a Check that says
// what their subjects may do, must not do, and whom they may become. The set is made
// only if the analysis of package rbac finds that to be so, and its controls find
// nothing wrong but with personas that are meant to be powerful. The same Check is then
// held against a cluster, to find what has changed since.
package persona
