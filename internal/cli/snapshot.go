package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load/archive"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy"
)

type snapshotFlags struct {
	scanFlags
	output string
}

func newSnapshot(env *Env) *cobra.Command {
	f := &snapshotFlags{}
	c := &cobra.Command{
		Use:   "snapshot [PATH...]",
		Short: "Record what a scan reads, without secret values",
		Long: `Snapshot writes what a scan of the same input reads to one file, which bulkhead
scan reads with the same result: to judge it elsewhere, or again later. Without a
path that is the cluster of the kubeconfig.

No secret value is in it. Left out are the values of Secrets and ConfigMaps,
environment variables and HTTP headers; commands and arguments but for the names
of flags; what stands between :// and @; and what kubectl keeps of what was
applied. What the controls say of those values is recorded in their place.`,
		Example: `  # record the cluster of the current context, and scan the record elsewhere
  bulkhead snapshot -o prod.snapshot
  bulkhead scan prod.snapshot

  # the same of files
  bulkhead snapshot deploy/ -o shop.snapshot
  bulkhead scan shop.snapshot`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.checkInput(c, args); err != nil {
				return err
			}
			return runSnapshot(c.Context(), env, f, args)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.output, "output", "o", "", "file to write, or - for standard output")
	fs.StringVarP(&f.namespace, "namespace", "n", "", "of a cluster: read only this namespace (default all); of files: namespace of objects that name none (default \"default\")")
	fs.BoolVar(&f.complete, "complete", false, "the input is all there is: what it lacks does not exist")
	fs.StringVar(&f.kubernetesVersion, "kubernetes-version", "", fmt.Sprintf("Kubernetes release to render and judge for (default 1.%d)", kubernetesMinor))
	addChartFlags(fs, &f.helm)
	addOwnPolicies(fs, &f.policies)
	fs.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "do not exit with 3 when something could not be read")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	addLiveFlags(fs, &f.scanFlags)
	return c
}

func runSnapshot(ctx context.Context, env *Env, f *snapshotFlags, paths []string) error {
	switch {
	case f.live.selector != "":
		return usageError{errors.New("--selector is for a scan; a snapshot records everything that a verdict may rest on")}
	case f.output == "":
		return usageError{errors.New("name the file to write, with -o FILE")}
	case strings.HasSuffix(f.output, ".tgz"), strings.HasSuffix(f.output, ".tar.gz"):
		return usageError{fmt.Errorf("-o %s: this name is one of an archive of charts; call it %s", f.output, strings.TrimSuffix(strings.TrimSuffix(f.output, ".tgz"), ".tar.gz")+".snapshot")}
	}
	if err := f.policies.read(ctx, env); err != nil {
		return err
	}
	f.profile = "all" // whoever scans the record may judge by any control
	s, err := newScanOf(env, &f.scanFlags)
	if err != nil {
		return err
	}
	read := s.readPaths
	if len(paths) == 0 {
		read = s.readLive
	}
	snapshot, err := read(ctx, paths)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(snapshot.Worlds, func(w *model.World) bool { return w.Record() != nil }) {
		return usageError{errors.New("a snapshot cannot be recorded again: its values are gone; copy the file, or record what it was made of")}
	}
	write := func(w io.Writer) error { return s.record(ctx, w, snapshot) }
	if f.output == "-" {
		err = write(env.Stdout)
	} else {
		err = replaceFile(f.output, write)
	}
	if err != nil {
		return err
	}
	for _, p := range snapshot.Problems {
		fmt.Fprintf(env.Stderr, "bulkhead: %s:%d: %s\n", p.Location.File, p.Location.Line, p.Message)
	}
	if n := len(snapshot.Problems); n > 0 && !f.allowIncomplete {
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d inputs could not be read, so they are not in %s (--allow-incomplete accepts that)", n, f.output)}
	}
	return nil
}

// readLive reads the cluster of the kubeconfig, and judges nothing.
func (s *scan) readLive(ctx context.Context, _ []string) (*model.Snapshot, error) {
	p := newProgress(s.env)
	p.what = "kinds"
	defer p.done()
	return s.readCluster(ctx, p)
}

// readPaths reads the paths, and judges nothing.
func (s *scan) readPaths(ctx context.Context, paths []string) (*model.Snapshot, error) {
	p := newProgress(s.env)
	defer p.done()
	return s.load(ctx, paths, p, nil)
}

// record writes a snapshot.
func (s *scan) record(ctx context.Context, w io.Writer, snapshot *model.Snapshot) error {
	controls := map[string]string{}
	_, parameters := s.settings.ParametersFor("", s.controls)
	for _, c := range s.controls {
		if c.Object != nil {
			controls[c.Name] = c.Mark(parameters[c.Name])
		}
	}
	out, err := archive.NewWriter(w, archive.Header{Controls: controls, Created: time.Now().UTC().Truncate(time.Second), Source: strings.Join(snapshot.Inputs, " "), Tool: "bulkhead " + version()})
	if err != nil {
		return err
	}
	j := &judge{scan: s, evaluators: map[string]check.ObjectEvaluator{}}
	for _, world := range snapshot.Worlds {
		if err := out.World(world); err != nil {
			return err
		}
		spokenFor := represented(world)
		for _, o := range world.Objects {
			if err := j.object(userpolicy.InWorld(ctx, world), out, o, spokenFor[o]); err != nil {
				return err
			}
		}
	}
	return out.Close()
}

// judge judges single objects one by one.
type judge struct {
	*scan
	evaluators map[string]check.ObjectEvaluator
}

// object writes one object.
func (j *judge) object(ctx context.Context, out *archive.Writer, o *model.Object, represented bool) error {
	content, redacted := archive.Redact(o.Content)
	verdicts := archive.Verdicts{}
	if redacted {
		var err error
		if verdicts, err = j.lost(ctx, o, content); err != nil {
			return err
		}
	}
	return out.Object(content, archive.Notes{Redacted: redacted, Represented: represented, Verdicts: verdicts})
}

// lost are the verdicts on an object that can no longer be told from what is
// redacted of it.
func (j *judge) lost(ctx context.Context, o *model.Object, redacted map[string]any) (archive.Verdicts, error) {
	before, err := j.judgements(ctx, o)
	if err != nil {
		return nil, err
	}
	after, err := j.judgements(ctx, o.With(redacted))
	if err != nil {
		return nil, err
	}
	lost := archive.Verdicts{}
	for control, was := range before {
		if is, ok := after[control]; !ok || !reflect.DeepEqual(was, is) {
			lost[control] = was
		}
	}
	return lost, nil
}

func (j *judge) judgements(ctx context.Context, o *model.Object) (archive.Verdicts, error) {
	key, parameters := j.settings.ParametersFor(o.Ref().InNamespace(), j.controls)
	if j.evaluators[key] == nil {
		e, err := j.compile(slices.DeleteFunc(slices.Clone(j.controls), func(c *check.Control) bool { return c.Object == nil }), parameters, j.minor)
		if err != nil {
			return nil, err
		}
		j.evaluators[key] = e
	}
	out := archive.Verdicts{}
	judged, err := j.evaluators[key].Evaluate(ctx, o)
	if err != nil {
		return out, ctx.Err() // none of them can judge it, then or later
	}
	for _, judgement := range judged {
		out[judgement.Control.Name] = judgement.Recorded()
	}
	return out, nil
}
