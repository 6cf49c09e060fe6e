package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// subject is who a binding names. A User that names a service account in full is
// that ServiceAccount.
type subject struct{ kind, namespace, name string }

// newSubject reads the subject of a binding in a namespace, which a
// ServiceAccount that names none belongs to.
func newSubject(s rbacv1.Subject, namespace string) subject {
	out := subject{kind: s.Kind, name: s.Name}
	if s.Kind == rbacv1.ServiceAccountKind {
		out.namespace = namespace
		if s.Namespace != "" {
			out.namespace = s.Namespace
		}
	}
	if s.Kind == rbacv1.UserKind {
		if rest, ok := strings.CutPrefix(s.Name, "system:serviceaccount:"); ok {
			if ns, name, ok := strings.Cut(rest, ":"); ok {
				return subject{rbacv1.ServiceAccountKind, ns, name}
			}
		}
	}
	return out
}

func (s subject) String() string {
	if s.namespace != "" {
		return fmt.Sprintf("%s %s/%s", s.kind, s.namespace, s.name)
	}
	return s.kind + " " + s.name
}

const serviceAccountsGroup = "system:serviceaccounts"

// anonymous reports whether the subject is everyone who can reach the API server.
func (s subject) anonymous() bool {
	return s == subject{kind: rbacv1.UserKind, name: "system:anonymous"} || s == subject{kind: rbacv1.GroupKind, name: "system:unauthenticated"}
}

// everyone reports whether the subject is everyone with any credentials, or
// every pod.
func (s subject) everyone() bool {
	return s.kind == rbacv1.GroupKind && (s.name == "system:authenticated" || s.name == serviceAccountsGroup)
}

// wholeNamespace returns the namespace whose service accounts are the subject.
func (s subject) wholeNamespace() (string, bool) {
	if s.kind != rbacv1.GroupKind {
		return "", false
	}
	return strings.CutPrefix(s.name, serviceAccountsGroup+":")
}

// system reports whether the subject is a part of Kubernetes, as far as names
// tell.
func (s subject) system() bool {
	_, wholeNamespace := s.wholeNamespace()
	switch {
	case s.anonymous() || s.everyone() || wholeNamespace:
		return false
	case s.kind == rbacv1.ServiceAccountKind:
		return s.namespace == "kube-system"
	}
	return reservedName(s.name)
}

// reservedName reports whether Kubernetes or kubeadm reserve names like this.
func reservedName(name string) bool {
	return strings.HasPrefix(name, "system:") || strings.HasPrefix(name, "kubeadm:")
}

// enumerate lists subjects for a message: the first two, and how many more.
func enumerate(subjects []subject) string {
	unique := make([]string, 0, len(subjects))
	seen := map[subject]bool{}
	for _, s := range subjects {
		if !seen[s] {
			seen[s] = true
			unique = append(unique, s.String())
		}
	}
	slices.Sort(unique)
	switch n := len(unique); n {
	case 0:
		return "nobody"
	case 1:
		return unique[0]
	case 2:
		return unique[0] + " and " + unique[1]
	default:
		return fmt.Sprintf("%s, %s and %d more", unique[0], unique[1], n-2)
	}
}
