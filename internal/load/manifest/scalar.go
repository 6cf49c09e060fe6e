package manifest

import (
	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/load/intern"
	"bulkhead.dev/bulkhead/internal/yaml11"
)

// scalars gives YAML scalars the meaning that they have for kubectl. What that is is
// kept, because manifests repeat themselves.
type scalars struct {
	*intern.Pool
	resolved map[string]any
}

// maxKept bounds what is kept.
const maxKept = 1 << 16

func newScalars() scalars {
	return scalars{intern.NewPool(), map[string]any{}}
}

func (s *scalars) value(n *yaml.Node) (any, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return yaml11.Tagged(n.Tag, n.Value)
	case n.Style != 0 || n.Tag == "!" || !yaml11.Ambiguous(n.Value): // quoted, or said to be text
		return s.Text(n.Value), nil
	}
	if v, ok := s.resolved[n.Value]; ok {
		return v, nil
	}
	v, err := yaml11.Resolve(n.Value)
	if err == nil && len(s.resolved) < maxKept {
		s.resolved[n.Value] = v
	}
	return v, err
}
