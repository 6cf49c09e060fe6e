// Package helm renders Helm charts as `helm template` does, without a cluster
// and without a network, and keeps for every rendered line the template line
// that wrote it.
//
// [Render] runs the Helm SDK in a child process ([Child]), because a template
// cannot be stopped from inside; package child bounds its time, memory and
// output. The chart's files are read by this package and not by the SDK, whose
// loader follows symbolic links wherever they lead: a folder is read through
// [os.Root], an archive entry by entry, both under the limits of [Limits].
//
// # What is rendered
//
// Templates of the chart and of the subcharts that its conditions and tags
// enable, hooks (they run in the cluster too) and, where asked for, crds/. Test
// hooks and NOTES.txt are left out. `lookup` finds nothing, as in
// `helm template`, and DNS is not asked.
//
// # Lines
//
// A chart is rendered twice: once as it is, and once with marks in its
// templates' text that say which line they stand on. The marks are taken out
// again, and where both renderings have equally many lines, each line of the
// first is known to come from the template line marked in the second; for what
// an action wrote ({{ toYaml .Values.resources }}) that is the action's line.
// See mark.go.
//
// # Renderings with something changed
//
// Options.Overlay gives files of a chart folder other contents than they have on
// disk. [RenderEach] renders one chart many times, each time with other values
// over those of the options: reading it once makes that some ten times faster
// than as many calls of Render. [Values] tells which values there are.
//
// # Limitations
//
//   - Functions whose result differs from call to call (randAlphaNum, genCA,
//     uuidv4, now) do so here as well: two scans of such a chart see different
//     values, at the same places.
//   - Lines that a named template of another file wrote are those of the action
//     that included it.
//   - Dependencies are never fetched: what Chart.yaml names and charts/ lacks
//     is an error, unless it is disabled.
//   - A $ref in values.schema.json to another file or to a URL is not followed;
//     that part of the values is not checked, which is a warning.
//   - Charts of apiVersion v3, which Helm calls experimental, are refused.
package helm
