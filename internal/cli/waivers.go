package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/load"
	"bulkhead.dev/bulkhead/internal/model"
)

// namedWaivers reads the files of waivers that flags and configuration name. One
// that cannot be read is an error: a scan without it would say something else
// than was meant.
func (s *scan) namedWaivers(ctx context.Context) ([]*model.World, error) {
	files := slices.Concat(s.config.Waivers.Files, s.waivers)
	if len(files) == 0 {
		return nil, nil
	}
	snapshot, err := load.Snapshot(ctx, load.Options{Paths: files, Stdin: s.env.Stdin, Self: s.env.Self})
	if err != nil {
		return nil, usageError{fmt.Errorf("read the waivers: %w", err)}
	}
	if len(snapshot.Problems) > 0 {
		p := snapshot.Problems[0]
		return nil, usageError{fmt.Errorf("read the waivers: %s:%d: %s", p.Location.File, p.Location.Line, p.Message)}
	}
	return snapshot.Worlds, nil
}

// waiversOf collects the waivers that the worlds hold.
func (s *scan) waiversOf(worlds []*model.World) (*check.Waivers, error) {
	all, err := catalog.Controls()
	if err != nil {
		return nil, err
	}
	all = append(all, s.policies.own()...)
	annotations, err := s.annotationSettings()
	if err != nil {
		return nil, err
	}
	return check.ReadWaivers(&model.Snapshot{Worlds: worlds}, check.WaiverOptions{
		Known: func(name string) bool {
			return slices.ContainsFunc(all, func(c *check.Control) bool { return c.Name == name })
		},
		Annotations: annotations,
	}), nil
}

// annotationSettings say which waivers by annotation count.
func (s *scan) annotationSettings() (check.AnnotationSettings, error) {
	a := check.AnnotationSettings{Namespaces: s.config.Waivers.AnnotationNamespaces,
		Off: s.config.Waivers.Annotations != nil && !*s.config.Waivers.Annotations}
	if err := a.Validate(); err != nil {
		return a, usageError{fmt.Errorf("waivers.annotationNamespaces: %w", err)}
	}
	return a, nil
}

// readBaseline reads the earlier result that only new findings are wanted
// against; nil where none is named.
func (s *scan) readBaseline() (*check.Baseline, error) {
	path := cmp.Or(s.baseline, s.config.Baseline)
	if path == "" {
		return nil, nil
	}
	if path == "-" {
		return nil, usageError{errors.New("--baseline must name a file")}
	}
	r, err := readResult(s.env, path)
	if err != nil {
		return nil, err
	}
	return check.NewBaseline(r), nil
}
