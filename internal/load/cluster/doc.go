// Package cluster reads a live cluster into a Snapshot: kinds by discovery, objects
// by paged LISTs, and of each object only what an assessment reads.
//
// What could not be read is said in the world's coverage, with the reason, so that
// whoever needs it knows that it is unknown. A kind that the API server does not
// serve has no objects, which is known.
//
// # Memory
//
// A page is decoded object by object from the connection, so that one object and
// what is kept of those before it is all that is held. Dropped are managedFields,
// the values of Secrets, the manifest that kubectl remembers (but for its version),
// and of pods the status but for the phase. A pod that runs as the
// template of its controller says shares the template's spec, and what objects repeat
// (labels, references, containers) is in memory once.
//
// # Limitations
//
// Kinds are read one after the other, each at a moment of its own: a change in
// between may be seen in one kind and not in another.
package cluster
