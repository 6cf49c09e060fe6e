// Package admission holds controls that judge one object at a time as the API
// server's own admission policies do. A control file is parsed here; its
// expressions are compiled in the API server's CEL environment, under its cost
// limits, and evaluated by its evaluator; its mutation is applied by its patch
// package; and the same control is written out as a ValidatingAdmissionPolicy
// and a MutatingAdmissionPolicy.
//
// The controls that concern one object are evaluated together in one composited
// condition, so that what they share (the pod, its containers) is computed once.
package admission
