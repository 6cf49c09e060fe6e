package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"helm.sh/helm/v4/pkg/chart/common/util"
)

// Values returns the values that a chart is rendered with: its own, those of
// its enabled subcharts under their names, and over them those of the options.
// Keys whose value is null stay. It runs in a child process, as [Render] does.
// Values are as JSON has them, numbers int64 where they are whole and float64
// otherwise. They may hold passwords.
func Values(ctx context.Context, self, path string, o Options) (map[string]any, error) {
	r, err := newRequest(path, o)
	if err != nil {
		return nil, err
	}
	r.Effective = true
	answer, err := r.ask(ctx, self, r.Options.Limits.Timeout)
	switch {
	case err != nil:
		return nil, limitError(ctx, path, err)
	case answer.Error != nil:
		_, err := answer.result()
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(answer.Effective))
	decoder.UseNumber()
	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		return nil, fmt.Errorf("read the values of the chart %s: %w", path, err)
	}
	return plain(values).(map[string]any), nil
}

// plain replaces json.Number in v.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// effective does a request for the values, in the child.
func (r request) effective() (response, error) {
	t, err := r.loadTree()
	if err != nil {
		return respond(nil, err)
	}
	values, err := r.mergeValues()
	if err != nil {
		return respond(nil, err)
	}
	if err := t.settle(values); err != nil {
		return respond(nil, err)
	}
	merged, err := util.MergeValues(t.chart, values)
	if err != nil {
		return respond(nil, r.valuesError(err))
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return respond(nil, r.errorf("the values cannot be written as JSON: %s", err))
	}
	return response{Effective: raw}, nil
}
