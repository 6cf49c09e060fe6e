package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/apply"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/report"
)

// finish makes the changes that were proven, if that is wanted, and reports.
func (l *liveRepair) finish(ctx context.Context, out *fix.Outcome) error {
	files := out.Files
	out.Files = nil // they are no files, and what they are is said below
	result, err := l.result(ctx, []string{l.name}, out)
	if err != nil {
		return err
	}
	out.Files = files
	chosen := l.chosen(out)
	result.Proof, result.Written = finding.ProofOffline, false
	if l.asks() {
		result.Proof = finding.ProofDryRun
	}
	for _, t := range chosen {
		result.Objects = append(result.Objects, l.changeOf(t))
	}
	result.Summary.Objects = len(chosen)
	result.Notes = append(result.Notes, keeperNotes(result.Objects)...)
	failed := 0
	var ended error
	if l.fixFlags.cluster.apply && len(chosen) > 0 {
		result.Proof, result.Written = finding.ProofReadBack, true
		ended = l.applyAll(ctx, chosen, result)
		// Also of a run that was ended it is said what was changed.
		if err := l.readBack(context.WithoutCancel(ctx), out, chosen, result); err != nil {
			result.Problems = append(result.Problems, finding.Problem{Location: finding.Location{File: l.name}, Message: "what was changed could not be read back: " + err.Error()})
		}
		for _, o := range result.Objects {
			if !o.Done {
				failed++
			}
		}
		result.Summary.Objects -= failed
	}
	if err := l.writeLive(ctx, chosen, result); err != nil {
		return err
	}
	switch n := len(result.Problems) + len(result.Unknown); {
	case ended != nil:
		return ended
	case failed > 0:
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d objects could not be changed, although a dry run of it went well", failed)}
	case n > 0 && !l.allowIncomplete:
		return outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: %d kinds or objects could not be read or judged, so what is wrong in them is not fixed (--allow-incomplete accepts that)", n)}
	}
	return nil
}

func (l *liveRepair) changeOf(t *try) finding.ObjectChange {
	c := finding.ObjectChange{Object: t.object.Ref(), Type: "apply", Patch: t.patch.Configuration, Managers: t.patch.Managers}
	if t.patch.Type == types.JSONPatchType {
		c.Type, c.Patch = "json", t.patch.Operations
	}
	if k := l.world.KeeperOf(t.object); k != nil {
		c.Keeper = k.Name
	}
	return c
}

// keeperNotes say what will put objects back as they were.
func keeperNotes(objects []finding.ObjectChange) []string {
	by := map[string][]string{}
	var names []string
	for _, o := range objects {
		if o.Keeper == "" {
			continue
		}
		if by[o.Keeper] == nil {
			names = append(names, o.Keeper)
		}
		by[o.Keeper] = append(by[o.Keeper], o.Object.String())
	}
	slices.Sort(names)
	var notes []string
	for _, name := range names {
		of := by[name][0]
		if n := len(by[name]); n > 1 {
			of = fmt.Sprintf("%s and %d more", of, n-1)
		}
		notes = append(notes, fmt.Sprintf("%s is managed by %s: fix it there too, or what was fixed comes back", of, name))
	}
	return notes
}

// retries is how often a change is sent again, because only the version of the
// object, and nothing that was judged, is another one.
const retries = 3

// applyAll makes the changes, one by one. What cannot be made is said of its object,
// and the next is gone on with.
func (l *liveRepair) applyAll(ctx context.Context, chosen []*try, result *finding.FixResult) error {
	for i, t := range chosen {
		err := ctx.Err()
		if err == nil {
			err = l.applyOne(ctx, t)
		}
		if err != nil && !l.made(context.WithoutCancel(ctx), t, err) {
			result.Objects[i].Failure = err.Error()
			continue
		}
		result.Objects[i].Done = true
	}
	return ctx.Err()
}

// made reports whether a change was made of which no answer came: the object is then
// what the dry run said.
func (l *liveRepair) made(ctx context.Context, t *try, err error) bool {
	var answer apierrors.APIStatus
	if errors.As(err, &answer) || errors.Is(err, apply.ErrChanged) {
		return false
	}
	live, err := l.cluster.Get(ctx, t.object.Ref())
	if err != nil {
		return false
	}
	var content map[string]any
	if err := utiljson.Unmarshal(t.kept, &content); err != nil {
		return false
	}
	return asJudged(t.object.With(content), model.WithoutNulls(live))
}

func (l *liveRepair) applyOne(ctx context.Context, t *try) error {
	ref, version := t.object.Ref(), t.version
	for range retries {
		_, err := l.cluster.Send(ctx, ref, t.patch, version, false)
		if !errors.Is(err, apply.ErrChanged) {
			return err
		}
		live, err := l.cluster.Get(ctx, ref)
		if err != nil {
			return err
		}
		if !asJudged(t.object, model.WithoutNulls(live)) {
			break
		}
		version, _ = model.Get(live, "metadata", "resourceVersion").(string)
	}
	return fmt.Errorf("%w; run the fix again", apply.ErrChanged)
}

// readBack judges the changed objects as they are now. A finding whose object was not
// changed, or that is there again, is left.
func (l *liveRepair) readBack(ctx context.Context, out *fix.Outcome, chosen []*try, result *finding.FixResult) error {
	now := fix.Files{}
	failure := map[finding.Ref]string{}
	for i, t := range chosen {
		if change := result.Objects[i]; !change.Done {
			failure[change.Object] = "the change was not made: " + change.Failure
			continue
		}
		live, err := l.cluster.Get(ctx, t.object.Ref())
		if err == nil {
			now[pathOf(t.object)], err = json.Marshal(keptOf(t.object, live))
		}
		if err != nil {
			failure[t.object.Ref()] = "it was changed, and could not be read again: " + err.Error()
		}
	}
	after, err := l.assess(ctx, now)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, f := range after.Findings {
		there[f.Fingerprint] = f.Waived == nil
	}
	var fixed []finding.FixedFinding
	for _, f := range result.Fixed {
		reason := failure[f.Object]
		if reason == "" && there[f.Fingerprint] {
			reason = "the object was changed, and has the finding still, or again"
		}
		if reason == "" {
			fixed = append(fixed, f)
			continue
		}
		result.Left = append(result.Left, finding.LeftFinding{Finding: f.Finding, Cause: finding.LeftRefused, Reason: reason})
	}
	result.Fixed = fixed
	slices.SortFunc(result.Left, func(a, b finding.LeftFinding) int { return finding.Compare(&a.Finding, &b.Finding) })
	result.Summary.Fixed, result.Summary.Left = len(result.Fixed), len(result.Left)
	if len(failure) == 0 && out.After != nil {
		proven := map[string]bool{}
		for _, f := range out.After.Findings {
			proven[f.Fingerprint] = true
		}
		for _, f := range after.Findings {
			if f.Waived == nil && !proven[f.Fingerprint] {
				result.Summary.New++
			}
		}
	}
	return nil
}

// writeLive writes what is to be applied, and the reports.
func (l *liveRepair) writeLive(ctx context.Context, chosen []*try, result *finding.FixResult) error {
	env := l.scan.env
	if len(l.reports) > 0 {
		return l.writeReports(result)
	}
	if l.fixFlags.cluster.apply {
		return l.reportTo(env.Stdout, "table", result)
	}
	// What can be applied goes alone to standard output, so that it can be piped.
	text, err := l.documents(ctx, chosen, result)
	if err != nil {
		return err
	}
	if _, err := env.Stdout.Write(text); err != nil {
		return err
	}
	return l.reportTo(env.Stderr, "table", result)
}

// documents are the changes as YAML for kubectl apply --server-side. What that cannot
// say is a comment with the command.
func (l *liveRepair) documents(ctx context.Context, chosen []*try, result *finding.FixResult) ([]byte, error) {
	var out bytes.Buffer
	if len(chosen) > 0 {
		fmt.Fprintf(&out, "# Apply with: kubectl apply --server-side --field-manager=%s -f FILE\n", apply.Manager)
	}
	for i, t := range chosen {
		change := result.Objects[i]
		comment := func(format string, a ...any) {
			fmt.Fprintf(&out, "# %s\n", report.Printable(fmt.Sprintf(format, a...)))
		}
		out.WriteString("---\n")
		comment("%s: %s", change.Object, strings.Join(fixedOf(result, change.Object), ", "))
		if change.Keeper != "" {
			comment("It is managed by %s: fix it there too, or what was fixed comes back.", change.Keeper)
		}
		if len(change.Managers) > 0 {
			comment("It changes fields of %s, for which it needs --force-conflicts.", strings.Join(change.Managers, ", "))
		}
		if t.patch.Type == types.JSONPatchType {
			command, err := l.patchCommand(ctx, t)
			if err != nil {
				return nil, err
			}
			comment("It removes what server-side apply cannot remove. Run:")
			comment("%s", command)
			continue
		}
		document, err := yaml.Marshal(t.patch.Configuration)
		if err != nil {
			return nil, err
		}
		out.Write(document)
	}
	return out.Bytes(), nil
}

// fixedOf are the controls whose findings the change of an object removes.
func fixedOf(result *finding.FixResult, object finding.Ref) []string {
	var out []string
	for _, f := range result.Fixed {
		if f.Object == object && !slices.Contains(out, f.Control) {
			out = append(out, f.Control)
		}
	}
	return out
}

// patchCommand is what makes a JSON Patch, for a shell.
func (l *liveRepair) patchCommand(ctx context.Context, t *try) (string, error) {
	ref := t.object.Ref()
	resource, err := l.cluster.Resource(ctx, ref)
	if err != nil {
		return "", err
	}
	body, err := t.patch.Body("")
	if err != nil {
		return "", err
	}
	namespace := ""
	if ref.Namespace != "" {
		namespace = " -n " + quoted(ref.Namespace)
	}
	return fmt.Sprintf("kubectl patch %s %s%s --type=json --field-manager=%s -p %s", resource, quoted(ref.Name), namespace, apply.Manager, quoted(string(body))), nil
}

// quoted is a word as a shell takes it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeReports writes the reports that were asked for.
func (r *repair) writeReports(result *finding.FixResult) error {
	for _, o := range r.reports {
		if o.file == "" {
			if err := r.reportTo(r.scan.env.Stdout, o.format, result); err != nil {
				return err
			}
			continue
		}
		if err := replaceFile(o.file, func(w io.Writer) error { return report.WriteFix(w, o.format, result, report.Options{}) }); err != nil {
			return err
		}
	}
	return nil
}
