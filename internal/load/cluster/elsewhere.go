package cluster

import (
	"fmt"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// elsewhere says of every other namespace that an object names that nothing of it
// was read: a service account there, say, may well exist.
func (r *reader) elsewhere(objects []*model.Object) {
	named := map[string]bool{}
	for _, o := range objects {
		namespacesIn(o.Content, named)
	}
	delete(named, r.Namespace)
	reason := fmt.Sprintf("only namespace %s was read", r.Namespace)
	for name := range named {
		r.miss(namespaceKind, name, reason)
		for _, l := range r.lists {
			if l.namespaced {
				r.miss(l.GroupKind, name, reason)
			}
		}
	}
}

// namespacesIn collects what fields called namespace hold, and the namespaces of
// service accounts that are named as users or groups.
func namespacesIn(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && k == "namespace" && s != "" {
				into[s] = true
				continue
			}
			namespacesIn(e, into)
		}
	case []any:
		for _, e := range v {
			namespacesIn(e, into)
		}
	case string:
		for _, prefix := range []string{"system:serviceaccount:", "system:serviceaccounts:"} {
			if rest, ok := strings.CutPrefix(v, prefix); ok {
				name, _, _ := strings.Cut(rest, ":")
				into[name] = true
			}
		}
	}
}
