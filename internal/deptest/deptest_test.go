package deptest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "bulkhead.dev/bulkhead/"

// rule says what a package may import of this module (patterns of path.Match,
// relative to internal/), and which other modules it must not reach at all.
type rule struct {
	pkg    string
	may    []string
	banned []string
	why    string
}

// domain is what a domain may import of the project.
var domain = []string{"finding", "model", "check", "admission"}

var rules = []rule{
	{"finding", nil, []string{"k8s.io/", "github.com/"}, "reports, stores and dashboards read findings and need nothing else"},
	{"model", []string{"finding"}, clients, "a snapshot is data: it knows no client and does no I/O"},
	{"form", []string{"finding", "model"}, clients, "it reads an object and knows no kind"},
	{"check", []string{"finding", "model", "form"}, clients, "a control is a pure function"},
	{"admission", []string{"finding", "model", "check"}, []string{"helm.sh/", "sigs.k8s.io/kustomize/"}, "policies are evaluated offline; of the Kubernetes libraries it needs the evaluators of k8s.io/apiserver, which bring client-go along"},
	{"workload", domain, renderers, "a domain imports no other: what it needs of one is an argument"},
	{"rbac", domain, renderers, "a domain imports no other: what it needs of one is an argument"},
	{"persona", append([]string{"rbac", "form"}, domain...), renderers, "it joins what an organisation says with what roles allow; files are read by who asks"},
	{"network", append([]string{"network/reach", "network/entry", "network/intent"}, domain...), renderers, "a domain imports no other: what it needs of one is an argument"},
	{"network/reach", []string{"finding", "model"}, clients, "it answers questions about a world and knows no control"},
	{"network/entry", []string{"finding", "model", "network/reach"}, clients, "it says what leads into a cluster and knows no control"},
	{"network/generate", []string{"finding", "model", "form", "network/reach", "network/entry", "network/intent"}, clients, "it writes policies of what it is handed; files are read by who asks"},
	{"network/intent", []string{"finding", "model", "form", "network/reach", "network/entry"}, clients, "it joins what a team says with what policies allow; files are read by who asks"},
	{"image", domain, renderers, "a domain imports no other: what it needs of one is an argument"},
	{"controlplane", domain, renderers, "a domain imports no other: what it needs of one is an argument"},
	{"load", []string{"finding", "model", "load/*"}, nil, "loading knows nothing of what is made of a snapshot"},
	{"yaml11", nil, []string{"k8s.io/"}, "it says what a text means and knows nothing else"},
	{"load/intern", nil, []string{"k8s.io/", "github.com/"}, "it knows values and nothing of what they mean"},
	{"load/manifest", []string{"finding", "model", "yaml11", "load/intern"}, clients, "a decoder reads bytes"},
	{"load/helm", []string{"finding", "model", "load/child"}, nil, "loading knows nothing of what is made of a snapshot"},
	{"load/kustomize", []string{"finding", "model", "load/child"}, nil, "loading knows nothing of what is made of a snapshot"},
	{"load/archive", []string{"finding", "model"}, clients, "an archive is data: it knows no control and does no I/O of its own"},
	{"load/cluster", []string{"finding", "model", "load/intern"}, renderers, "loading knows nothing of what is made of a snapshot"},
	{"load/child", nil, nil, "it runs processes and knows nothing of what they do"},
	{"fix", []string{"finding", "model", "fix/text"}, clients, "a fix is a value: mutations, renderings and scans come to it as functions"},
	{"fix/text", []string{"finding", "model", "yaml11"}, clients, "an editor of text knows nothing of what the text means"},
	{"fix/chart", []string{"finding", "model", "fix", "fix/text"}, clients, "charts are rendered by who asks"},
	{"fix/overlay", []string{"finding", "model", "fix", "fix/text"}, clients, "kustomizations are built by who asks"},
	{"fix/apply", []string{"finding", "model"}, renderers, "it says changes to the API server whose config it is handed"},
	{"fix/files", nil, nil, "it replaces files and knows nothing of what is in them"},
	{"userpolicy", append([]string{"userpolicy/creation", "userpolicy/vap", "userpolicy/gatekeeper"}, domain...), renderers, "policies are handed in as objects"},
	{"userpolicy/creation", []string{"model"}, renderers, "it says what the API server makes of an object"},
	{"userpolicy/vap", []string{"model", "userpolicy/creation"}, renderers, "a policy judges a request and knows nothing of findings"},
	{"userpolicy/gatekeeper", []string{"model", "userpolicy/creation", "userpolicy/vap"}, renderers, "a constraint judges a request and knows nothing of findings"},
	{"userpolicy/access", nil, renderers, "it asks an API server and knows nothing of policies"},
	{"userpolicy/verify", []string{"finding", "model", "check", "admission", "userpolicy", "userpolicy/gatekeeper"}, renderers, "tests read files through functions that are handed in"},
	{"psp", []string{"finding", "model", "admission"}, renderers, "policies of old are converted: what is read and written is the command line's"},
	{"rollout", []string{"finding", "model", "check", "admission"}, renderers, "it applies what it is handed: clients, evaluators and policies are arguments"},
	{"report", []string{"finding"}, []string{"k8s.io/client-go/rest", "k8s.io/apiserver/"}, "a result carries all that a report needs"},
	{"graph", []string{"report"}, []string{"k8s.io/client-go/rest", "k8s.io/apiserver/"}, "a drawing is plain values: of reports it needs how text is made fit to be shown"},
	{"testbrowser", nil, []string{"k8s.io/"}, "it drives a browser and knows nothing of the pages"},
	{"testcluster", nil, renderers, "it connects tests to a cluster and knows nothing of what they test"},
	{"catalog", append([]string{"workload", "rbac", "network", "image", "controlplane"}, domain...), nil, "the catalogue lists what the domains have"},
}

// clients are modules that talk to the outside.
var clients = []string{"k8s.io/client-go/rest", "k8s.io/client-go/kubernetes", "helm.sh/", "sigs.k8s.io/kustomize/"}

// renderers run what a chart or a kustomization says.
var renderers = []string{"helm.sh/", "sigs.k8s.io/kustomize/"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []listed {
	c := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps", module+"...")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func TestImports(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		i := slices.IndexFunc(packages, func(l listed) bool { return l.ImportPath == module+"internal/"+r.pkg })
		if i < 0 {
			t.Errorf("there is a rule for internal/%s, which does not exist", r.pkg)
			continue
		}
		for _, imported := range packages[i].Imports {
			own, ok := strings.CutPrefix(imported, module+"internal/")
			if ok && !slices.ContainsFunc(r.may, func(p string) bool { m, _ := path.Match(p, own); return m }) {
				t.Errorf("internal/%s imports internal/%s: %s", r.pkg, own, r.why)
			}
		}
		for _, dep := range packages[i].Deps {
			for _, ban := range r.banned {
				if strings.HasPrefix(dep, ban) {
					t.Errorf("internal/%s reaches %s: %s", r.pkg, dep, r.why)
				}
			}
		}
	}
	for _, p := range packages {
		if slices.Contains(p.Imports, module+"internal/cli") && p.ImportPath != module+"cmd/bulkhead" {
			t.Errorf("%s imports internal/cli: only main does", p.ImportPath)
		}
	}
}

// TestEveryPackageHasARule finds packages that somebody added without saying
// what they may import.
func TestEveryPackageHasARule(t *testing.T) {
	// cli wires everything; these hold tests or tools only.
	exempt := []string{"cli", "conformance", "deptest", "catalog/newcontrol", "catalog/gendocs"}
	for _, p := range list(t) {
		own, ok := strings.CutPrefix(p.ImportPath, module+"internal/")
		if ok && !slices.Contains(exempt, own) && !slices.ContainsFunc(rules, func(r rule) bool { return r.pkg == own }) {
			t.Errorf("internal/%s has no rule here: say what it may import, and why", own)
		}
	}
}
