package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDiffEscalations(t *testing.T) {
	const (
		account  = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: shop}}\n---\n"
		makePods = `{apiGroups: [""], resources: [pods], verbs: [create]}`
		readPods = `{apiGroups: [""], resources: [pods], verbs: [get]}`
	)
	robot := fmt.Sprintf(account, "robot")
	admin := robot + bind("ClusterRoleBinding", "", "robot", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, name: robot, namespace: shop}")
	role := func(rule string) string { return lintRole("Role", "shop", "r", rule) }
	janes := bind("RoleBinding", "shop", "jane", "Role", "r", jane)
	devs := bind("RoleBinding", "shop", "jane", "Role", "r", "{kind: Group, name: dev}")
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"a permission", admin + role(readPods) + janes, admin + role(makePods) + janes, []string{"User jane becomes cluster admin"}},
		{"by a group", admin + role(readPods) + devs, admin + role(makePods) + devs, []string{"Group dev becomes cluster admin"}},
		{"somebody else has become powerful", robot + role(makePods) + janes, admin + role(makePods) + janes,
			[]string{"ServiceAccount shop/robot becomes cluster admin", "User jane becomes cluster admin"}},
		{"another way to what one could", admin + role(makePods) + janes, admin + role(`{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate]}`) + janes, nil},
		{"no longer", admin + role(makePods) + janes, admin + role(readPods) + janes, []string{"User jane no longer"}},
		{"an account without rights", robot + role(readPods) + janes, robot + role(makePods) + janes,
			[]string{"User jane: ServiceAccount shop/default", "User jane: ServiceAccount shop/robot"}},
		{"a new account is no new permission", robot + role(makePods) + janes, robot + fmt.Sprintf(account, "other") + role(strings.Replace(makePods, "[create]", "[create, get]", 1)) + janes, nil},
		{"the group could already", admin + role(makePods) + bind("RoleBinding", "shop", "all", "Role", "r", `{kind: Group, name: "system:serviceaccounts:shop"}`) + fmt.Sprintf(account, "web"),
			admin + role(makePods) + bind("RoleBinding", "shop", "all", "Role", "r", "{kind: ServiceAccount, name: web}") + fmt.Sprintf(account, "web"),
			[]string{"Group system:serviceaccounts:shop no longer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := AccessOf(world(t, test.before)), AccessOf(world(t, test.after))
			could, err := before.Escalations(37)
			must(t, err)
			can, err := after.Escalations(37)
			must(t, err)
			d := DiffEscalations(could, can, Diff(before, after))
			var got []string
			for _, e := range d.Gained {
				got = append(got, e.From.String()+" becomes cluster admin")
			}
			for _, e := range d.Lost {
				got = append(got, e.From.String()+" no longer")
			}
			for _, e := range d.Becomes {
				got = append(got, e.From.String()+": "+e.Last().String())
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
