package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// sampleResult is a scan as a user has it: an application of plain files, a
// rendered chart, cluster objects, several containers, findings that are waived
// or could not be judged, a file that could not be parsed, and an observation
// that could not be made.
func sampleResult() *finding.Result {
	r := &finding.Result{
		APIVersion: finding.APIVersion,
		Kind:       finding.ResultKind,
		Tool:       finding.Tool{Name: "bulkhead", Version: "v0.1.0"},
		Inputs:     []string{"examples/shop", "charts/ingress"},
		Rules:      sampleRules(),
		Findings:   sampleFindings(),
		Unknown: []finding.Unmet{{
			What: "ResourceQuotas of the namespace payments", Reason: "files are an open world, and no Namespace object is given",
			Controls: []string{"namespace-resource-quota"},
		}},
		Problems: []finding.Problem{
			{Location: finding.Location{File: "examples/shop/broken.yaml", Line: 14, Column: 3}, Message: "mapping values are not allowed here: indent the key by two spaces"},
			{Location: finding.Location{File: "examples/shop/logo.yaml"}, Message: "not text: give YAML or JSON"},
		},
		Waivers: []finding.WaiverUse{
			{Waiver: "node-agent-host-access", Location: &finding.Location{File: "examples/shop/waivers.yaml", Line: 1}, State: "matched", Control: "sensitive-host-path", Owner: "platform@shop.example", Reason: "reads the node's logs", Ticket: "SEC-112", Expires: "2027-01-31", Matches: 2},
			{Waiver: "legacy-cart", Location: &finding.Location{File: "examples/shop/waivers.yaml", Line: 17}, State: "expired", Control: "run-as-non-root", Owner: "cart@shop.example", Reason: "the image needs root until it is rebuilt", Expires: "2025-06-30"},
			{Waiver: "annotation", Location: &finding.Location{File: "examples/shop/frontend.yaml", Line: 9}, State: "invalid", Control: "image-tag", Problems: []string{"owner is missing: write owner=..."}},
			{Waiver: "old-search", Location: &finding.Location{File: "examples/shop/waivers.yaml", Line: 33}, State: "unused", Control: "privileged", Owner: "search@shop.example", Reason: "gone"},
		},
		Frameworks: []finding.Framework{
			{Name: "pss-baseline", Title: "Pod Security Standards: Baseline", Total: 12, Assessed: 12, Passed: 9, Failed: 3, Requirements: []finding.Requirement{
				{ID: "Privileged Containers", Title: "Privileged containers", Verdict: finding.Fail, Controls: []string{"privileged"}},
				{ID: "HostPath Volumes", Title: "HostPath volumes", Verdict: finding.Pass},
			}},
			{Name: "cis-1.12", Title: "CIS Kubernetes Benchmark 1.12, policies", Total: 35, Assessed: 21, Passed: 12, Failed: 9},
		},
	}
	finding.Sort(r.Findings)
	sampleSummary(r)
	return r
}

func sampleRules() []finding.Rule {
	refs := func(pairs ...string) (out []finding.Reference) {
		for _, p := range pairs {
			framework, id, _ := strings.Cut(p, " ")
			out = append(out, finding.Reference{Framework: framework, ID: id, URL: "https://example.com/" + framework})
		}
		return out
	}
	rules := []finding.Rule{
		{Name: "privileged", Title: "Containers must not be privileged", Severity: finding.Critical, Layer: finding.LayerWorkload, Why: "A privileged container has every capability and every device of its node.", Remedy: "Remove securityContext.privileged.", FixSafety: finding.FixRisky, References: refs("cis-1.12 5.2.2", "pss-baseline Privileged")},
		{Name: "sensitive-host-path", Title: "Sensitive host paths must not be mounted", Severity: finding.Critical, Layer: finding.LayerWorkload, Why: "With the runtime's socket a container controls its node.", Remedy: "Use a volume of another type.", FixSafety: finding.FixManual, References: refs("mitre T1611")},
		{Name: "cluster-admin-binding", Title: "Nobody should be bound to cluster-admin", Severity: finding.Critical, Layer: finding.LayerRBAC, Why: "cluster-admin may do everything everywhere.", Remedy: "Bind a role with the verbs that are used.", FixSafety: finding.FixManual, References: refs("cis-1.12 5.1.1")},
		{Name: "run-as-non-root", Title: "Containers must not run as root", Severity: finding.High, Layer: finding.LayerWorkload, Why: "Root in a container is one bug away from root on its node.", Remedy: "Set runAsNonRoot: true and a numeric runAsUser.", FixSafety: finding.FixRisky, References: refs("cis-1.12 5.2.7", "nsa-cisa non-root")},
		{Name: "credentials-in-environment", Title: "Credentials must not stand in the environment", Severity: finding.High, Layer: finding.LayerSecrets, Why: "Everyone who may read the pod may read them, and so may its logs.", Remedy: "Mount a Secret as a file.", FixSafety: finding.FixManual, References: refs("cis-1.12 5.4.1")},
		{Name: "role-wildcard", Title: "Roles must not use wildcards", Severity: finding.High, Layer: finding.LayerRBAC, Why: "A wildcard grants what does not exist yet.", Remedy: "List the resources and verbs.", FixSafety: finding.FixManual, References: refs("cis-1.12 5.1.3")},
		{Name: "read-only-root-filesystem", Title: "The root file system should be read-only", Severity: finding.Medium, Layer: finding.LayerWorkload, Why: "What cannot be written cannot be changed by an intruder.", Remedy: "Set readOnlyRootFilesystem: true and mount what must be written.", FixSafety: finding.FixRisky, References: refs("nsa-cisa immutable")},
		{Name: "automount-service-account-token", Title: "Tokens should be mounted only where they are used", Severity: finding.Medium, Layer: finding.LayerWorkload, Why: "A token that is not used is only good for an intruder.", Remedy: "Set automountServiceAccountToken: false.", FixSafety: finding.FixRisky},
		{Name: "image-tag", Title: "Images should have a fixed tag", Severity: finding.Medium, Layer: finding.LayerImage, Why: "latest is another program tomorrow.", Remedy: "Name a version, better a digest.", FixSafety: finding.FixManual},
		{Name: "ingress-tls", Title: "Ingresses should use TLS", Severity: finding.Medium, Layer: finding.LayerNetwork, Why: "Without TLS everyone on the way can read and change what is sent.", Remedy: "Add spec.tls.", FixSafety: finding.FixManual},
		{Name: "memory-limit", Title: "Containers should have a memory limit", Severity: finding.Low, Layer: finding.LayerWorkload, Why: "One container without a limit can starve its node.", Remedy: "Set resources.limits.memory.", FixSafety: finding.FixManual},
		{Name: "namespace-resource-quota", Title: "Namespaces should have a ResourceQuota", Severity: finding.Low, Layer: finding.LayerNamespace, Why: "A namespace without a quota can take the whole cluster.", Remedy: "Add a ResourceQuota.", FixSafety: finding.FixManual},
	}
	for i := range rules {
		rules[i].Since = "v0.1"
	}
	slices.SortFunc(rules, func(a, b finding.Rule) int { return strings.Compare(a.Name, b.Name) })
	return rules
}

// sampleLines are control | namespace/Kind/name | container | path | file:line |
// message. A message that begins with ? makes an unknown, one with ! a waived
// failure.
const sampleLines = `
privileged|shop/Deployment/checkout|proxy|spec.template.spec.containers[1].securityContext.privileged|examples/shop/checkout.yaml:41|privileged is true
run-as-non-root|shop/Deployment/checkout|app|spec.template.spec.containers[0].securityContext.runAsNonRoot|examples/shop/checkout.yaml:22|runAsNonRoot is not set, and the image's user is unknown
run-as-non-root|shop/Deployment/checkout|proxy|spec.template.spec.containers[1].securityContext.runAsNonRoot|examples/shop/checkout.yaml:39|runAsUser is 0
credentials-in-environment|shop/Deployment/checkout|app|spec.template.spec.containers[0].env[3].value|examples/shop/checkout.yaml:31|the variable STRIPE_API_KEY holds a literal that has the shape of a Stripe secret key
read-only-root-filesystem|shop/Deployment/checkout|app|spec.template.spec.containers[0].securityContext|examples/shop/checkout.yaml:22|readOnlyRootFilesystem is not set
read-only-root-filesystem|shop/Deployment/checkout|proxy|spec.template.spec.containers[1].securityContext|examples/shop/checkout.yaml:39|readOnlyRootFilesystem is false
memory-limit|shop/Deployment/checkout|app|spec.template.spec.containers[0].resources|examples/shop/checkout.yaml:22|no memory limit
automount-service-account-token|shop/Deployment/checkout||spec.template.spec.automountServiceAccountToken|examples/shop/checkout.yaml:12|the token of the service account default is mounted, and no container needs it
run-as-non-root|shop/Deployment/frontend|web|spec.template.spec.containers[0].securityContext.runAsNonRoot|examples/shop/frontend.yaml:19|runAsNonRoot is not set
image-tag|shop/Deployment/frontend|web|spec.template.spec.containers[0].image|examples/shop/frontend.yaml:20|the tag is latest: registry.shop.example/frontend:latest
memory-limit|shop/Deployment/frontend|web|spec.template.spec.containers[0].resources|examples/shop/frontend.yaml:19|no memory limit
read-only-root-filesystem|shop/Deployment/frontend|web|spec.template.spec.containers[0].securityContext|examples/shop/frontend.yaml:19|readOnlyRootFilesystem is not set
sensitive-host-path|kube-system/DaemonSet/node-agent||spec.template.spec.volumes[0].hostPath.path|examples/shop/node-agent.yaml:51|/var/run/containerd/containerd.sock is the container runtime's socket
sensitive-host-path|kube-system/DaemonSet/node-agent||spec.template.spec.volumes[1].hostPath.path|examples/shop/node-agent.yaml:54|!/var/log is mounted
sensitive-host-path|kube-system/DaemonSet/node-agent||spec.template.spec.volumes[2].hostPath.path|examples/shop/node-agent.yaml:57|!/proc is mounted
privileged|kube-system/DaemonSet/node-agent|agent|spec.template.spec.containers[0].securityContext.privileged|examples/shop/node-agent.yaml:33|privileged is true
run-as-non-root|kube-system/DaemonSet/node-agent|install|spec.template.spec.initContainers[0].securityContext.runAsNonRoot|examples/shop/node-agent.yaml:21|runAsNonRoot is not set
memory-limit|kube-system/DaemonSet/node-agent|agent|spec.template.spec.containers[0].resources|examples/shop/node-agent.yaml:30|no memory limit
cluster-admin-binding|/ClusterRoleBinding/ci-deployer||subjects[0]|examples/shop/rbac.yaml:8|the ServiceAccount ci/deployer is bound to cluster-admin
role-wildcard|/ClusterRole/shop-operator||rules[2].verbs|examples/shop/rbac.yaml:37|the verbs of the rule for deployments.apps are *, and ServiceAccount shop/operator is bound to it
image-tag|payments/CronJob/settle|settle|spec.jobTemplate.spec.template.spec.containers[0].image|examples/shop/settle.yaml:18|no tag: registry.shop.example/settle
run-as-non-root|payments/CronJob/settle|settle|spec.jobTemplate.spec.template.spec.containers[0].securityContext.runAsNonRoot|examples/shop/settle.yaml:17|runAsNonRoot is not set
credentials-in-environment|payments/CronJob/settle|settle|spec.jobTemplate.spec.template.spec.containers[0].envFrom[0]|examples/shop/settle.yaml:24|all keys of the Secret bank are variables
namespace-resource-quota|/Namespace/payments|||examples/shop/namespaces.yaml:9|?whether there is a ResourceQuota was not observed
ingress-tls|ingress/Ingress/default||spec.tls|charts/ingress/templates/ingress.yaml:6|no TLS for the host shop.example
automount-service-account-token|ingress/Deployment/controller||spec.template.spec.automountServiceAccountToken|charts/ingress/templates/controller.yaml|the token is mounted, and no container needs it
run-as-non-root|ingress/Deployment/controller|controller|spec.template.spec.containers[0].securityContext.runAsUser|charts/ingress/templates/controller.yaml:61|?runAsUser comes from a ConfigMap that the chart does not hold
memory-limit|ingress/Deployment/controller|controller|spec.template.spec.containers[0].resources|charts/ingress/templates/controller.yaml|no memory limit
image-tag|ingress/Job/admission-create|create|spec.template.spec.containers[0].image||the tag is latest: registry.example/certgen:latest
`

func sampleFindings() []finding.Finding {
	severity := map[string]finding.Severity{}
	for _, rule := range sampleRules() {
		severity[rule.Name] = rule.Severity
	}
	var fs []finding.Finding
	for line := range strings.Lines(strings.TrimSpace(sampleLines)) {
		part := strings.Split(strings.TrimSpace(line), "|")
		f := finding.Finding{Control: part[0], Verdict: finding.Fail, Severity: severity[part[0]], Object: sampleRef(part[1]), Container: part[2], Path: part[3], Message: part[5]}
		if file, at, _ := strings.Cut(part[4], ":"); file != "" {
			f.Location = &finding.Location{File: file}
			if _, err := fmt.Sscan(at, &f.Location.Line); err == nil {
				f.Location.Column = 11
			}
		}
		if f.Object.Namespace == "ingress" {
			f.Root = "charts/ingress"
		}
		switch f.Message[0] {
		case '?':
			f.Verdict, f.Message = finding.Unknown, f.Message[1:]
			f.Evidence = []finding.Evidence{{Source: "examples/shop", Detail: "read in whole"}}
		case '!':
			f.Message = f.Message[1:]
			f.Waived = &finding.Waived{Waiver: "node-agent-host-access", Owner: "platform@shop.example", Reason: "reads the node's logs", Ticket: "SEC-112", Expires: "2027-01-31"}
		}
		if f.Control == "privileged" {
			f.Covers = []string{"drop-all-capabilities", "allow-privilege-escalation"}
			f.Fix = &finding.Fix{Safety: finding.FixRisky, Note: "the container loses its devices",
				Edits: []finding.Edit{{Op: "replace", Path: "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(f.Path), Value: false}},
				Diff:  "-  privileged: true\n+  privileged: false\n"}
		}
		sum := sha256.Sum256([]byte(f.Control + f.Root + f.Object.String() + f.Container + f.Message))
		f.Fingerprint = hex.EncodeToString(sum[:16])
		fs = append(fs, f)
	}
	return fs
}

func sampleRef(s string) finding.Ref {
	part := strings.Split(s, "/")
	group := map[string]string{
		"Deployment": "apps", "DaemonSet": "apps", "CronJob": "batch", "Job": "batch", "Ingress": "networking.k8s.io",
		"ClusterRoleBinding": "rbac.authorization.k8s.io", "ClusterRole": "rbac.authorization.k8s.io",
	}[part[1]]
	return finding.Ref{Group: group, Version: "v1", Kind: part[1], Namespace: part[0], Name: part[2]}
}

func sampleSummary(r *finding.Result) {
	s := finding.Summary{
		Objects: 48, Kinds: map[string]int{"Deployment": 6, "Service": 9, "ConfigMap": 4, "Certificate": 2}, UnknownKinds: 2, Namespaces: 5, Workloads: 11, Files: 17,
		Controls: len(r.Rules), Baseline: 4, BySeverity: map[finding.Severity]int{},
	}
	counts := map[string]*finding.ControlCount{}
	layers := map[finding.Layer]*finding.LayerScore{}
	for i, rule := range r.Rules {
		counts[rule.Name] = &finding.ControlCount{Control: rule.Name, Pass: 3 + 2*i, NotApplicable: 20}
		if layers[rule.Layer] == nil {
			layers[rule.Layer] = &finding.LayerScore{Layer: rule.Layer}
		}
		layers[rule.Layer].Pass += 3 + 2*i
		s.Pass += 3 + 2*i
	}
	rules := ruleIndex(r)
	for _, f := range r.Findings {
		switch {
		case f.Waived != nil:
			s.Waived++
			counts[f.Control].Waived++
		case f.Verdict == finding.Unknown:
			s.Unknown++
			counts[f.Control].Unknown++
		default:
			s.Fail++
			s.BySeverity[f.Severity]++
			counts[f.Control].Fail++
			layers[rules[f.Control].Layer].Fail++
		}
	}
	for _, rule := range r.Rules {
		r.Controls = append(r.Controls, *counts[rule.Name])
	}
	for _, l := range finding.Layers() {
		if layers[l] != nil {
			s.ByLayer = append(s.ByLayer, *layers[l])
		}
	}
	r.Summary = s
}

// samplePasses are on an object with findings and on one without.
func samplePasses() []finding.PassRecord {
	return []finding.PassRecord{
		{Control: "privileged", Object: sampleRef("shop/Deployment/frontend"), Location: &finding.Location{File: "examples/shop/frontend.yaml", Line: 1}},
		{Control: "image-tag", Object: sampleRef("ingress/Deployment/controller"), Root: "charts/ingress",
			Evidence: []finding.Evidence{{Source: "charts/ingress/values.yaml", Detail: "controller.image.tag is v1.13.0"}, {Source: "Chart.yaml"}}},
		{Control: "run-as-non-root", Object: sampleRef("ingress/Job/admission-create"), Root: "charts/ingress"},
	}
}

// cleanResult is a scan that found nothing.
func cleanResult() *finding.Result {
	r := sampleResult()
	r.Findings, r.Problems, r.Unknown, r.Waivers, r.Controls = nil, nil, nil, nil, nil
	sampleSummary(r)
	r.Summary.Baseline = 0
	return r
}

// manyFindings has n findings of every severity in 40 namespaces.
func manyFindings(n int) *finding.Result {
	r := sampleResult()
	r.Findings = make([]finding.Finding, n)
	for i := range r.Findings {
		rule := r.Rules[i*7%len(r.Rules)]
		r.Findings[i] = finding.Finding{
			Control: rule.Name, Verdict: finding.Fail, Severity: rule.Severity,
			Message:   fmt.Sprintf("the setting number %d is not what it should be, and here is why it matters to you", i),
			Object:    finding.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: fmt.Sprintf("team-%02d", i%40), Name: fmt.Sprintf("service-%d", i/12)},
			Container: "server", Path: fmt.Sprintf("spec.template.spec.containers[%d].securityContext", i%3),
			Location:    &finding.Location{File: fmt.Sprintf("deploy/team-%02d/service-%d.yaml", i%40, i/12), Line: 10 + i%90, Column: 9},
			Fingerprint: fmt.Sprintf("%032x", i),
		}
	}
	finding.Sort(r.Findings)
	r.Controls = nil
	sampleSummary(r)
	return r
}
