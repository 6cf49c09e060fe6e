// Package kustomize builds kustomizations as `kustomize build` does, from local
// files only, and keeps for every object the base file, the patch or the
// generator that it came from.
//
// kustomize's API clones git repositories and fetches URLs by itself, wherever
// a path may stand. [Inspect] therefore reads every kustomization file first,
// recursively, and looks at every reference: what is remote, missing, leads out
// through a symbolic link, refers back to itself, inflates a Helm chart or is a
// plugin is an error that names the file and the line. [Render] inspects, and
// then builds in a child process ([Child]) that has no network and no programs,
// under the limits of [Limits].
//
// # What may be read
//
// As in kustomize, files lie in or below the folder of the kustomization that
// names them, while other kustomizations may be anywhere (../base). Symbolic
// links are followed only where they lead to a place inside [Options].Boundary.
// Special files are never opened.
//
// [Options].Overlay puts content in the place of files, or of files that are not
// there yet, so that a change can be built before it is written. What holds for
// files holds for it: where it may lie, what it may refer to, how large it is.
//
// # Provenance
//
// The build runs with origin annotations switched on, in a copy of the top
// kustomization that exists in memory only, and they are taken out of the
// result where the user did not ask for them. What an object's fields came from
// is found by comparing it with the object in its base file and with the
// patches that name it; see provenance.go.
//
// # Limitations
//
//   - helmCharts are not inflated: scan the chart itself.
//   - Fields that transformers set (namespace, labels, images, replacements)
//     are those of the base, with its line, or of no known line.
//   - kustomize's build annotations with the original names are gone from its
//     result, so an object is found in its base file by kind and by the part of
//     its name that prefixes and suffixes left; where two objects of one file
//     fit equally well, its line is not known.
package kustomize
