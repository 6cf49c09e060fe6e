package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

const podOfWeb = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: i}]
`

// TestTokenAutomountEvidence says what each verdict rests on: the account, that it
// was not given, or that it could not be read.
func TestTokenAutomountEvidence(t *testing.T) {
	account := func(namespace, automount string) string {
		return "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: " + namespace + "}\n" + automount
	}
	denied := []model.Unobserved{{GroupKind: serviceAccountKind, Namespace: "shop", Reason: "forbidden"}}
	for name, c := range map[string]struct {
		text    string
		options model.WorldOptions
		verdict finding.Verdict
		detail  string
	}{
		"not given":         {podOfWeb, model.WorldOptions{}, finding.Fail, "not among what was read; judged by the pod alone"},
		"silent":            {podOfWeb + account("shop", ""), model.WorldOptions{}, finding.Fail, "automountServiceAccountToken is not false"},
		"on":                {podOfWeb + account("shop", "automountServiceAccountToken: true\n"), model.WorldOptions{}, finding.Fail, "automountServiceAccountToken is not false"},
		"off":               {podOfWeb + account("shop", "automountServiceAccountToken: false\n"), model.WorldOptions{}, finding.Pass, "automountServiceAccountToken is false"},
		"off elsewhere":     {podOfWeb + account("other", "automountServiceAccountToken: false\n"), model.WorldOptions{}, finding.Fail, "not among what was read; judged by the pod alone"},
		"could not be read": {podOfWeb, model.WorldOptions{Live: true, Unobserved: denied}, finding.Unknown, ""},
	} {
		out := runOn(t, "no-token-automount", c.text, c.options)
		var verdict finding.Verdict
		var evidence []finding.Evidence
		switch {
		case len(out.Findings) == 1:
			verdict, evidence = out.Findings[0].Verdict, out.Findings[0].Evidence
		case len(out.Passes) == 1:
			verdict, evidence = finding.Pass, out.Passes[0].Evidence
		}
		var want []finding.Evidence
		if c.detail != "" {
			want = []finding.Evidence{{Source: "shop/ServiceAccount/web", Detail: c.detail}}
		}
		if diff := cmp.Diff(want, evidence); verdict != c.verdict || diff != "" {
			t.Errorf("%s: got %s, want %s; evidence (-want +got):\n%s", name, verdict, c.verdict, diff)
		}
	}
}

// TestTokenAutomountUnobservedCluster does not judge at all where accounts cannot
// be read in the whole cluster.
func TestTokenAutomountUnobservedCluster(t *testing.T) {
	out := runOn(t, "no-token-automount", podOfWeb, model.WorldOptions{Live: true,
		Unobserved: []model.Unobserved{{GroupKind: serviceAccountKind, Reason: "forbidden"}}})
	if len(out.Findings)+len(out.Passes) > 0 || len(out.Unmet) != 1 || out.Unmet[0].What != "ServiceAccount" {
		t.Errorf("got findings %v, passes %v, unmet %v", out.Findings, out.Passes, out.Unmet)
	}
}
