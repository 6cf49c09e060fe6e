package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

func newWhoCan(env *Env) *cobra.Command {
	q := &inquiry{forms: withPictures()}
	c := &cobra.Command{
		Use:   "who-can VERB RESOURCE[/SUBRESOURCE] [NAME] | VERB /URL",
		Short: "List who may do something, and by what",
		Long: `Who-can lists the subjects that may do something to a resource, with the binding and
the rule that grants it: in the whole cluster, in the namespace of -n, or, without
either flag, wherever it is granted at least.

A resource is named as for kubectl: pods, po, deployments.apps, pods/exec. Members of
system:masters may do everything, whatever is listed: RBAC is not asked about them.

The exit code is 0 where anybody may, 1 where nobody does, and 3 where that is not
known, because roles or bindings could not be read.`,
		Example: `  # who reads Secrets, wherever that is
  bulkhead rbac who-can get secrets

  # who may run commands in the pods of a namespace, or of all
  bulkhead rbac who-can create pods/exec -n shop
  bulkhead rbac who-can create pods/exec -A

  # one object, and a URL
  bulkhead rbac who-can get configmaps aws-auth -n kube-system
  bulkhead rbac who-can get /metrics

  # in files
  bulkhead rbac who-can '*' '*' -f deploy/`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > 3 {
				return usageError{errors.New("ask for a verb and a resource, or a URL, and no more than the name of an object\nSee " + c.CommandPath() + " --help")}
			}
			return q.toFile(env, func(env *Env) error { return runWhoCan(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	fs.StringVarP(&q.namespace, "namespace", "n", "", "in this namespace")
	fs.BoolVarP(&q.live.allNamespaces, "all-namespaces", "A", false, "in all namespaces at once")
	addInquiryFlags(fs, q)
	return c
}

func runWhoCan(ctx context.Context, env *Env, q *inquiry, args []string) error {
	namespace, all := q.namespace, q.live.allNamespaces
	a, w, err := q.access(ctx, env, serviceAccountKind, model.DefinitionKind)
	if err != nil {
		return err
	}
	request, err := newRequest(env, w, args, namespace)
	if err != nil {
		return err
	}
	grants, unknown := a.WhoCan(*request, namespace == "" && !all)
	if unknown == "" && namespace == "" && !all {
		unknown = unknownSomewhere(a, w)
	}
	switch {
	case q.drawn():
		err = q.draw(env.Stdout, drawWhoCan(a, *request, grants, unknown))
	case q.format == "table":
		err = writeWhoCan(env.Stdout, a, *request, grants)
	default:
		err = answer(env.Stdout, q.format, whoCanJSON(a, *request, grants, unknown))
	}
	switch {
	case err != nil:
		return err
	case unknown != "" || len(grants) == 0:
		return no(unknown)
	}
	return nil
}

var serviceAccountKind = model.GroupKind{Kind: "ServiceAccount"}

// unknownSomewhere says why grants in single namespaces may be missing.
func unknownSomewhere(a *rbac.Access, w *model.World) string {
	for _, ns := range w.Namespaces() {
		if unknown := a.Unobserved(ns); unknown != "" {
			return unknown
		}
	}
	return ""
}

// newRequest reads the question: VERB RESOURCE [NAME], or VERB /URL.
func newRequest(env *Env, w *model.World, args []string, namespace string) (*rbac.Request, error) {
	verb, what := strings.ToLower(args[0]), args[1]
	if strings.HasPrefix(what, "/") {
		if len(args) > 2 || namespace != "" {
			return nil, usageError{fmt.Errorf("%s is a URL: it has no name and lies in no namespace", what)}
		}
		return &rbac.Request{Verb: verb, URL: what}, nil
	}
	r, err := rbac.FindResource(w, what)
	if err != nil {
		return nil, usageError{err}
	}
	switch {
	case !r.Known:
		fmt.Fprintf(env.Stderr, "bulkhead: %s is no resource of Kubernetes, and no definition of it was read: it is asked for as it is written\n", report.Printable(what))
	case !r.Namespaced && namespace != "":
		fmt.Fprintf(env.Stderr, "bulkhead: %s belong to the whole cluster: -n %s means nothing\n", r.Name, report.Printable(namespace))
		namespace = ""
	}
	request := &rbac.Request{Verb: verb, Group: r.Group, Resource: r.Name, Subresource: r.Subresource, Namespace: namespace}
	if len(args) > 2 {
		request.Name = args[2]
	}
	return request, nil
}

func writeWhoCan(w io.Writer, a *rbac.Access, r rbac.Request, grants []rbac.Grant) error {
	if len(grants) == 0 {
		_, err := fmt.Fprintf(w, "Nobody may %s.\n", report.Printable(r.String()))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "SUBJECT\tWHERE\tBY")
	for _, g := range grants {
		for _, s := range g.Subjects {
			fmt.Fprintf(t, "%s\t%s\t%s\n", report.Printable(withMembers(a, s)), report.Printable(where(g.Binding.Namespace)), report.Printable(chain(g)))
		}
	}
	return t.Flush()
}

func where(namespace string) string {
	if namespace == "" {
		return "whole cluster"
	}
	return "namespace " + namespace
}

// maxMembers is how many members of a group a table names.
const maxMembers = 3

// withMembers names a subject, and of a group those who are known to be in it.
func withMembers(a *rbac.Access, s rbac.Subject) string {
	members := a.Members(s)
	if members == nil {
		return s.String()
	}
	var names []string
	for _, m := range members[:min(maxMembers, len(members))] {
		names = append(names, m.Namespace+"/"+m.Name)
	}
	if more := len(members) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s (%s)", s, strings.Join(names, ", "))
}

type subjectJSON struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Members   []string `json:"members,omitempty"`
}

func newSubjectJSON(a *rbac.Access, s rbac.Subject) subjectJSON {
	out := subjectJSON{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
	for _, m := range a.Members(s) {
		out.Members = append(out.Members, m.Namespace+"/"+m.Name)
	}
	return out
}

type whoCanGrant struct {
	Subject   subjectJSON `json:"subject"`
	Namespace string      `json:"namespace,omitempty"`
	grantJSON
}

type whoCan struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Request    string        `json:"request"`
	Grants     []whoCanGrant `json:"grants"`
	Unknown    string        `json:"unknown,omitempty"`
}

func whoCanJSON(a *rbac.Access, r rbac.Request, grants []rbac.Grant, unknown string) whoCan {
	out := whoCan{APIVersion: finding.APIVersion, Kind: "WhoCan", Request: r.String(), Unknown: unknown, Grants: []whoCanGrant{}}
	for _, g := range grants {
		for _, s := range g.Subjects {
			out.Grants = append(out.Grants, whoCanGrant{newSubjectJSON(a, s), g.Binding.Namespace, newGrantJSON(g)})
		}
	}
	return out
}
