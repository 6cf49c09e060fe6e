// Package child does work on hostile input in a process of its own.
//
// Rendering a Helm chart or building a kustomization cannot be stopped from
// inside: neither library looks at a context while it works, and neither
// bounds what it allocates. [Run] therefore starts the program again with one
// hidden sub-command, hands it a request as JSON on its standard input and
// reads the response as JSON from its standard output; [Serve] is what that
// sub-command runs. What the child may cost is in [Limits]:
//
//   - Time: the parent kills the child's whole process group at the deadline.
//     The child ends itself shortly after, in case the parent was killed.
//   - Memory: the child watches what the Go runtime holds and exits; on Linux
//     RLIMIT_AS stops the one allocation that is too large to be watched.
//   - Output: the parent stops reading, and kills.
//
// The child sees no environment of the parent's: no kubeconfig, no proxy, no
// credentials, and no PATH, so that no program (git, helm) can be found. Its
// HTTP default transport refuses every request.
//
// # Limitations
//
// The child is not a sandbox against code: it runs no code of the input, only
// templates and transformations. It has the file permissions of the parent.
// Outside Linux the memory limit is only watched, every few milliseconds.
package child
