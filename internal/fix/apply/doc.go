// Package apply says changes of objects to an API server: as server-side apply of
// nothing but the changed fields, where that can say them, and else as a JSON Patch
// that tests what it takes away.
//
// Server-side apply gives what it sets an owner, so that a later apply by somebody
// else either agrees or is told of the conflict. It cannot remove what another
// manager set (sigs.k8s.io/structured-merge-diff): a list that is atomic is given
// whole, and for anything else that goes away there is the JSON Patch.
package apply
