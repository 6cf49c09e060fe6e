package archive

import (
	"maps"
	"reflect"
	"regexp"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// Redacted stands where a value was.
const Redacted = "<redacted>"

// Redact returns an object without the values that may be secret, wherever a
// credential is written in practice:
//
//   - the values of Secrets and ConfigMaps, a Helm release among them; their keys stay
//   - the values of environment variables and of HTTP headers
//   - commands and arguments, of which the program's flags stay without their values
//   - what is between :// and @ in any text
//   - kubectl's annotation of what was applied, but for its apiVersion and kind, the
//     fields' managers, and the data of a ControllerRevision, which hold all of that
//     once more
//
// It reports whether anything but that annotation and the managers is left out.
// content is not changed.
func Redact(content map[string]any) (out map[string]any, redacted bool) {
	out, _ = redact(content, "").(map[string]any)
	redacted = !reflect.DeepEqual(out, content)
	if meta, ok := out["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			if manifest, ok := annotations[model.LastApplied].(string); ok {
				annotations[model.LastApplied] = model.OnlyVersion(manifest)
			}
		}
	}
	switch out["kind"] {
	case "Secret", "ConfigMap":
		for _, field := range []string{"data", "stringData", "binaryData"} {
			values, ok := out[field].(map[string]any)
			for k, v := range values {
				redacted = redacted || v != Redacted
				values[k] = Redacted
			}
			if !ok {
				redacted = redacted || out[field] != nil
				delete(out, field)
			}
		}
	case "ControllerRevision":
		redacted = redacted || out["data"] != nil
		delete(out, "data")
	}
	return out, redacted
}

var userInfo = regexp.MustCompile(`://[^/?#\s@]*@`)

// redact copies a value that stands under a key, without what may be secret.
func redact(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = redact(e, k)
		}
		return out
	case []any:
		return redactList(v, key)
	case string:
		if strings.Contains(v, "://") {
			return userInfo.ReplaceAllString(v, "://"+Redacted+"@")
		}
	}
	return v
}

func redactList(items []any, key string) []any {
	out := make([]any, len(items))
	for i, item := range items {
		switch item := item.(type) {
		case string:
			if out[i] = item; key == "command" || key == "args" {
				out[i] = withoutArgument(item)
			} else {
				out[i] = redact(item, "")
			}
		case map[string]any:
			pair, _ := redact(item, "").(map[string]any)
			if _, ok := pair["value"]; ok && (key == "env" || key == "httpHeaders") {
				pair = maps.Clone(pair)
				pair["value"] = Redacted
			}
			out[i] = pair
		default:
			out[i] = redact(item, key)
		}
	}
	return out
}

var flagName = regexp.MustCompile(`^--?[A-Za-z][A-Za-z0-9_.-]{0,63}=`)

// withoutArgument keeps of a word the name of the flag that it sets.
func withoutArgument(word string) string {
	return flagName.FindString(word) + Redacted
}
