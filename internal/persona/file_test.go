package persona

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// TestEveryRole proves each role by itself, wherever it may be given.
func TestEveryRole(t *testing.T) {
	c, err := readCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.roles {
		if r.team {
			text := strings.ReplaceAll(team("role: "+r.Name+"\ngroups: [g]\nusers: [u]"), ", kube-system", "")
			if _, err := generate(t, text); err != nil {
				t.Errorf("%s of a team: %v", r.Name, err)
			}
		}
		if r.organisation {
			if _, err := generate(t, organisation("role: "+r.Name+"\ngroups: [g]")); err != nil {
				t.Errorf("%s of the organisation: %v", r.Name, err)
			}
		}
		if !r.Powerful && !r.team && !r.organisation {
			t.Errorf("%s is given to nobody", r.Name)
		}
	}
}

func TestMistakes(t *testing.T) {
	const admin = "role: admin\ngroups: [a]"
	for name, test := range map[string]struct{ text, want string }{
		"kind":                 {strings.Replace(Example, "bulkhead.dev/v1", "bulkhead.dev/v2", 1), "apiVersion and kind must be bulkhead.dev/v1 Personas"},
		"name":                 {strings.Replace(Example, "name: acme", "name: Acme", 1), `metadata.name is "Acme"`},
		"reserved name":        {strings.Replace(Example, "name: acme", "name: system", 1), "keeps for its own roles"},
		"unknown field":        {team("role: viewer\ngroup: [a]"), "personas.yaml:10: spec.teams[0].personas[0].group is no field here"},
		"unknown role":         {team("role: god\ngroups: [a]"), `personas.yaml:9: spec.teams[0].personas[0].role is "god": write one of viewer, developer, operator, auditor, admin`},
		"break-glass":          {team("role: break-glass\ngroups: [a]"), "is for the whole organisation"},
		"admin of all":         {organisation(admin), "is for the namespaces of a team"},
		"developer of all":     {organisation("role: developer\ngroups: [a]"), "is for the namespaces of a team"},
		"nobody":               {team("role: viewer"), "is nobody: list groups, users or serviceAccounts"},
		"everybody":            {team("role: viewer\ngroups: [\"system:authenticated\"]"), "personas.yaml:10: spec.teams[0].personas[0].groups[0] is \"system:authenticated\", which is Kubernetes' own"},
		"account as user":      {team("role: viewer\nusers: [\"system:serviceaccount:a:b\"]"), "belongs under serviceAccounts"},
		"default account":      {team("role: viewer\nserviceAccounts: [shop/default]"), "the account of every pod of shop"},
		"account":              {team("role: viewer\nserviceAccounts: [web]"), "write NAMESPACE/NAME"},
		"twice":                {team("role: viewer\ngroups: [a, a]"), "is Group a a second time"},
		"not a string":         {team("role: viewer\ngroups: [1]"), "must be a string"},
		"control characters":   {team("role: viewer\ngroups: [\"a\\u001b[1m\"]"), "control characters"},
		"no list":              {team("role: viewer\ngroups: a"), "must be a list"},
		"two of a name":        {team("role: viewer\ngroups: [a]\n- role: viewer\n  groups: [b]"), ""},
		"other namespace":      {team("role: viewer\ngroups: [a]\nnamespaces: [blog]"), "is none of the team's namespaces"},
		"no namespace left":    {team("role: viewer\ngroups: [a]\nnamespaces: []"), "is empty"},
		"user for emergency":   {organisation("role: break-glass\nusers: [jane]"), "cannot be break-glass: name a group"},
		"more than all":        {organisation("role: break-glass\ngroups: [a]\nextra: [get pods]"), "may do everything already"},
		"extra":                {team("role: viewer\ngroups: [a]\nextra: [pods]"), "personas.yaml:11: spec.teams[0].personas[0].extra[0] is \"pods\": write a verb and a resource"},
		"misspelt resource":    {team("role: viewer\ngroups: [a]\nextra: [get podz]"), "no resource of Kubernetes"},
		"misspelt verb":        {team("role: viewer\ngroups: [a]\nextra: [gett pods]"), `has the verb "gett"`},
		"star":                 {team("role: viewer\ngroups: [a]\nextra: [\"* pods\"]"), "a star also stands for what is added later"},
		"star of an admin":     {team(admin + "\nextra: [\"get *\"]"), "a star also stands for what is added later"},
		"of the cluster":       {team(admin + "\nextra: [get nodes]"), "nodes belong to the whole cluster"},
		"url":                  {team(admin + "\nextra: [get /metrics]"), "a URL belongs to the whole cluster"},
		"names":                {team("role: viewer\ngroups: [a]\nextra: [\"get pods a,\"]"), "a name is missing"},
		"aws-auth":             {team("role: viewer\ngroups: [a]\nextra: [\"update configmaps aws-auth\"]"), "a ConfigMap that the platform reads"},
		"aws-auth, of all":     {organisation("role: viewer\ngroups: [a]\nextra: [\"update configmaps aws-auth\"]"), "a ConfigMap that the platform reads"},
		"admin of kube-system": {team(admin), "who becomes them is cluster admin"},
	} {
		if name == "two of a name" {
			test.text = strings.Replace(team("role: viewer\ngroups: [a]"), "    - role", "    - {role: viewer, groups: [b]}\n    - role", 1)
			test.want = `is "viewer" a second time`
		}
		_, err := generate(t, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v does not say %q", name, err, test.want)
		} else if !strings.HasPrefix(err.Error(), "personas.yaml:") {
			t.Errorf("%s: %v does not say where", name, err)
		}
	}
}

func TestConflicts(t *testing.T) {
	const head = "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec:\n"
	const shop = "  - {name: shop, namespaces: [shop], personas: [{role: admin, groups: [a]}%s]}\n"
	for name, test := range map[string]struct{ text, want string }{
		"admin and viewer":    {"  teams:\n" + strings.Replace(shop, "%s", ", {role: viewer, groups: [a]}", 1), "has Group a, who is admin of shop already"},
		"admin and auditor":   {"  teams:\n" + strings.Replace(shop, "%s", "", 1) + "  organisation: [{role: auditor, groups: [a]}]", "has Group a, who is admin of shop already"},
		"account in reach":    {"  teams:\n" + strings.Replace(shop, "%s", "", 1) + "  organisation: [{role: operator, serviceAccounts: [shop/mover]}]", "has ServiceAccount shop/mover, whom admin of shop can become"},
		"account of a member": {"  teams:\n" + strings.Replace(shop, "%s", "", 1) + "  - {name: blog, namespaces: [blog], personas: [{role: admin, serviceAccounts: [shop/ci]}]}", "has ServiceAccount shop/ci, whom admin of shop can become"},
		"another namespace":   {"  teams:\n" + strings.Replace(shop, "%s", "", 1) + "  - {name: blog, namespaces: [blog], personas: [{role: viewer, groups: [a]}]}", ""},
		"account of its own":  {"  teams:\n" + strings.Replace(shop, "%s", ", {role: developer, serviceAccounts: [shop/ci]}", 1), ""},
	} {
		_, err := generate(t, head+test.text)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v does not say %q", name, err, test.want)
		}
	}
}

// TestHostile reads what nobody means, in bounded time and with bounded answers.
func TestHostile(t *testing.T) {
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }
	for name, text := range map[string]string{
		"many problems":  team("role: viewer\ngroups: [" + many(1900, "1") + "]"),
		"many items":     team("role: viewer\ngroups: [" + many(5000, "a") + "]"),
		"many verbs":     team("role: viewer\ngroups: [a]\nextra: [\"" + strings.Repeat("get,", 5000) + "get pods\"]"),
		"long name":      team("role: viewer\ngroups: [" + strings.Repeat("a", 100_000) + "]"),
		"many bindings":  "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec:\n  teams:\n" + manyTeams(),
		"empty":          "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\n",
		"spec is a list": "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec: []\n",
		"nulls":          "apiVersion: bulkhead.dev/v1\nkind: Personas\nmetadata: {name: acme}\nspec: {teams: [null, {}], organisation: [null, {role: null}]}\n",
	} {
		_, err := generate(t, text)
		if err == nil {
			t.Errorf("%s is taken", name)
		} else if len(err.Error()) > 20_000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func manyTeams() string {
	var out strings.Builder
	for i := range 200 {
		var namespaces, personas []string
		for n := range 60 {
			namespaces = append(namespaces, "n"+string(rune('a'+i%26))+string(rune('a'+n%26))+strings.Repeat("x", n/26+1))
		}
		for n := range 4 {
			personas = append(personas, "{role: viewer, name: p"+string(rune('a'+n))+", groups: [g]}")
		}
		out.WriteString("  - {name: t" + strings.Repeat("a", i/26+1) + string(rune('a'+i%26)) + ", namespaces: [" + strings.Join(namespaces, ", ") + "], personas: [" + strings.Join(personas, ", ") + "]}\n")
	}
	return out.String()
}

func FuzzParse(f *testing.F) {
	f.Add(Example)
	f.Add(team("role: developer\ngroups: [a]\nextra: [get pods]"))
	f.Add("apiVersion: bulkhead.dev/v1\nkind: AccessCheck\nmetadata: {name: a}\nspec: {checks: [{subject: a, can: [get pods, \"* /*\"], cannot: [get secrets]}], holders: [{role: ClusterRole/a, subjects: [a]}]}")
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range manifest.NewDecoder().Decode(model.Source{File: "f"}, []byte(text)).Objects {
			if file, err := Parse(o); err == nil {
				s, err := Generate(file)
				if err != nil {
					t.Fatal(err)
				}
				_ = s.Prove(t.Context(), version)
			}
			if c, err := ParseCheck(o); err == nil {
				if _, err := c.Compare(noObjects, version); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestEveryoneIsAsKubernetesHasIt compares with what a real API server grants to all who
// are authenticated, and to all service accounts.
func TestEveryoneIsAsKubernetesHasIt(t *testing.T) {
	data, err := os.ReadFile("../rbac/defaults.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Kind, Name string
		Rules      []rbacv1.PolicyRule
		RoleRef    *rbacv1.RoleRef
		Subjects   []rbacv1.Subject
	}
	roles, held := map[string][]rbacv1.PolicyRule{}, map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data))
	for lines.Scan() {
		var o object
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		roles[o.Name] = append(roles[o.Name], o.Rules...)
		for _, s := range o.Subjects {
			if o.Kind == "ClusterRoleBinding" && (s.Name == "system:authenticated" || s.Name == "system:serviceaccounts") {
				held[o.RoleRef.Name] = true
			}
		}
	}
	want := map[thing]bool{}
	for name := range held {
		for _, r := range roles[name] {
			for _, v := range r.Verbs {
				for _, u := range r.NonResourceURLs {
					want[thing{verb: v, url: u}] = true
				}
				for _, g := range r.APIGroups {
					for _, res := range r.Resources {
						want[thing{verb: v, group: g, resource: res}] = true
					}
				}
			}
		}
	}
	c, err := readCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	for x := range want {
		if !c.everyone[""][x] {
			t.Errorf("%s is everybody's, and the catalogue does not say so", x)
		}
	}
	for x := range c.everyone[""] {
		if !want[x] {
			t.Errorf("%s is not everybody's", x)
		}
	}
	if len(want) < 20 {
		t.Errorf("there are %d only", len(want))
	}
}

func TestActions(t *testing.T) {
	for text, want := range map[string]string{
		"get po":                           "get pods",
		"get,list,get Deployment":          "get,list deployments.apps",
		"update  cm   settings,flags":      "update configmaps settings,flags",
		"* *":                              "* *",
		"get deploy/scale,pods":            "get deployments.apps/scale,pods",
		"get *.example.com":                "get *.example.com",
		"sync applications.argoproj.io":    "sync applications.argoproj.io",
		"get /metrics,/healthz/*":          "get /metrics,/healthz/*",
		"get widgets.example.com/status a": "get widgets.example.com/status a",
	} {
		a, err := ParseAction(text)
		if err != nil || a.String() != want {
			t.Errorf("%s is %s and not %s: %v", text, a, want, err)
			continue
		}
		again, err := ParseAction(a.String())
		if err != nil || !slices.Equal(again.things(), a.things()) {
			t.Errorf("%s is read back as %s: %v", a, again, err)
		}
	}
	for _, text := range []string{"", "get", "get pods a b", "get nonsense", "fetch pods", "get pods,", ",get pods", "get /a a", "get /a*b", "get /a,b", "get pods/exec/x", strings.Repeat("x", 5000)} {
		if a, err := ParseAction(text); err == nil {
			t.Errorf("%s is read as %s", text, a)
		}
	}
}
