package cluster

import "bulkhead.dev/bulkhead/internal/model"

// Kept is what a scan keeps of one object that the API server answered with. The
// content given is changed and not to be used again.
func Kept(gk model.GroupKind, content map[string]any) map[string]any {
	trim(gk, content)
	return content
}
