package cli

import (
	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/rbac"
)

func newRBACLint(env *Env) *cobra.Command {
	return newLint(env, lint{
		controls: rbac.Lints(),
		title:    "Roles and bindings that do not do what they say",
		short:    "Find roles and bindings that do not do what they say",
		long: `Lint runs the controls about roles bound to nobody, bindings to nobody or to what does
not exist, duplicates, rules that another rule covers, resources and verbs that do not
exist, default service accounts with rights, and people bound one by one beside a group.

They are controls like all others: bulkhead scan runs them with --profile all,
bulkhead explain tells about each, waivers hold for them, and bulkhead fix removes what
can be removed without changing what anybody may do. What Kubernetes itself makes is not
judged.

In files a role that no binding names is reported only where all bindings are known: in
a namespace whose Namespace is given, or with --complete.

-o svg and -o dot draw the roles and bindings with what is wrong with them.`,
		example: `  # the cluster of the current context, and files
  bulkhead rbac lint
  bulkhead rbac lint -f deploy/ -f charts/shop

  # for a pull request, and for other programs
  bulkhead rbac lint -f deploy/ -o github
  bulkhead rbac lint -f deploy/ -o sarif=lint.sarif -o svg=lint.svg --fail-on none

  # remove what grants nothing
  bulkhead fix deploy/ --control no-covered-rules,no-duplicate-subjects`,
	})
}
