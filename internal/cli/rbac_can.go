package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
	"bulkhead.dev/bulkhead/internal/report"
)

type canFlags struct {
	inquiry
	groups []string
	pod    string
}

func newCan(env *Env) *cobra.Command {
	q := &canFlags{inquiry: inquiry{forms: withPictures()}}
	c := &cobra.Command{
		Use:   "can SUBJECT [VERB RESOURCE[/SUBRESOURCE] [NAME] | VERB /URL]",
		Short: "List what somebody may do, or ask whether they may do one thing",
		Long: `Can lists everything that a subject may do, by its own bindings and by those of the
groups that it is in: the API server's own groups, and those of --in-group, since
what groups a person is in only the organisation knows.

A subject is a user (jane, User/jane), a group (Group/dev), a service account
(sa/NAMESPACE/NAME), or with --as-pod the service account of a pod, if its token is
mounted there.

With a verb and a resource the answer is yes or no, and the exit code 0 or 1; where
roles or bindings could not be read and the answer would be no, it is 3.`,
		Example: `  # everything, and one thing
  bulkhead rbac can jane --in-group dev
  bulkhead rbac can sa/shop/web create pods -n shop

  # what whoever takes over a pod could do
  bulkhead rbac can --as-pod shop/web-7d4b9-x2x1z

  # in files
  bulkhead rbac can Group/dev -f deploy/ -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			return q.toFile(env, func(env *Env) error { return runCan(c.Context(), env, q, args) })
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&q.groups, "in-group", nil, "a group that the subject is in; repeatable")
	fs.StringVar(&q.pod, "as-pod", "", "NAMESPACE/NAME of a pod whose service account is the subject")
	fs.StringVarP(&q.namespace, "namespace", "n", "", "in this namespace (default: of a question, the whole cluster; of a list, everywhere)")
	addInquiryFlags(fs, &q.inquiry)
	return c
}

func runCan(ctx context.Context, env *Env, q *canFlags, args []string) error {
	namespace := q.namespace
	if q.pod == "" {
		if len(args) == 0 {
			return usageError{errors.New("name a subject: jane, Group/dev or sa/shop/web; or a pod with --as-pod\nSee bulkhead rbac can --help")}
		}
	} else {
		args = append([]string{""}, args...)
	}
	if len(args) == 2 || len(args) > 4 {
		return usageError{errors.New("after the subject there is nothing, or a verb and a resource, or a verb and a URL\nSee bulkhead rbac can --help")}
	}
	kinds := []model.GroupKind{serviceAccountKind, model.DefinitionKind}
	if q.pod != "" {
		kinds = append(kinds, model.GroupKind{Kind: "Pod"})
	}
	a, w, err := q.access(ctx, env, kinds...)
	if err != nil {
		return err
	}
	subject, err := q.subject(env, w, args[0])
	if err != nil {
		return err
	}
	who := rbac.IdentityOf(subject)
	who.Groups = append(who.Groups, q.groups...)
	if len(args) == 1 {
		return q.list(env, a, w, subject, who, namespace)
	}
	request, err := newRequest(env, w, args[1:], namespace)
	if err != nil {
		return err
	}
	grant, allowed, unknown := a.Can(who, *request)
	if q.drawn() {
		err = q.draw(env.Stdout, drawVerdict(a, *request, subject, grant, allowed, unknown))
	} else {
		err = q.writeVerdict(env.Stdout, *request, subject, grant, allowed, unknown)
	}
	if err != nil || allowed {
		return err
	}
	return no(unknown)
}

// subject is the one that is asked about: the one that is named, or a pod's account.
func (q *canFlags) subject(env *Env, w *model.World, text string) (rbac.Subject, error) {
	if q.pod == "" {
		s, err := rbac.ParseSubject(text)
		if err != nil {
			return s, usageError{err}
		}
		return s, nil
	}
	namespace, name, ok := strings.Cut(q.pod, "/")
	if !ok {
		return rbac.Subject{}, usageError{fmt.Errorf("--as-pod %s: write NAMESPACE/NAME", q.pod)}
	}
	for _, o := range w.KindIn(model.GroupKind{Kind: "Pod"}, namespace) {
		if o.Name != name || o.Pod() == nil {
			continue
		}
		s := rbac.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: o.Pod().ServiceAccount()}
		if why := rbac.NoToken(w, o.Pod()); why != "" {
			fmt.Fprintf(env.Stderr, "bulkhead: pod %s has no token of %s: %s. What follows is what the account may do\n", report.Printable(q.pod), report.Printable(s.String()), why)
		}
		return s, nil
	}
	if why := w.Unobserved(model.GroupKind{Kind: "Pod"}, namespace); why != "" {
		return rbac.Subject{}, outcomeError{exitIncomplete, fmt.Sprintf("bulkhead: pods could not be read: %s", why)}
	}
	return rbac.Subject{}, usageError{fmt.Errorf("there is no pod %s", q.pod)}
}

// verdict is the answer to a yes/no question.
type verdict struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Subject    string     `json:"subject"`
	Request    string     `json:"request"`
	Allowed    bool       `json:"allowed"`
	By         *grantJSON `json:"by,omitempty"`
	Unknown    string     `json:"unknown,omitempty"`
}

func (q *canFlags) writeVerdict(w io.Writer, r rbac.Request, s rbac.Subject, g rbac.Grant, allowed bool, unknown string) error {
	if q.format != "table" {
		v := verdict{APIVersion: finding.APIVersion, Kind: "AccessAnswer", Subject: s.String(), Request: r.String(), Allowed: allowed, Unknown: unknown}
		if allowed {
			by := newGrantJSON(g)
			v.By = &by
		}
		return answer(w, q.format, v)
	}
	text := "no"
	switch {
	case allowed:
		text = "yes, by " + chain(g)
		if len(g.Subjects) == 1 && g.Subjects[0] != s {
			text = fmt.Sprintf("yes, as %s, by %s", g.Subjects[0], chain(g))
		}
	case unknown != "":
		text = "unknown"
	}
	_, err := fmt.Fprintln(w, report.Printable(text))
	return err
}

// permissionJSON is a row of the list.
type permissionJSON struct {
	Namespace     string      `json:"namespace,omitempty"`
	Group         string      `json:"group"`
	Resource      string      `json:"resource,omitempty"`
	ResourceNames []string    `json:"resourceNames,omitempty"`
	URL           string      `json:"url,omitempty"`
	Verbs         []string    `json:"verbs"`
	By            []grantJSON `json:"by"`
}

type permissionsJSON struct {
	APIVersion  string           `json:"apiVersion"`
	Kind        string           `json:"kind"`
	Subject     string           `json:"subject"`
	Groups      []string         `json:"groups"`
	Permissions []permissionJSON `json:"permissions"`
	Unknown     string           `json:"unknown,omitempty"`
}

// list writes everything that the subject may do; of one namespace what holds there.
func (q *canFlags) list(env *Env, a *rbac.Access, w *model.World, s rbac.Subject, who rbac.Identity, namespace string) error {
	permissions := slices.DeleteFunc(a.Permissions(who), func(p rbac.Permission) bool {
		return namespace != "" && p.Namespace != "" && p.Namespace != namespace
	})
	unknown := a.Unobserved(namespace)
	if unknown == "" && namespace == "" {
		unknown = unknownSomewhere(a, w)
	}
	switch {
	case q.drawn():
		if err := q.draw(env.Stdout, drawPermissions(a, s, permissions, namespace, unknown)); err != nil {
			return err
		}
	case q.format == "table":
		if err := writePermissions(env.Stdout, s, permissions); err != nil {
			return err
		}
	default:
		out := permissionsJSON{APIVersion: finding.APIVersion, Kind: "Permissions", Subject: s.String(), Groups: who.Groups, Permissions: []permissionJSON{}, Unknown: unknown}
		for _, p := range permissions {
			row := permissionJSON{p.Namespace, p.Group, p.Resource, p.ResourceNames, p.URL, p.Verbs, nil}
			for _, g := range p.Grants {
				row.By = append(row.By, newGrantJSON(g))
			}
			out.Permissions = append(out.Permissions, row)
		}
		if err := answer(env.Stdout, q.format, out); err != nil {
			return err
		}
	}
	if unknown != "" {
		return no(unknown)
	}
	return nil
}

// commonVerbs are the columns of the matrix; others stand in the last one.
var commonVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// writePermissions writes a matrix for each place: resources down, verbs across.
func writePermissions(w io.Writer, s rbac.Subject, permissions []rbac.Permission) error {
	if len(permissions) == 0 {
		_, err := fmt.Fprintf(w, "%s may do nothing.\n", report.Printable(s.String()))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, p := range permissions {
		if i == 0 || p.Namespace != permissions[i-1].Namespace {
			if i > 0 {
				fmt.Fprintln(t)
			}
			fmt.Fprintf(t, "In the %s\tget\tlist\twatch\tcreate\tupdate\tpatch\tdelete\tdel.coll.\tOTHER\tBY\n", report.Printable(where(p.Namespace)))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", report.Printable(permissionName(p)), strings.Join(verbColumns(p.Verbs), "\t"), report.Printable(chains(p.Grants)))
	}
	return t.Flush()
}

func permissionName(p rbac.Permission) string {
	if p.URL != "" {
		return p.URL
	}
	name := rbac.Qualified(p.Group, p.Resource)
	if len(p.ResourceNames) > 0 {
		name += " " + strings.Join(p.ResourceNames, ",")
	}
	return name
}

func verbColumns(verbs []string) []string {
	all := slices.Contains(verbs, "*")
	var out, other []string
	for _, v := range commonVerbs {
		mark := "-"
		if all || slices.Contains(verbs, v) {
			mark = "x"
		}
		out = append(out, mark)
	}
	for _, v := range verbs {
		if !slices.Contains(commonVerbs, v) {
			other = append(other, v)
		}
	}
	return append(out, report.Printable(strings.Join(other, ",")))
}

// chains names the first grant, and how many there are beside it.
func chains(grants []rbac.Grant) string {
	text := chain(grants[0])
	if more := len(grants) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
