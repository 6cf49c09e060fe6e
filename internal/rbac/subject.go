package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Subject is who a binding names. A User that names a service account in full is
// that ServiceAccount.
type Subject struct{ Kind, Namespace, Name string }

// newSubject reads the subject of a binding in a namespace, which a
// ServiceAccount that names none belongs to.
func newSubject(s rbacv1.Subject, namespace string) Subject {
	out := Subject{Kind: s.Kind, Name: s.Name}
	if s.Kind == rbacv1.ServiceAccountKind {
		out.Namespace = namespace
		if s.Namespace != "" {
			out.Namespace = s.Namespace
		}
	}
	if s.Kind == rbacv1.UserKind {
		if rest, ok := strings.CutPrefix(s.Name, "system:serviceaccount:"); ok {
			if ns, name, ok := strings.Cut(rest, ":"); ok {
				return Subject{rbacv1.ServiceAccountKind, ns, name}
			}
		}
	}
	return out
}

func (s Subject) String() string {
	if s.Namespace != "" {
		return fmt.Sprintf("%s %s/%s", s.Kind, s.Namespace, s.Name)
	}
	return s.Kind + " " + s.Name
}

const serviceAccountsGroup = "system:serviceaccounts"

// anonymous reports whether the subject is everyone who can reach the API server.
func (s Subject) anonymous() bool {
	return s == Subject{Kind: rbacv1.UserKind, Name: "system:anonymous"} || s == Subject{Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}
}

// everyone reports whether the subject is everyone with any credentials, or
// every pod.
func (s Subject) everyone() bool {
	return s.Kind == rbacv1.GroupKind && (s.Name == "system:authenticated" || s.Name == serviceAccountsGroup)
}

// wholeNamespace returns the namespace whose service accounts are the subject.
func (s Subject) wholeNamespace() (string, bool) {
	if s.Kind != rbacv1.GroupKind {
		return "", false
	}
	return strings.CutPrefix(s.Name, serviceAccountsGroup+":")
}

// system reports whether the subject is a part of Kubernetes, as far as names
// tell.
func (s Subject) system() bool {
	_, wholeNamespace := s.wholeNamespace()
	switch {
	case s.anonymous() || s.everyone() || wholeNamespace:
		return false
	case s.Kind == rbacv1.ServiceAccountKind:
		return s.Namespace == "kube-system"
	}
	return reservedName(s.Name)
}

// reservedName reports whether Kubernetes or kubeadm reserve names like this.
func reservedName(name string) bool {
	return strings.HasPrefix(name, "system:") || strings.HasPrefix(name, "kubeadm:")
}

// enumerate lists subjects for a message: the first two, and how many more.
func enumerate(subjects []Subject) string {
	unique := make([]string, 0, len(subjects))
	seen := map[Subject]bool{}
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

func userNamed(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }
