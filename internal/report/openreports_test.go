package report

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
)

func documents(t *testing.T, name string, r *finding.Result) [][]byte {
	t.Helper()
	return bytes.Split(render(t, name, r, Options{}), []byte("\n---\n"))
}

// The types of the API take every document without a field too many.
func TestOpenReportsTypes(t *testing.T) {
	for _, doc := range documents(t, "openreports", sampleResult()) {
		if bytes.Contains(doc, []byte("kind: ClusterReport")) {
			var r v1alpha1.ClusterReport
			if err := yaml.UnmarshalStrict(doc, &r); err != nil {
				t.Error(err)
			}
			checkReport(t, r.Name, r.Namespace, r.Labels, r.Summary, r.Results)
			continue
		}
		var r v1alpha1.Report
		if err := yaml.UnmarshalStrict(doc, &r); err != nil {
			t.Error(err)
		}
		checkReport(t, r.Name, r.Namespace, r.Labels, r.Summary, r.Results)
		if r.Scope == nil || r.Scope.Name != r.Namespace || r.Source != "bulkhead" {
			t.Errorf("%s: scope %v, source %q", r.Namespace, r.Scope, r.Source)
		}
		for _, result := range r.Results {
			if len(result.Subjects) != 1 || result.Subjects[0].Namespace != r.Namespace {
				t.Errorf("the report of %s has a result about %v", r.Namespace, result.Subjects)
			}
		}
	}
}

func checkReport(t *testing.T, name, namespace string, labels map[string]string, s v1alpha1.ReportSummary, results []v1alpha1.ReportResult) {
	t.Helper()
	if problems := validation.NameIsDNSSubdomain(name, false); len(problems) > 0 {
		t.Errorf("name %q: %v", name, problems)
	}
	if namespace != "" {
		if problems := validation.ValidateNamespaceName(namespace, false); len(problems) > 0 {
			t.Errorf("namespace %q: %v", namespace, problems)
		}
	}
	if labels["app.kubernetes.io/managed-by"] != "bulkhead" {
		t.Errorf("labels %v", labels)
	}
	var counted v1alpha1.ReportSummary
	for _, r := range results {
		countResult(&counted, r.Result)
	}
	if counted != s {
		t.Errorf("%s/%s: the summary is %+v, the results are %+v", namespace, name, s, counted)
	}
}

func TestOpenReportsVerdicts(t *testing.T) {
	r := sampleResult()
	r.Passes = samplePasses()
	counts := map[v1alpha1.Result]int{}
	for _, result := range reportResultsOf(r) {
		counts[result.Result]++
		if result.Scored != (result.Result == "fail" || result.Result == "pass") {
			t.Errorf("%s is scored: %v", result.Result, result.Scored)
		}
	}
	// 2 unknowns, 2 inputs that were not read, 1 observation that was not made.
	want := map[v1alpha1.Result]int{"fail": r.Summary.Fail, "error": 5, "skip": r.Summary.Waived, "pass": 3}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// reportSchemas are the schemas of the CustomResourceDefinitions that come with
// the module, closed against unknown fields as kubectl apply has it.
func reportSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/openreports/reports-api").Output()
	if err != nil {
		t.Fatalf("find the module of the reports: %v", err)
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range []string{"reports", "clusterreports"} {
		b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "openreports.io_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema map[string]any }
				}
			}
		}
		if err := yaml.Unmarshal(b, &crd); err != nil {
			t.Fatal(err)
		}
		schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		closeSchema(schema)
		schemas[crd.Spec.Names.Kind] = compileSchema(t, schema)
		// PolicyReport is the same without these; its own CustomResourceDefinition
		// is in no module.
		delete(schema["properties"].(map[string]any), "source")
		delete(schema["properties"].(map[string]any), "configuration")
		schemas[strings.Replace(crd.Spec.Names.Kind, "Report", "PolicyReport", 1)] = compileSchema(t, schema)
	}
	return schemas
}

func closeSchema(schema map[string]any) {
	properties, ok := schema["properties"].(map[string]any)
	if ok {
		schema["additionalProperties"] = false
		for _, p := range properties {
			closeSchema(p.(map[string]any))
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		closeSchema(items)
	}
}

func compileSchema(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	b, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("mem:///schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestReportsMatchTheirCRDs(t *testing.T) {
	schemas := reportSchemas(t)
	r := sampleResult()
	r.Passes = samplePasses()
	seen := map[string]bool{}
	for _, result := range []*finding.Result{r, hostileResult(), cleanResult()} {
		for _, name := range []string{"openreports", "policyreport"} {
			for _, doc := range documents(t, name, result) {
				var v map[string]any
				if err := yaml.Unmarshal(doc, &v); err != nil {
					t.Fatal(err)
				}
				kind := v["kind"].(string)
				seen[kind] = true
				if err := schemas[kind].Validate(v); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("only %v were written", seen)
	}
}

func TestPolicyReportIsTheSame(t *testing.T) {
	open := string(render(t, "openreports", sampleResult(), Options{}))
	policy := string(render(t, "policyreport", sampleResult(), Options{}))
	want := strings.NewReplacer(
		"apiVersion: openreports.io/v1alpha1", "apiVersion: wgpolicyk8s.io/v1alpha2",
		"kind: Report\n", "kind: PolicyReport\n", "kind: ClusterReport\n", "kind: ClusterPolicyReport\n",
		"\nsource: bulkhead\n", "\n",
	).Replace(open)
	if diff := cmp.Diff(want, policy); diff != "" {
		t.Errorf("policyreport differs from openreports:\n%s", diff)
	}
}

// No object may be refused for its size, and no namespace may fill etcd.
func TestReportSizes(t *testing.T) {
	r := manyFindings(25_001)
	for i := range r.Findings {
		switch {
		case i%3 == 0: // one namespace with more than it may have
			r.Findings[i].Object.Namespace = "crowded"
		case i%500 == 1: // texts that would not fit
			r.Findings[i].Message = strings.Repeat("<\x00漢", 100_000)
			r.Findings[i].Object.Name = strings.Repeat("n", 1<<20)
		}
	}
	const annotationLimit = 256 << 10 // k8s.io/apimachinery: TotalAnnotationSizeLimitB
	results, shards := map[string]int{}, map[string]bool{}
	worstLeft := map[string]string{}
	for _, doc := range documents(t, "openreports", r) {
		b, err := yaml.YAMLToJSON(doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > annotationLimit-4<<10 {
			t.Errorf("an object of %d bytes does not fit into kubectl's annotation", len(b))
		}
		var report v1alpha1.Report
		if err := json.Unmarshal(b, &report); err != nil {
			t.Fatal(err)
		}
		id := report.Kind + "/" + report.Namespace + "/" + report.Name
		if shards[id] {
			t.Errorf("%s is there twice", id)
		}
		shards[id] = true
		results[report.Namespace] += len(report.Results)
		checkReport(t, report.Name, report.Namespace, report.Labels, report.Summary, report.Results)
		if report.Namespace == "crowded" {
			if got := report.Annotations[omittedResult]; got != "3334" {
				t.Errorf("%s says that %q results are omitted, want 3334", id, got)
			}
			for _, result := range report.Results {
				worstLeft[string(result.Severity)] = id
			}
		}
	}
	if results["crowded"] != reportResults {
		t.Errorf("the crowded namespace has %d results, want %d", results["crowded"], reportResults)
	}
	if worstLeft["critical"] == "" || worstLeft["low"] != "" {
		t.Errorf("what is left out is not the least: %v", worstLeft)
	}
	if !shards["Report/crowded/bulkhead-2"] || !shards["Report/team-01/bulkhead"] || !shards["ClusterReport//bulkhead"] {
		t.Errorf("names are missing among %d", len(shards))
	}
}

// A namespace that the API server would refuse gets no report; what was found
// in it is in the cluster's.
func TestReportOfAnImpossibleNamespace(t *testing.T) {
	r := &finding.Result{Findings: []finding.Finding{{
		Control: "c", Verdict: finding.Fail, Severity: finding.High, Message: "m",
		Object: finding.Ref{Kind: "Pod", Namespace: "Not/A Namespace", Name: "p"},
	}}}
	docs := documents(t, "openreports", r)
	if len(docs) != 1 || !bytes.Contains(docs[0], []byte("kind: ClusterReport")) || !bytes.Contains(docs[0], []byte("namespace: Not/A Namespace")) {
		t.Errorf("%s", bytes.Join(docs, []byte("\n---\n")))
	}
}
