package cli

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"bulkhead.dev/bulkhead/internal/admission"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// fault is what one fix mends: all failures of a control on an object.
type fault struct {
	control string
	object  *model.Object
}

// addFixes proposes a fix for every open failure, with all cores. Failures of
// one control on one object share theirs.
func (s *scan) addFixes(ctx context.Context, out *check.Outcome) error {
	byName := map[string]*check.Control{}
	for _, c := range s.controls {
		byName[c.Name] = c
	}
	failures := map[fault][]int{}
	var order []fault
	for i, f := range out.Findings {
		if f.Verdict != finding.Fail || f.Waived != nil {
			continue
		}
		k := fault{f.Control, f.Of}
		if f.Of == nil {
			k.object = &model.Object{} // nothing to change, only a note
		}
		if failures[k] == nil {
			order = append(order, k)
		}
		failures[k] = append(failures[k], i)
	}
	work := make(chan fault)
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			fixers := map[string]*admission.Fixer{}
			for k := range work {
				key, parameters := s.settings.ParametersFor(k.object.Ref().InNamespace(), s.controls)
				if fixers[key] == nil {
					fixers[key] = admission.NewFixer(parameters)
				}
				fix, err := fixers[key].Fix(ctx, byName[k.control], k.object)
				if err != nil {
					return err
				}
				for _, i := range failures[k] {
					out.Findings[i].Fix = fix
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(work)
		for _, k := range order {
			select {
			case work <- k:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}
