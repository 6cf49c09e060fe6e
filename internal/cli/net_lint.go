package cli

import (
	"github.com/spf13/cobra"

	"bulkhead.dev/bulkhead/internal/network"
)

func newNetLint(env *Env) *cobra.Command {
	return newLint(env, lint{
		controls: network.Lints(),
		title:    "Network policies that do not do what they say",
		short:    "Find network policies that do not do what they say",
		long: `Lint runs the controls about policies that select nothing, rules that others cover or
hide, egress without DNS, ports that no pod names, blocks of addresses that hold pods,
cluster network policies of one priority that contradict, plugins that enforce nothing,
namespaces that are half isolated, and pods that reach the cloud's metadata service.

They are controls like all others: bulkhead scan runs them with --profile all,
bulkhead explain tells about each, waivers hold for them, and bulkhead fix removes what
can be removed without changing what anybody may reach.

A rule is said to change nothing where that holds for all pods, those that are not there
yet included. In files what is missing is reported only where all is known: in a
namespace whose Namespace is given, or with --complete.

-o svg and -o dot draw the policies, workloads and namespaces with what is wrong with them.`,
		example: `  # the cluster of the current context, and files
  bulkhead net lint
  bulkhead net lint -f deploy/ -f charts/shop

  # for a pull request, and for other programs
  bulkhead net lint -f deploy/ -o github
  bulkhead net lint -f deploy/ -o sarif=lint.sarif -o svg=lint.svg --fail-on none

  # remove the rules that allow nothing
  bulkhead fix deploy/ --control no-covered-network-rules`,
	})
}
