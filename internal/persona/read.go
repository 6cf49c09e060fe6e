package persona

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// Bounds of a file: far above what a person answers for.
const (
	maxItems = 2000
	maxText  = 253
)

// reader reads an object field by field.
type reader struct{ form.Reader }

// header reads what every object has, and returns its name and its spec.
func (r *reader) header(kind model.GroupKind, fields ...string) (string, map[string]any) {
	if !r.Header(kind) {
		return "", nil
	}
	r.Fields(nil, r.Object.Content, "apiVersion", "kind", "metadata", "spec")
	meta := model.Path{model.Key("metadata")}
	r.Fields(meta, r.Object.Content["metadata"], "name", "labels", "annotations")
	name := r.Label(meta.Keys("name"), r.Object.Get("metadata", "name"), "name the file's organisation, like acme")
	if name == "system" || name == "kubeadm" || name == "cluster-admin" {
		r.Fail(meta.Keys("name"), "is %q, which Kubernetes keeps for its own roles: choose another", name)
	}
	return name, r.Fields(model.Path{model.Key("spec")}, r.Object.Content["spec"], fields...)
}

func (r *reader) items(at model.Path, v any) []any { return r.Items(at, v, maxItems) }

// labels returns a list of names, each once.
func (r *reader) labels(at model.Path, v any, advice string) []string {
	return r.Labels(at, v, maxItems, advice)
}

func (r *reader) actions(at model.Path, v any) []placed {
	var out []placed
	for i, item := range r.items(at, v) {
		here := at.Append(model.Index(i))
		text := r.Name(here, item, "write a verb and a resource, like get pods")
		if text == "" {
			continue
		}
		a, err := ParseAction(text)
		if err != nil {
			r.Fail(here, "%s", err)
			continue
		}
		out = append(out, placed{a, here})
	}
	return out
}

// placed is an action with where it is written.
type placed struct {
	Action
	at model.Path
}

// named returns a user or group that is none of Kubernetes' own.
func (r *reader) named(at model.Path, kind string, v any) (rbac.Subject, bool) {
	s := r.Name(at, v, "name a "+strings.ToLower(kind)+" as the identity provider does")
	if s == "" {
		return rbac.Subject{}, false
	}
	if len(s) > maxText {
		r.Fail(at, "is longer than %d bytes", maxText)
		return rbac.Subject{}, false
	}
	if strings.HasPrefix(s, "system:") || strings.HasPrefix(s, "kubeadm:") {
		r.Fail(at, "is %q, which is Kubernetes' own: %s", s, map[string]string{
			rbacv1.UserKind:  "a service account belongs under serviceAccounts, and a part of Kubernetes to no persona",
			rbacv1.GroupKind: "name a group of the organisation; system:authenticated would be everybody, and system:masters is let through before RBAC is asked"}[kind])
		return rbac.Subject{}, false
	}
	return rbac.Subject{Kind: kind, Name: s}, true
}

// account returns a service account, written NAMESPACE/NAME.
func (r *reader) account(at model.Path, v any) (rbac.Subject, bool) {
	s := r.Name(at, v, "write NAMESPACE/NAME")
	if s == "" {
		return rbac.Subject{}, false
	}
	ns, name, ok := strings.Cut(s, "/")
	switch {
	case !ok || !form.IsLabel(ns) || name == "" || strings.ContainsAny(name, "/:% ") || len(name) > maxText:
		r.Fail(at, "is %q: write NAMESPACE/NAME", form.Cut(s))
		return rbac.Subject{}, false
	case name == "default":
		r.Fail(at, "is %q, the account of every pod of %s that names no other: make one that only the persona has", s, ns)
		return rbac.Subject{}, false
	}
	return rbac.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}, true
}
