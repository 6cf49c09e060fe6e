package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/apply"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

// plan writes the changes into files, as far as they stand in some. What stands in a
// cluster is changed by commands.
func (r *rbacRepair) plan(ctx context.Context) error {
	type place struct{ root, file string }
	at := map[place][]fix.Change{}
	var places []place
	for _, c := range r.cut.Changes {
		if r.stored[c.Object] {
			if why := unwritable(c.Object); why != "" {
				r.byHand[c.Object] = why
			}
			continue
		}
		p := place{root: r.roots[c.Object]}
		if p.root == "" {
			p.file = c.Object.Source.File
		}
		if at[p] == nil {
			places = append(places, p)
		}
		at[p] = append(at[p], fix.Change{Object: c.Object, Edits: c.Edits, After: c.After})
	}
	for _, p := range places {
		changes := at[p]
		plan := func(ctx context.Context) (*fix.Result, error) { return r.repair.plain(ctx, p.file, changes) }
		if p.root != "" {
			plan = func(ctx context.Context) (*fix.Result, error) { return r.repair.root(ctx, p.root, changes) }
		}
		result, err := plan(ctx)
		if err != nil {
			return err
		}
		for i, why := range result.Refused {
			r.byHand[changes[i].Object] = why
		}
		maps.Copy(r.changed, result.Files)
		r.notes = append(r.notes, result.Notes...)
	}
	return nil
}

// unwritable says why an object has no place in a command.
func unwritable(o *model.Object) string {
	if report.Printable(o.Name+o.Namespace) != o.Name+o.Namespace {
		return "its name has characters that no terminal shows"
	}
	return ""
}

// prove computes anew who becomes cluster admin: from the files as they would be, and of
// objects of a cluster as they would be.
func (r *rbacRepair) prove(ctx context.Context) error {
	w := r.cut.World
	if len(r.files) > 0 && len(r.cut.Changes) > 0 {
		read, err := r.again(ctx)
		if err != nil {
			return err
		}
		w = read
	}
	r.after = rbac.AccessOf(w)
	e, err := r.after.Escalations(r.minor)
	if err != nil {
		return err
	}
	for _, x := range e.ToAdmin() {
		if !x.Meant && !rbac.AllowedBy(r.allowed, x.From) {
			r.left = append(r.left, x)
		}
	}
	return nil
}

// again reads the input with the changed files, and changes the objects of snapshots.
func (r *rbacRepair) again(ctx context.Context) (*model.World, error) {
	s := r.repair.scan
	s.standIns = absolutePaths(r.changed)
	snapshot, err := r.snapshot(ctx)
	s.standIns = nil
	if err != nil {
		return nil, fmt.Errorf("read the changed files: %w", err)
	}
	w := joinWorlds(snapshot.Worlds)
	after := map[model.ID]map[string]any{}
	for _, c := range r.cut.Changes {
		if r.stored[c.Object] && r.byHand[c.Object] == "" {
			after[c.Object.ID()] = c.After
		}
	}
	if len(after) == 0 {
		return w, nil
	}
	by := map[*model.Object]*model.Object{}
	for _, part := range snapshot.Worlds {
		for _, o := range part.Objects {
			if content := after[o.ID()]; content != nil && isStored(part, o) {
				by[o] = o.With(content)
			}
		}
	}
	return w.Replaced(by), nil
}

// diffs are the changes of files.
func (r *rbacRepair) diffs() []finding.FileChange {
	var out []finding.FileChange
	for _, path := range r.changed.Paths() {
		before := r.repair.originals.of(path)
		out = append(out, finding.FileChange{Path: path, New: before == nil, Diff: fix.Patch(filepath.ToSlash(path), before, r.changed[path])})
	}
	return out
}

// script is the patch of the files, and what to run on a cluster.
func (r *rbacRepair) script() (string, error) {
	var out strings.Builder
	for _, f := range r.diffs() {
		out.WriteString(f.Diff)
	}
	for i := range r.cut.Changes {
		c := &r.cut.Changes[i]
		if !r.stored[c.Object] || r.byHand[c.Object] != "" {
			continue
		}
		command, err := kubectlOf(c)
		if err != nil {
			return "", err
		}
		for _, p := range c.Parts {
			fmt.Fprintf(&out, "# %s: %s\n", report.Printable(c.Object.Ref().String()), report.Printable(partText(p)))
		}
		if keeper := r.cut.World.KeeperOf(c.Object); keeper != nil {
			fmt.Fprintf(&out, "# It is managed by %s: change it there too, or it comes back.\n", report.Printable(keeper.Name))
		}
		out.WriteString(command + "\n")
	}
	return out.String(), nil
}

// kubectlOf is the command that makes a change, for a shell. A patch tests first that
// what it changes is still what was judged.
func kubectlOf(c *rbac.CutChange) (string, error) {
	o := c.Object
	what := strings.ToLower(o.Kind) + " " + quoted(o.Name)
	if o.Namespace != "" {
		what += " -n " + quoted(o.Namespace)
	}
	if c.Nobody {
		return "kubectl delete " + what, nil
	}
	content := model.WithoutNulls(o.Content)
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	var patch []operation
	for _, e := range c.Edits {
		// The item of a list that is changed, or below which something is: /rules/2.
		parts := strings.Split(e.Path, "/")
		item := strings.Join(parts[:min(3, len(parts))], "/")
		test := operation{"test", item, model.Get(content, parts[1])}
		if list, ok := test.Value.([]any); ok && len(parts) > 2 {
			i := 0
			if _, err := fmt.Sscan(parts[2], &i); err != nil || i > len(list) {
				return "", fmt.Errorf("%s: no item %s", o.Ref(), e.Path)
			}
			if i == len(list) || e.Op == "add" {
				continue
			}
			test.Value = list[i]
		}
		if !slices.ContainsFunc(patch, func(p operation) bool { return p.Path == test.Path }) {
			patch = append(patch, test)
		}
	}
	for _, e := range c.Edits {
		patch = append(patch, operation{e.Op, e.Path, e.Value})
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("kubectl patch %s --type=json --field-manager=%s -p %s", what, apply.Manager, quoted(string(body))), nil
}

// partText says what is taken away.
func partText(p rbac.CutPart) string {
	on := strings.Join(p.Resources, ", ")
	switch {
	case p.Subject != nil:
		return "take out " + p.Subject.String()
	case p.Verb == "*":
		return fmt.Sprintf("rule %d: take away all verbs on %s", p.Rule+1, on)
	case p.WriteOut():
		return fmt.Sprintf("rule %d: write out the verbs on %s that * stands for", p.Rule+1, on)
	}
	return fmt.Sprintf("rule %d: take away %s on %s", p.Rule+1, p.Verb, on)
}
