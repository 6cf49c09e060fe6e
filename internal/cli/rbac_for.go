package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/model"
)

type rbacForFlags struct {
	scanFlags
	name string
}

func newRBACFor(env *Env) *cobra.Command {
	f := &rbacForFlags{}
	c := &cobra.Command{
		Use:   "rbac-for",
		Short: "Print the least role that a scan of a cluster needs",
		Long: `Rbac-for prints the ClusterRole that bulkhead scan needs with the same flags, and
no more: to list each kind that a selected control reads. With -n it prints a Role
for that namespace, and a ClusterRole for what belongs to the whole cluster.

Kinds that the cluster does not have do no harm in a role. Discovery needs no rule:
Kubernetes grants it to everyone who is authenticated.`,
		Example: `  # a role for scans by all controls of the profile, and who has it
  bulkhead rbac-for | kubectl apply -f -
  kubectl create clusterrolebinding bulkhead-scan --clusterrole=bulkhead-scan --serviceaccount=security:scanner

  # without the right to read Secrets
  bulkhead rbac-for --profile nsa-cisa --no-secrets`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.policies.read(c.Context(), env); err != nil {
				return err
			}
			return runRBACFor(env, f)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	addSelectionFlags(fs, &f.scanFlags)
	addOwnPolicies(fs, &f.policies)
	fs.StringVarP(&f.namespace, "namespace", "n", "", "for a scan of this namespace")
	fs.BoolVarP(&f.live.allNamespaces, "all-namespaces", "A", false, "for a scan of every namespace, whatever -n says")
	fs.BoolVar(&f.live.noSecrets, "no-secrets", false, "for a scan with --no-secrets")
	fs.StringVar(&f.name, "name", "bulkhead-scan", "name of the role")
	fs.StringVar(&f.config, "config", "", "configuration file (default "+configName+" in the working folder, if there is one)")
	return c
}

func runRBACFor(env *Env, f *rbacForFlags) error {
	s, err := newScanOf(env, &f.scanFlags)
	if err != nil {
		return err
	}
	templates, err := s.config.templates()
	if err != nil {
		return err
	}
	if f.live.allNamespaces {
		f.namespace = ""
	}
	kinds := slices.DeleteFunc(append(clusterKinds(s.controls, templates), s.policies.reads()...), func(gk model.GroupKind) bool {
		return f.live.noSecrets && gk == model.GroupKind{Kind: "Secret"} || f.namespace != "" && slices.Contains(acrossNamespaces, gk)
	})
	return writeRoles(env.Stdout, f.name, f.namespace, kinds)
}

// writeRoles writes the role to list kinds in the whole cluster, or those of a
// namespace there and the rest in the cluster.
func writeRoles(w io.Writer, name, namespace string, kinds []model.GroupKind) error {
	var own, whole []model.GroupKind
	for _, gk := range kinds {
		switch {
		case gk == model.GroupKind{Kind: "Namespace"} && namespace != "":
		case namespace != "" && resourceOf(gk).Namespaced:
			own = append(own, gk)
		default:
			whole = append(whole, gk)
		}
	}
	if namespace != "" {
		rules := append([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{namespace}, Verbs: []string{"get"}}}, listRules(own)...)
		role := rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Rules: rules}
		if err := writeYAML(w, role); err != nil || len(whole) == 0 {
			return err
		}
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return writeYAML(w, rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: listRules(whole)})
}

// listRules are one rule for each group.
func listRules(kinds []model.GroupKind) []rbacv1.PolicyRule {
	byGroup := map[string][]string{}
	for _, gk := range kinds {
		byGroup[gk.Group] = append(byGroup[gk.Group], resourceOf(gk).Name)
	}
	rules := make([]rbacv1.PolicyRule, 0, len(byGroup))
	for group, resources := range byGroup {
		slices.Sort(resources)
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(resources), Verbs: []string{"list"}})
	}
	slices.SortFunc(rules, func(a, b rbacv1.PolicyRule) int { return cmp.Compare(a.APIGroups[0], b.APIGroups[0]) })
	return rules
}

// resourceOf is how the API serves a kind. Of custom resources the plural is that of
// the rule by which their definitions are named, and the scope what model assumes.
func resourceOf(gk model.GroupKind) model.Resource {
	if r, ok := model.BuiltinResource(gk); ok {
		return r
	}
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: gk.Group, Kind: gk.Kind})
	clusterWide := strings.HasPrefix(gk.Kind, "Global") || strings.Contains(gk.Kind, "Clusterwide") || strings.HasPrefix(gk.Kind, "Cluster")
	return model.Resource{GroupKind: gk, Name: plural.Resource, Namespaced: !clusterWide}
}

func writeYAML(w io.Writer, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the role: %w", err)
	}
	_, err = w.Write(text)
	return err
}
