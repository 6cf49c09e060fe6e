package report

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"bulkhead.dev/bulkhead/internal/finding"
)

// What GitHub's code scanning takes: it refuses a run with more results, keeps
// the first ones by severity, and refuses a rule with more tags.
// (docs.github.com, "SARIF support for code scanning")
const (
	sarifMaxResults = 25_000
	sarifKept       = 5_000
	sarifMaxTags    = 20
)

// Base identifiers of the artifact locations. %SRCROOT% is the name that
// viewers resolve against the checkout.
const (
	sourceRoot  = "%SRCROOT%"
	clusterRoot = "CLUSTER"
)

// writeSARIF writes one run of SARIF 2.1.0. Failures are results of kind fail;
// unknowns are of kind open, whose level has to be none (3.27.9, 3.27.10);
// waived findings carry a suppression. Inputs that could not be read and
// observations that could not be made are notifications of the invocation.
func writeSARIF(w io.Writer, r *finding.Result, _ Options) error {
	s := sarifWriter{rules: map[string]int{}}
	run := sarif.NewRun()
	driver := sarif.NewToolComponent().WithName(toolName(r)).WithFullName("Bulkhead for Kubernetes")
	if r.Tool.Version != "" {
		driver.WithVersion(r.Tool.Version)
		if v := strings.TrimPrefix(r.Tool.Version, "v"); semantic.MatchString(v) {
			driver.WithSemanticVersion(v)
		}
	}
	for _, rule := range r.Rules {
		s.addRule(driver, rule)
	}
	findings := worstFirst(r.Findings)
	cutOff := max(0, len(findings)-sarifMaxResults)
	for _, f := range findings[:len(findings)-cutOff] {
		if _, known := s.rules[f.Control]; !known {
			s.addRule(driver, finding.Rule{Name: f.Control, Severity: f.Severity})
		}
		run.AddResult(s.result(f))
	}
	run.WithTool(sarif.NewTool().WithDriver(driver))
	run.AddInvocation(s.invocation(r, len(findings), cutOff))
	run.WithOriginalUriBaseIds(s.bases())
	b, err := marshalJSON(sarif.NewReport().AddRun(run), "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// semantic is a version as semver.org 2.0.0 defines it, roughly.
var semantic = regexp.MustCompile(`^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`)

func toolName(r *finding.Result) string {
	if r.Tool.Name == "" {
		return "bulkhead"
	}
	return r.Tool.Name
}

type sarifWriter struct {
	// rules is the index of each rule in the driver.
	rules map[string]int
	// source and cluster say which base identifiers were used.
	source, cluster bool
}

func (s *sarifWriter) bases() map[string]sarif.ArtifactLocation {
	bases := map[string]sarif.ArtifactLocation{}
	add := func(id, description string) {
		// No uri: where the checkout lies is the business of the machine.
		bases[id] = *sarif.NewArtifactLocation().WithDescription(sarif.NewTextMessage(description))
	}
	if s.source {
		add(sourceRoot, "The directory that the scan ran in.")
	}
	if s.cluster {
		add(clusterRoot, "Objects that no file is known for, as namespace/kind/name.")
	}
	return bases
}

func (s *sarifWriter) addRule(driver *sarif.ToolComponent, rule finding.Rule) {
	if _, known := s.rules[rule.Name]; known {
		return
	}
	s.rules[rule.Name] = len(driver.Rules)
	title := rule.Title
	if title == "" {
		title = rule.Name
	}
	why := rule.Why
	if why == "" {
		why = title
	}
	properties := sarif.NewPropertyBag().WithTags(sarifTags(rule))
	properties.Add("security-severity", securitySeverity(rule.Severity))
	driver.AddRule(sarif.NewRule(rule.Name).
		WithName(rule.Name).
		WithShortDescription(sarifText(title)).
		WithFullDescription(sarifText(why)).
		WithHelp(sarif.NewMultiformatMessageString().WithText(helpText(rule)).WithMarkdown(helpMarkdown(rule))).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevel(rule.Severity))).
		WithProperties(properties))
}

func sarifText(text string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(text)
}

func helpText(rule finding.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\nRemedy: %s", rule.Title, rule.Why, rule.Remedy)
	for _, ref := range rule.References {
		fmt.Fprintf(&b, "\n- %s %s", ref.Framework, ref.ID)
		if ref.URL != "" {
			fmt.Fprintf(&b, ": %s", ref.URL)
		}
	}
	return b.String()
}

func helpMarkdown(rule finding.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n## Remedy\n\n%s\n", rule.Title, rule.Why, rule.Remedy)
	if len(rule.References) > 0 {
		b.WriteString("\n## References\n\n")
	}
	for _, ref := range rule.References {
		text := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(ref.Framework + " " + ref.ID)
		if u, err := url.Parse(ref.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			fmt.Fprintf(&b, "- [%s](<%s>)\n", text, u)
		} else {
			fmt.Fprintf(&b, "- %s\n", text)
		}
	}
	return b.String()
}

// sarifTags are the subjects of a rule: GitHub shows a severity only with the
// tag security.
func sarifTags(rule finding.Rule) []string {
	tags := []string{"security", "kubernetes"}
	seen := map[string]bool{"security": true, "kubernetes": true}
	add := func(tag string) {
		if tag != "" && !seen[tag] && len(tags) < sarifMaxTags {
			seen[tag] = true
			tags = append(tags, tag)
		}
	}
	add(string(rule.Layer))
	for _, ref := range rule.References {
		add(strings.Trim(ref.Framework+"/"+ref.ID, "/"))
	}
	return tags
}

// securitySeverity is a score in GitHub's bands: over 9.0 is critical, from 7.0
// high, from 4.0 medium, over 0 low.
func securitySeverity(s finding.Severity) string {
	return [...]string{"0.0", "3.0", "5.5", "8.0", "9.5"}[clampSeverity(s)]
}

func sarifLevel(s finding.Severity) string {
	switch clampSeverity(s) {
	case finding.Critical, finding.High:
		return sarif.LevelError
	case finding.Medium:
		return sarif.LevelWarning
	}
	return sarif.LevelNote
}

func (s *sarifWriter) result(f finding.Finding) *sarif.Result {
	result := sarif.NewRuleResult(f.Control).
		WithRuleIndex(s.rules[f.Control]).
		WithKind("fail").
		WithLevel(sarifLevel(f.Severity)).
		WithRank(20 * float64(clampSeverity(f.Severity)+1)).
		WithMessage(sarifMessage(f)).
		WithLocations([]*sarif.Location{s.location(f)})
	if f.Verdict != finding.Fail {
		result.WithKind("open").WithLevel(sarif.LevelNone)
	}
	if f.Fingerprint != "" {
		// GitHub compares primaryLocationLineHash alone; the other name is for
		// everyone else, and says whose fingerprint it is.
		result.WithPartialFingerprints(map[string]string{
			"primaryLocationLineHash": f.Fingerprint,
			"bulkheadFingerprint/v1":  f.Fingerprint,
		})
	}
	if f.Waived != nil {
		result.AddSuppression(sarifSuppression(*f.Waived))
	}
	properties := sarif.NewPropertyBag()
	for _, p := range []struct{ name, value string }{
		{"severity", f.Severity.String()}, {"container", f.Container}, {"path", f.Path}, {"root", f.Root},
	} {
		if p.value != "" {
			properties.Add(p.name, p.value)
		}
	}
	if m := f.Managed; m != nil {
		properties.Add("managedBy", m.By)
		properties.Add("managedSign", m.Sign)
	}
	if len(f.Covers) > 0 {
		properties.Add("covers", f.Covers)
	}
	return result.WithProperties(properties)
}

// sarifMessage names the object, because a viewer shows little else. Text of
// the form [words](address) is a link in SARIF (3.11.6); a name from a manifest
// must not make one.
func sarifMessage(f finding.Finding) *sarif.Message {
	text := f.Object.String()
	if f.Container != "" {
		text += ", container " + f.Container
	}
	text += ": " + f.Message
	return sarif.NewTextMessage(strings.ReplaceAll(printable(text), "](", "] ("))
}

// location has a physical place always, because GitHub refuses a whole file
// where one result has none: an object without a file stands as an artifact of
// the cluster.
func (s *sarifWriter) location(f finding.Finding) *sarif.Location {
	object := f.Object.String()
	logical := sarif.NewLogicalLocation().WithName(f.Object.Name).WithFullyQualifiedName(object).WithKind("resource")
	physical := sarif.NewPhysicalLocation().WithRegion(sarif.NewRegion().WithStartLine(1))
	if l := f.Location; l != nil && l.File != "" {
		physical.WithArtifactLocation(s.artifact(l.File))
		// The column counts bytes, which is no columnKind of SARIF.
		physical.WithRegion(sarif.NewRegion().WithStartLine(max(1, l.Line)))
	} else {
		s.cluster = true
		physical.WithArtifactLocation(sarif.NewSimpleArtifactLocation(relativeURI(object)).WithURIBaseID(clusterRoot))
	}
	return sarif.NewLocationWithPhysicalLocation(physical).AddLogicalLocation(logical)
}

// artifact is a file as a URI: relative to the base where it lies below the
// directory of the scan, else with neither.
func (s *sarifWriter) artifact(file string) *sarif.ArtifactLocation {
	switch {
	case path.IsAbs(file):
		return sarif.NewSimpleArtifactLocation((&url.URL{Scheme: "file", Path: path.Clean(file)}).String())
	case windowsAbs.MatchString(file):
		return sarif.NewSimpleArtifactLocation((&url.URL{Scheme: "file", Path: "/" + strings.ReplaceAll(file, `\`, "/")}).String())
	}
	uri := relativeURI(path.Clean(file))
	location := sarif.NewSimpleArtifactLocation(uri)
	if uri != ".." && !strings.HasPrefix(uri, "../") {
		s.source = true
		location.WithURIBaseID(sourceRoot)
	}
	return location
}

var windowsAbs = regexp.MustCompile(`^[A-Za-z]:[\\/]`)

// relativeURI escapes a relative path. Its first part must look neither like a
// scheme, which url.URL sees to, nor like a host (RFC 3986, 4.2).
func relativeURI(p string) string {
	return (&url.URL{Path: strings.TrimLeft(p, "/")}).String()
}

func sarifSuppression(w finding.Waived) *sarif.Suppression {
	kind := "external"
	if w.Waiver == "annotation" {
		kind = "inSource"
	}
	justification := w.Reason + " (" + w.Owner
	if w.Ticket != "" {
		justification += ", " + w.Ticket
	}
	if w.Expires != "" {
		justification += ", until " + w.Expires
	}
	properties := sarif.NewPropertyBag().Add("waiver", w.Waiver)
	return sarif.NewSuppression().WithKind(kind).WithStatus("accepted").
		WithJustification(justification + ")").WithProperties(properties)
}

func (s *sarifWriter) invocation(r *finding.Result, results, cutOff int) *sarif.Invocation {
	invocation := sarif.NewInvocation().WithExecutionSuccessful(len(r.Problems) == 0)
	notify := func(level, text string) *sarif.Notification {
		n := sarif.NewNotification().WithLevel(level).WithMessage(sarif.NewTextMessage(printable(text)))
		invocation.AddToolExecutionNotification(n)
		return n
	}
	for _, problem := range r.Problems {
		n := notify(sarif.LevelError, problem.Message)
		if l := problem.Location; l.File != "" {
			n.AddLocation(sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().
				WithArtifactLocation(s.artifact(l.File)).
				WithRegion(sarif.NewRegion().WithStartLine(max(1, l.Line)))))
		}
	}
	for _, u := range r.Unknown {
		notify(sarif.LevelWarning, "Not observed: "+unmetLine(u)+"; needed by "+strings.Join(u.Controls, ", "))
	}
	if cutOff > 0 {
		notify(sarif.LevelWarning, fmt.Sprintf("This run holds the worst %d of %d results, which is the most that GitHub takes; the other %d are in -o json.",
			results-cutOff, results, cutOff))
	}
	if results > sarifKept {
		notify(sarif.LevelNote, fmt.Sprintf("GitHub shows the first %d of the %d results; they are the worst.", sarifKept, results-cutOff))
	}
	return invocation
}
