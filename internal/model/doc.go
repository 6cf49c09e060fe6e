// Package model is a cluster as one immutable Snapshot: objects, the worlds they
// belong to, what was observed of each kind, and where each field is written.
//
// A Snapshot has one World for each rendered root (a chart, a kustomization,
// all plain files together, a cluster). A World is closed in itself: names,
// selectors and references resolve within it.
package model
