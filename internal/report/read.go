package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

// What Read accepts, in bytes. A finding is about 700 bytes of JSON: this is
// room for several hundred thousand. A YAML tree takes about 20 times the
// memory of its text, so YAML may be shorter only.
const (
	maxJSON = 512 << 20
	maxYAML = 32 << 20
)

const notAResult = "give a file that `bulkhead scan -o json` or `-o yaml` wrote"

// Read reads a result that Write wrote as json or yaml. Fields that this
// version does not know are ignored, so that it reads what a later version
// wrote for the same apiVersion.
func Read(r io.Reader) (*finding.Result, error) {
	return read(r, maxJSON, maxYAML)
}

func read(r io.Reader, maxJSON, maxYAML int) (*finding.Result, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(maxJSON)+1))
	if err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	if len(b) > maxJSON {
		return nil, fmt.Errorf("the result is longer than %d bytes, which is the limit: scan fewer objects at a time", maxJSON)
	}
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\ufeff")))
	switch {
	case len(b) == 0:
		return nil, errors.New("the result is empty: " + notAResult)
	case b[0] != '{':
		if b, err = fromYAML(b, maxYAML); err != nil {
			return nil, err
		}
	}
	if err := checkType(b); err != nil {
		return nil, err
	}
	result := &finding.Result{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // the value of an edit keeps its digits
	if err := dec.Decode(result); err != nil {
		return nil, malformed(b, err)
	}
	if err := checkVerdicts(result); err != nil {
		return nil, err
	}
	return result, nil
}

func fromYAML(b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("the result is YAML and longer than %d bytes, which is the limit for YAML: write it with -o json", limit)
	}
	b, err := yaml.YAMLToJSONStrict(b)
	if err != nil {
		return nil, fmt.Errorf("the result is malformed YAML: %w: %s", err, notAResult)
	}
	return b, nil
}

// checkType also finds every error of syntax, because it decodes the whole.
func checkType(b []byte) error {
	var typed struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(b, &typed); err != nil {
		return malformed(b, err)
	}
	if typed.APIVersion != finding.APIVersion || typed.Kind != finding.ResultKind {
		return fmt.Errorf("the input has apiVersion %q and kind %q where %s and %s are expected: %s",
			clip(typed.APIVersion, 80), clip(typed.Kind, 80), finding.APIVersion, finding.ResultKind, notAResult)
	}
	return nil
}

// malformed adds the line and column to an error of encoding/json.
func malformed(b []byte, err error) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &wrongType):
		offset = wrongType.Offset
	}
	if offset < 0 || offset > int64(len(b)) {
		return fmt.Errorf("the result is malformed: %w: %s", err, notAResult)
	}
	before := b[:offset]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("the result is malformed at line %d, column %d: %w: %s", line, column, err, notAResult)
}

// checkVerdicts refuses what no format could show truthfully.
func checkVerdicts(r *finding.Result) error {
	for i, f := range r.Findings {
		if f.Verdict != finding.Fail && f.Verdict != finding.Unknown {
			return fmt.Errorf("findings[%d] has the verdict %q where fail or unknown is expected: %s", i, clip(string(f.Verdict), 80), notAResult)
		}
	}
	return nil
}
