package generate

import (
	"slices"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/network/intent"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

func assertions(t *testing.T, text string) []*intent.Assertion {
	t.Helper()
	w, _ := world(t, "apiVersion: bulkhead.dev/v1\nkind: NetworkCheck\nspec:\n  namespace: shop\n  assertions:\n"+text)
	out, err := intent.Parse(w.Kind(intent.Kind)[0], "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestIntents: what each form lets through, in the team's own terms, and that the result
// is what they say.
func TestIntents(t *testing.T) {
	text := app("web", "") + app("api", "") + app("db", "") + "\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: job, namespace: ops, labels: {app: job}}\nspec: {containers: [{name: c, image: i}]}\n"
	for _, c := range []struct {
		name, assertions string
		want             []string
		note             string
		verdicts         []intent.Verdict
	}{
		{"allow", "    - allow: {from: app=web, to: [app=api, 192.0.2.0/24], ports: [80, 53/UDP]}\n", []string{"app=web in shop -> app=api in shop by TCP 80, UDP 53", "app=web in shop -> 192.0.2.0/24 by TCP 80, UDP 53"}, "", []intent.Verdict{intent.Holds}},
		{"only", "    - only: {from: shop/Deployment/web, to: app == api, ports: [80]}\n", []string{"shop/Deployment/web -> app=api in shop by TCP 80"}, "", []intent.Verdict{intent.Holds}},
		{"a whole namespace", "    - only: {from: [ns/ops, app=web], to: app=db, ports: [5432]}\n", []string{"all pods of ops -> app=db in shop by TCP 5432", "app=web in shop -> app=db in shop by TCP 5432"}, "", []intent.Verdict{intent.Holds}},
		{"tiers", "    - tiers: [app=web, app=api, app=db]\n", []string{"app=web in shop -> app=api in shop by all", "app=api in shop -> app=db in shop by all"}, "", []intent.Verdict{intent.Holds}},
		{"tiers with replicas", "    - tiers: {order: [app=web, app=api], within: true}\n", []string{"app=web in shop -> app=api in shop by all", "app=web in shop -> app=web in shop by all", "app=api in shop -> app=api in shop by all"}, "", []intent.Verdict{intent.Holds}},
		{"the internet", "    - internetOnlyBy: [app=web]\n", []string{"app=web in shop -> internet by all"}, "", []intent.Verdict{intent.Holds}},
		{"what is denied or isolated opens nothing", "    - deny: {from: internet, to: app=db}\n    - isolated: {namespace: shop, egress: true}\n    - internetOnlyBy: []\n", nil, "", []intent.Verdict{intent.Holds, intent.Holds, intent.Holds}},
		{"of nobody", "    - allow: {from: app=none, to: app=db, ports: [1]}\n", nil, "there is no pod or workload app=none", []intent.Verdict{intent.Unknown}},
		{"what contradicts itself", "    - allow: {from: app=web, to: app=db, ports: [1]}\n    - tiers: [app=web, app=api, app=db]\n",
			[]string{"app=web in shop -> app=db in shop by TCP 1", "app=web in shop -> app=api in shop by all", "app=api in shop -> app=db in shop by all"}, "", []intent.Verdict{intent.Holds, intent.Refuted}},
	} {
		w, cluster := world(t, text)
		all := assertions(t, c.assertions)
		d := FromIntents(w, reach.New(cluster), all, []string{"shop"})
		var got []string
		for _, w := range d.Wants {
			got = append(got, w.String())
		}
		notes := ""
		for _, n := range d.Notes {
			notes += n.String()
		}
		if !slices.Equal(got, c.want) || c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %q, want %q; told %q", c.name, got, c.want, notes)
		}
		set, err := Generate(&Request{Cluster: cluster, World: w, Namespaces: []string{"ops", "shop"}, Wants: d.Wants})
		if err != nil {
			t.Fatal(err)
		}
		proof, err := set.Prove()
		after, err2 := set.After()
		if err != nil || err2 != nil || proof.Failed() || len(proof.Unknown) > 0 {
			t.Errorf("%s: %+v, %v, %v", c.name, proof, err, err2)
		}
		for i, r := range intent.Prove(reach.New(after), w, all, nil) {
			if r.Verdict != c.verdicts[i] {
				t.Errorf("%s: %s is %s, want %s: %v", c.name, r.Assertion.Name, r.Verdict, c.verdicts[i], r.Why)
			}
		}
	}
}
