package yaml11_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/yaml11"
)

// TestKey holds keys against those that kubectl's own library makes.
func TestKey(t *testing.T) {
	texts := []string{"a", "name", "y", "Yes", "off", "1", "-1", "007", "08", "08000000", "0800", "8e6", "1e3", "1_000", "0x10", "0b11", "0o7", "1.5", "-0", "+1", "1.0", "123456", "1234567", "1234567.0", "123456789012", ".inf", "-.Inf", ".NaN",
		"9223372036854775807", "9223372036854775808", "1e400", "0.00001", "16777217.5", "2001-01-01", "1:30", "~", "null", "", "<<", "="}
	for _, tag := range []string{"", "!!str", "!!int", "!!float", "!!bool", "!!null"} {
		for _, text := range texts {
			written := text
			if tag != "" {
				written = fmt.Sprintf("%s %q", tag, text)
			}
			if written == "<<" {
				continue // a merge
			}
			data, failed := yaml.YAMLToJSON([]byte("? " + written + "\n: x\n"))
			got, err := yaml11.Key(tag, text)
			if failed != nil {
				if err == nil {
					t.Errorf("%s: got %q, and kubectl refuses it: %v", written, got, failed)
				}
				continue
			}
			var read map[string]any
			if err := json.Unmarshal(data, &read); err != nil {
				t.Fatal(err)
			}
			if want := slices.Collect(maps.Keys(read)); err != nil || len(want) != 1 || got != want[0] {
				t.Errorf("%s: got %q (%v), want %q", written, got, err, want)
			}
		}
	}
}
