package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Bounds on what a scan may put into etcd.
const (
	// reportBytes is the JSON of one report's results. kubectl apply keeps a copy
	// of the object in an annotation, of which all together may have 256 KiB, and
	// etcd takes 1.5 MiB: with the copy this stays below both.
	reportBytes = 192 << 10
	// reportResults is how many results one namespace gets, worst first.
	reportResults = 5_000
	// reportText and reportName cut long texts and names, in bytes.
	reportText = 2_000
	reportName = 500
)

const (
	reportSource  = "bulkhead"
	reportBase    = "bulkhead"
	omittedResult = "bulkhead.dev/omitted-results"
)

// reportAPI is one of the two groups that have the same reports. What differs
// is their names, and that the older one has no source for a whole report.
type reportAPI struct {
	apiVersion, namespaced, cluster string
	source                          string
}

func writeOpenReports(w io.Writer, r *finding.Result, _ Options) error {
	return writeReports(w, r, reportAPI{
		apiVersion: "openreports.io/v1alpha1", namespaced: "Report", cluster: "ClusterReport", source: reportSource,
	})
}

func writePolicyReport(w io.Writer, r *finding.Result, _ Options) error {
	return writeReports(w, r, reportAPI{
		apiVersion: "wgpolicyk8s.io/v1alpha2", namespaced: "PolicyReport", cluster: "ClusterPolicyReport",
	})
}

// reportObject has the fields that Report, ClusterReport and their elder kin
// share.
type reportObject struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta       `json:"metadata"`
	Source          string                  `json:"source,omitempty"`
	Scope           *corev1.ObjectReference `json:"scope,omitempty"`
	Summary         v1alpha1.ReportSummary  `json:"summary"`
	Results         []reportResult          `json:"results,omitempty"`
}

// reportResult hides the timestamp, which a result does not have and which
// would read as 1970.
type reportResult struct {
	v1alpha1.ReportResult
	Timestamp *metav1.Timestamp `json:"timestamp,omitempty"`
}

// writeReports writes a report for each namespace with something to say, in as
// many objects as its results need, and always one for the cluster: it holds
// what has no namespace, what was not read and not observed, and overwrites
// that of an earlier scan. Names are the same in every scan for that reason;
// what an earlier one had more of goes with
// kubectl delete -A -l app.kubernetes.io/managed-by=bulkhead.
func writeReports(w io.Writer, r *finding.Result, api reportAPI) error {
	byNamespace := map[string][]reportResult{"": nil}
	for _, result := range reportResultsOf(r) {
		namespace := ""
		if len(result.Subjects) == 1 {
			namespace = result.Subjects[0].Namespace
		}
		if len(validation.IsDNS1123Label(namespace)) > 0 {
			namespace = "" // no such namespace can be, so its report could not either
		}
		byNamespace[namespace] = append(byNamespace[namespace], result)
	}
	first := true
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		objects, err := reportShards(r, api, namespace, byNamespace[namespace])
		if err != nil {
			return err
		}
		for _, object := range objects {
			b, err := marshalYAML(object)
			if err != nil {
				return err
			}
			if !first {
				b = append([]byte("---\n"), b...)
			}
			first = false
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// reportShards splits the results of a namespace; all of them are in order,
// worst first, and the end is left out where there are too many.
func reportShards(r *finding.Result, api reportAPI, namespace string, results []reportResult) ([]*reportObject, error) {
	omitted := max(0, len(results)-reportResults)
	results = results[:len(results)-omitted]
	shards := []*reportObject{newReport(r, api, namespace, 1)}
	size := 0
	for _, result := range results {
		b, err := marshalJSON(result, "", "")
		if err != nil {
			return nil, err
		}
		last := shards[len(shards)-1]
		if size += len(b); size > reportBytes && len(last.Results) > 0 {
			last = newReport(r, api, namespace, len(shards)+1)
			shards = append(shards, last)
			size = len(b)
		}
		last.Results = append(last.Results, result)
		countResult(&last.Summary, result.Result)
	}
	if omitted > 0 {
		for _, s := range shards {
			s.Metadata.Annotations[omittedResult] = strconv.Itoa(omitted)
		}
	}
	return shards, nil
}

func newReport(r *finding.Result, api reportAPI, namespace string, shard int) *reportObject {
	o := &reportObject{Source: api.source}
	o.APIVersion, o.Kind = api.apiVersion, api.cluster
	o.Metadata.Name = reportBase
	if shard > 1 {
		o.Metadata.Name = fmt.Sprintf("%s-%d", reportBase, shard)
	}
	o.Metadata.Labels = map[string]string{"app.kubernetes.io/managed-by": reportSource}
	o.Metadata.Annotations = map[string]string{"bulkhead.dev/version": clip(printable(r.Tool.Version), reportName)}
	if namespace != "" {
		o.Kind = api.namespaced
		o.Metadata.Namespace = namespace
		o.Scope = &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: namespace}
	}
	return o
}

func countResult(s *v1alpha1.ReportSummary, result v1alpha1.Result) {
	switch result {
	case "fail":
		s.Fail++
	case "error":
		s.Error++
	case "skip":
		s.Skip++
	case "pass":
		s.Pass++
	}
}

// reportResultsOf lists what was not read and not observed, the findings worst
// first, and the passes that were asked for.
func reportResultsOf(r *finding.Result) []reportResult {
	var results []reportResult
	add := func(result v1alpha1.ReportResult) {
		result.Source = reportSource
		results = append(results, reportResult{ReportResult: result})
	}
	for _, p := range r.Problems {
		add(v1alpha1.ReportResult{Policy: "input", Category: "coverage", Result: "error",
			Description: clip(printable(problemLine(p)), reportText)})
	}
	for _, u := range r.Unknown {
		add(v1alpha1.ReportResult{Policy: "observation", Category: "coverage", Result: "error",
			Description: clip(printable(unmetLine(u)+" (needed by "+few(u.Controls)+")"), reportText)})
	}
	rules := ruleIndex(r)
	for _, f := range worstFirst(r.Findings) {
		add(findingResult(f, rules[f.Control]))
	}
	for _, p := range r.Passes {
		f := finding.Finding{Control: p.Control, Object: p.Object, Root: p.Root, Location: p.Location}
		if rule := rules[p.Control]; rule != nil {
			f.Severity = rule.Severity
		}
		result := findingResult(f, rules[p.Control])
		result.Result, result.Scored = "pass", true
		add(result)
	}
	return results
}

func findingResult(f finding.Finding, rule *finding.Rule) v1alpha1.ReportResult {
	result := v1alpha1.ReportResult{
		Policy:      name(cmp.Or(f.Control, "unknown")),
		Severity:    v1alpha1.ResultSeverity(clampSeverity(f.Severity).String()),
		Result:      "error",
		Description: clip(printable(f.Message), reportText),
		Subjects:    []corev1.ObjectReference{subject(f)},
		Properties:  map[string]string{},
	}
	if rule != nil {
		result.Category = name(string(rule.Layer))
	}
	if f.Verdict == finding.Fail {
		result.Result, result.Scored = "fail", true
	}
	set := func(key, value string) {
		if value != "" {
			result.Properties[key] = name(value)
		}
	}
	if w := f.Waived; w != nil {
		result.Result, result.Scored = "skip", false
		set("waiver", w.Waiver)
		set("waiverOwner", w.Owner)
		set("waiverReason", w.Reason)
		set("waiverExpires", w.Expires)
	}
	if m := f.Managed; m != nil {
		set("managedBy", m.By)
		set("managedSign", m.Sign)
	}
	set("container", f.Container)
	set("location", locationOf(f.Location))
	set("root", f.Root)
	set("fingerprint", f.Fingerprint)
	return result
}

func subject(f finding.Finding) corev1.ObjectReference {
	apiVersion := f.Object.Version
	if f.Object.Group != "" {
		apiVersion = strings.TrimSuffix(f.Object.Group+"/"+f.Object.Version, "/")
	}
	return corev1.ObjectReference{
		APIVersion: name(apiVersion), Kind: name(f.Object.Kind), Namespace: name(f.Object.Namespace),
		Name: name(f.Object.Name), FieldPath: name(f.Path),
	}
}

func name(s string) string { return clip(printable(s), reportName) }
