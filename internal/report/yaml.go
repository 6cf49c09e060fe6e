package report

import (
	"io"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

// writeYAML writes what writeJSON writes, in YAML with the keys in order of the
// alphabet, as kubectl does.
func writeYAML(w io.Writer, r *finding.Result, _ Options) error {
	b, err := marshalYAML(complete(r))
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// marshalYAML goes by way of marshalJSON and not of yaml.Marshal, whose own
// JSON holds raw control characters that a YAML reader refuses.
func marshalYAML(v any) ([]byte, error) {
	b, err := marshalJSON(v, "")
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(b)
}
