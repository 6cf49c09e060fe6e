package report

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
)

// shopRules are rules as a catalogue has them, in all layers that files reach.
var shopRules = []finding.Rule{
	rule("privileged", "Privileged containers", finding.Critical, finding.LayerWorkload, finding.FixRisky,
		"A privileged container has all capabilities and all devices of its node. Whoever breaks into it owns the node, and from there every pod on it.",
		"Remove securityContext.privileged, and add the single capability that the program needs.", "pss|Baseline: Privileged Containers", "cis-1.12|5.2.2", "nsa-cisa|Pod security: privileged"),
	rule("sensitive-host-path", "Host paths that give the node away", finding.Critical, finding.LayerWorkload, finding.FixManual,
		"The runtime's socket, /etc, /proc and the kubelet's folder let a container act as root on its node.",
		"Use a volume of another type. Where an agent needs host files, mount the one file, read-only.", "pss|Baseline: HostPath Volumes", "mitre|T1611"),
	rule("cluster-admin-binding", "Bindings to cluster-admin", finding.Critical, finding.LayerRBAC, finding.FixManual,
		"A subject bound to cluster-admin can read every Secret and run anything anywhere.",
		"Bind a role that names the verbs and resources that are used.", "cis-1.12|5.1.1", "nsa-cisa|RBAC: least privilege"),
	rule("host-namespaces", "Host namespaces", finding.High, finding.LayerWorkload, finding.FixRisky,
		"hostNetwork, hostPID and hostIPC show a container the traffic, processes and memory of its node.",
		"Remove hostNetwork, hostPID and hostIPC from the pod.", "pss|Baseline: Host Namespaces", "cis-1.12|5.2.3"),
	rule("privilege-escalation", "Privilege escalation", finding.High, finding.LayerWorkload, finding.FixSafe,
		"Without allowPrivilegeEscalation: false a setuid program in the image can gain rights that the container did not start with.",
		"Set securityContext.allowPrivilegeEscalation to false.", "pss|Restricted: Privilege Escalation", "cis-1.12|5.2.6"),
	rule("run-as-non-root", "Containers that run as root", finding.High, finding.LayerWorkload, finding.FixRisky,
		"Root in a container is root on the node as soon as one isolation fails.",
		"Set runAsNonRoot to true, and runAsUser where the image does not name a numeric user.", "pss|Restricted: Running as Non-root", "cis-1.12|5.2.7"),
	rule("drop-all-capabilities", "Capabilities not dropped", finding.Medium, finding.LayerWorkload, finding.FixRisky,
		"Container runtimes grant 14 capabilities by default; most programs use none of them.",
		"Set capabilities.drop to [ALL] and add back what the program needs.", "pss|Restricted: Capabilities", "cis-1.12|5.2.10"),
	rule("read-only-root-filesystem", "Writable root file system", finding.Medium, finding.LayerWorkload, finding.FixRisky,
		"An intruder who cannot write to the file system cannot leave tools there.",
		"Set readOnlyRootFilesystem to true, and mount an emptyDir where the program writes.", "nsa-cisa|Pod security: immutable file systems"),
	rule("seccomp-profile", "No seccomp profile", finding.Medium, finding.LayerWorkload, finding.FixSafe,
		"Without a profile a container may make every system call, also those that kernel exploits use.",
		"Set seccompProfile.type to RuntimeDefault on the pod.", "pss|Restricted: Seccomp", "cis-1.12|5.6.2"),
	rule("memory-limit", "No memory limit", finding.Medium, finding.LayerWorkload, finding.FixManual,
		"A container without a memory limit can take the memory of its node from everybody else.",
		"Set resources.limits.memory from what the container uses at its peak.", "nsa-cisa|Pod security: resource limits"),
	rule("cpu-request", "No CPU request", finding.Low, finding.LayerWorkload, finding.FixManual,
		"The scheduler places a pod without a request as if it used nothing.",
		"Set resources.requests.cpu from what the container uses.", "nsa-cisa|Pod security: resource limits"),
	rule("automount-service-account-token", "Service-account token mounted", finding.Medium, finding.LayerWorkload, finding.FixRisky,
		"A token that nothing uses is still there for an intruder.",
		"Set automountServiceAccountToken to false where the program does not call the API server.", "cis-1.12|5.1.6"),
	rule("image-tag", "Images by a moving tag", finding.Medium, finding.LayerImage, finding.FixManual,
		"latest, or no tag, runs whatever was pushed last; a restart can change the program.",
		"Name a version, better a digest.", "nsa-cisa|Supply chain: immutable tags"),
	rule("image-digest", "Images without a digest", finding.Low, finding.LayerImage, finding.FixManual,
		"A tag can be moved to another image; a digest cannot.",
		"Add @sha256:... to the image.", "mitre|T1525"),
	rule("allowed-registries", "Images from other registries", finding.High, finding.LayerImage, finding.FixManual,
		"Images from outside the allow list have not been through the organisation's checks.",
		"Copy the image to a registry of the allow list, and name it there.", "cis-1.12|5.5.1"),
	rule("credentials-in-environment", "Literal credentials in variables", finding.High, finding.LayerSecrets, finding.FixManual,
		"A credential in a manifest is in git, in every log of the manifest, and in the API server for all who may read pods.",
		"Put it into a Secret, mount it as a file, and replace the credential: it is known.", "cis-1.12|5.4.1", "pci-dss|8.6.2"),
	rule("credentials-in-config-map", "Credentials in ConfigMaps", finding.High, finding.LayerSecrets, finding.FixManual,
		"ConfigMaps are read by many and encrypted nowhere.",
		"Move the value to a Secret, and replace it.", "pci-dss|8.6.2"),
	rule("secret-as-variable", "Secrets as variables", finding.Low, finding.LayerSecrets, finding.FixManual,
		"Variables reach child processes, crash dumps and debug pages; files do not.",
		"Mount the Secret as a file.", "cis-1.12|5.4.1"),
	rule("wildcard-rules", "Wildcards in roles", finding.High, finding.LayerRBAC, finding.FixManual,
		"A wildcard grants what does not exist yet.",
		"Name the verbs and the resources.", "cis-1.12|5.1.3"),
	rule("secrets-access", "Roles that read Secrets", finding.Medium, finding.LayerRBAC, finding.FixManual,
		"list and watch on Secrets return their contents, as get does.",
		"Grant get on the Secrets that are used, by resourceNames.", "cis-1.12|5.1.2"),
	rule("default-deny-ingress", "No default-deny for ingress", finding.Medium, finding.LayerNetwork, finding.FixRisky,
		"Without it every pod of the cluster reaches every pod of the namespace.",
		"Add a NetworkPolicy that selects all pods and allows nothing, then one for each wanted path.", "cis-1.12|5.3.2", "nsa-cisa|Network separation"),
	rule("node-port", "Services of type NodePort", finding.Low, finding.LayerNetwork, finding.FixManual,
		"A node port is open on every node, past the ingress and its TLS.",
		"Use ClusterIP behind an Ingress or a Gateway.", "nsa-cisa|Network separation"),
	rule("ingress-tls", "Ingress without TLS", finding.Medium, finding.LayerNetwork, finding.FixManual,
		"Passwords and sessions travel in the clear.",
		"Add spec.tls with a Secret for each host.", "pci-dss|4.2.1"),
	rule("pod-security-labels", "Namespaces without Pod Security labels", finding.Medium, finding.LayerNamespace, finding.FixSafe,
		"Without pod-security.kubernetes.io/enforce the API server admits any pod.",
		"Label the namespace with the strictest level that its pods meet today.", "pss|Namespace labels", "cis-1.12|5.2.1"),
	rule("resource-quota", "Namespaces without ResourceQuota", finding.Info, finding.LayerNamespace, finding.FixManual,
		"One team can take what the cluster has.",
		"Add a ResourceQuota with the namespace's share.", "nsa-cisa|Pod security: resource limits"),
}

func rule(name, title string, severity finding.Severity, layer finding.Layer, safety finding.FixSafety, why, remedy string, refs ...string) finding.Rule {
	r := finding.Rule{Name: name, Title: title, Severity: severity, Layer: layer, Why: why, Remedy: remedy, Since: "v0.1", FixSafety: safety}
	for _, ref := range refs {
		framework, id, _ := strings.Cut(ref, "|")
		r.References = append(r.References, finding.Reference{Framework: framework, ID: id, URL: "https://example.com/" + framework})
	}
	return r
}

type shopWorkload struct{ namespace, kind, name, containers string }

var shopWorkloads = []shopWorkload{
	{"shop", "Deployment", "frontend", "server istio-proxy"},
	{"shop", "Deployment", "catalog", "server"},
	{"shop", "StatefulSet", "cart-redis", "redis exporter"},
	{"checkout", "Deployment", "checkout", "server"},
	{"checkout", "CronJob", "settle-invoices", "settle"},
	{"payments", "Deployment", "payment-gateway", "gateway vault-agent"},
	{"payments", "Job", "migrate-2026-03", "migrate"},
	{"data", "StatefulSet", "orders-postgres", "postgres wal-archive"},
	{"observability", "DaemonSet", "node-agent", "agent"},
	{"observability", "Deployment", "grafana", "grafana"},
}

// shopFaults says which containers each workload control fails: every one
// whose running number is a multiple of this.
var shopFaults = map[string]int{
	"privileged": 7, "privilege-escalation": 1, "run-as-non-root": 2, "drop-all-capabilities": 1, "read-only-root-filesystem": 2, "seccomp-profile": 1,
	"memory-limit": 2, "cpu-request": 2, "image-tag": 5, "image-digest": 1, "allowed-registries": 6, "credentials-in-environment": 5, "secret-as-variable": 3,
}

// shopResult is a realistic assessment of a small shop: all severities and
// verdicts, waivers, fixes with diffs, frameworks, and what could not be read.
func shopResult() *finding.Result {
	r := &finding.Result{
		Tool:   finding.Tool{Name: "bulkhead", Version: "v0.1.0"},
		Inputs: []string{"examples/shop", "charts/observability"},
		Rules:  shopRules,
	}
	number := 0
	for _, w := range shopWorkloads {
		for i, container := range strings.Fields(w.containers) {
			number++
			for _, rule := range shopRules {
				if every := shopFaults[rule.Name]; every > 0 && number%every == 0 {
					r.Findings = append(r.Findings, w.finding(rule, container, i))
				}
			}
		}
	}
	r.Findings = append(r.Findings, shopElsewhere()...)
	waiveSome(r.Findings)
	finding.Sort(r.Findings)
	r.Unknown = []finding.Unmet{
		{What: "NetworkPolicy in namespace legacy", Reason: "the folder manifests/legacy gives no complete list", Controls: []string{"default-deny-ingress"}},
		{What: "ServiceAccount payments/gateway", Reason: "it is named by a Deployment and given by no file", Controls: []string{"secrets-access", "automount-service-account-token"}},
	}
	r.Problems = []finding.Problem{
		{Location: finding.Location{File: "examples/shop/payments/broken.yaml", Line: 14, Column: 3}, Message: "a tab begins the line, and YAML indents with spaces only: replace the tab by spaces"},
		{Location: finding.Location{File: "charts/observability/templates/alerts.yaml"}, Message: "the template fails: .Values.alerts is not a map; give it with --values or --set alerts.enabled=false"},
	}
	r.Waivers = []finding.WaiverUse{
		{Waiver: "annotation", State: "matched", Control: "privileged", Owner: "platform", Reason: "the node agent reads kernel events", Expires: "2027-01-31", Matches: 1, Location: &finding.Location{File: "charts/observability/templates/agent.yaml", Line: 12}},
		{Waiver: "redis-tag", State: "expired", Control: "image-tag", Owner: "shop", Reason: "until the registry mirrors redis", Expires: "2025-12-31", Location: &finding.Location{File: "waivers.yaml", Line: 3}},
		{Waiver: "old-batch", State: "unused", Control: "cpu-request", Owner: "checkout", Reason: "batch jobs of the night", Expires: "2026-12-31", Location: &finding.Location{File: "waivers.yaml", Line: 17}},
		{Waiver: "everything", State: "invalid", Owner: "", Problems: []string{"spec.owner is missing: name who answers for it"}, Location: &finding.Location{File: "waivers.yaml", Line: 31}},
	}
	summarise(r)
	r.Summary.Files, r.Summary.Namespaces, r.Summary.Workloads, r.Summary.UnknownKinds, r.Summary.Baseline = 31, 5, len(shopWorkloads), 4, 9
	r.Frameworks = shopFrameworks()
	return r
}

func (w shopWorkload) finding(rule finding.Rule, container string, i int) finding.Finding {
	line := 20 + 17*i
	f := finding.Finding{
		Control: rule.Name, Verdict: finding.Fail, Severity: rule.Severity, Container: container,
		Message:  map[bool]string{true: rule.Title + " in an init container", false: rule.Title}[container == "vault-agent"],
		Object:   finding.Ref{Group: "apps", Version: "v1", Kind: w.kind, Namespace: w.namespace, Name: w.name},
		Path:     fmt.Sprintf("spec.template.spec.containers[%d].securityContext", i),
		Location: &finding.Location{File: fmt.Sprintf("examples/shop/%s/%s.yaml", w.namespace, w.name), Line: line, Column: 11},
		Evidence: []finding.Evidence{{Source: fmt.Sprintf("%s/%s", w.kind, w.name), Detail: "container " + container + " sets no securityContext, and the pod's does not say it either"}},
	}
	if w.namespace == "observability" {
		f.Root = "charts/observability"
		f.Location.File = fmt.Sprintf("charts/observability/templates/%s.yaml", w.name)
	}
	if rule.Name == "privileged" {
		f.Covers = []string{"privilege-escalation", "drop-all-capabilities"}
	}
	f.Fix = shopFix(rule, container, i)
	f.Fingerprint = fingerprint(f)
	return f
}

func shopFix(rule finding.Rule, container string, i int) *finding.Fix {
	fix := &finding.Fix{Safety: rule.FixSafety}
	switch rule.FixSafety {
	case finding.FixManual:
		fix.Note = "the right value is known to who runs the program"
		return fix
	case finding.FixRisky:
		fix.Note = "a program that writes, binds low ports or changes its user would stop"
	}
	fix.Edits = []finding.Edit{{Op: "add", Path: fmt.Sprintf("/spec/template/spec/containers/%d/securityContext", i), Value: map[string]any{"allowPrivilegeEscalation": false}}}
	fix.Diff = fmt.Sprintf(`--- before
+++ after
@@ -%d,6 +%d,9 @@
     spec:
       containers:
       - name: %s
-        securityContext: {}
+        securityContext:
+          allowPrivilegeEscalation: false
+          capabilities:
+            drop: [ALL]
         resources:
           requests:
             cpu: 50m
`, 20+17*i, 20+17*i, container)
	return fix
}

// shopElsewhere is what fails, or is unknown, on other objects than workloads.
func shopElsewhere() []finding.Finding {
	var fs []finding.Finding
	add := func(control, message string, verdict finding.Verdict, group, kind, namespace, name, path string) {
		i := slices.IndexFunc(shopRules, func(r finding.Rule) bool { return r.Name == control })
		place := namespace
		if place == "" {
			place = "cluster"
		}
		f := finding.Finding{
			Control: control, Verdict: verdict, Severity: shopRules[i].Severity, Message: message, Path: path,
			Object:   finding.Ref{Group: group, Version: "v1", Kind: kind, Namespace: namespace, Name: name},
			Location: &finding.Location{File: fmt.Sprintf("examples/shop/%s/%s.yaml", place, strings.ToLower(kind)), Line: 4 + len(fs)},
		}
		f.Fingerprint = fingerprint(f)
		fs = append(fs, f)
	}
	const rbac = "rbac.authorization.k8s.io"
	add("cluster-admin-binding", "Binds ServiceAccount shop/deployer to cluster-admin", finding.Fail, rbac, "ClusterRoleBinding", "", "deployer-admin", "roleRef.name")
	add("wildcard-rules", `Grants all verbs on all resources of ""`, finding.Fail, rbac, "ClusterRole", "", "shop-operator", "rules[0]")
	add("wildcard-rules", "Grants all verbs on deployments", finding.Fail, rbac, "Role", "checkout", "release", "rules[1].verbs")
	add("secrets-access", "Lists Secrets of all namespaces", finding.Fail, rbac, "ClusterRole", "", "backup", "rules[2]")
	add("secrets-access", "ServiceAccount payments/gateway was not given, so what it may read is not known", finding.Unknown, rbac, "RoleBinding", "payments", "gateway", "subjects[0]")
	add("sensitive-host-path", "Mounts /var/run/containerd/containerd.sock of the node", finding.Fail, "apps", "DaemonSet", "observability", "node-agent", "spec.template.spec.volumes[0].hostPath.path")
	add("host-namespaces", "Uses the network of its node", finding.Fail, "apps", "DaemonSet", "observability", "node-agent", "spec.template.spec.hostNetwork")
	add("credentials-in-config-map", "Key db.password looks like a credential", finding.Fail, "", "ConfigMap", "data", "orders-settings", "data.db.password")
	add("node-port", "Opens port 30080 on every node", finding.Fail, "", "Service", "shop", "frontend-external", "spec.type")
	add("ingress-tls", "Host shop.example.com is served without TLS", finding.Fail, "networking.k8s.io", "Ingress", "shop", "frontend", "spec.tls")
	for _, namespace := range []string{"shop", "checkout", "data"} {
		add("pod-security-labels", "No Pod Security level is enforced; baseline could be today", finding.Fail, "", "Namespace", "", namespace, "metadata.labels")
		add("default-deny-ingress", "No NetworkPolicy denies ingress by default", finding.Fail, "", "Namespace", "", namespace, "")
	}
	add("default-deny-ingress", "The NetworkPolicies of this namespace could not be read", finding.Unknown, "", "Namespace", "", "payments", "")
	add("resource-quota", "No ResourceQuota bounds the namespace", finding.Fail, "", "Namespace", "", "observability", "")
	return fs
}

func waiveSome(fs []finding.Finding) {
	for i := range fs {
		switch f := &fs[i]; {
		case f.Object.Name == "node-agent" && f.Verdict == finding.Fail && f.Control != "image-digest":
			f.Waived = &finding.Waived{Waiver: "annotation", Owner: "platform", Reason: "the node agent reads kernel events", Ticket: "PLAT-1204", Expires: "2027-01-31"}
		case f.Control == "cpu-request" && f.Object.Kind == "CronJob":
			f.Waived = &finding.Waived{Waiver: "batch", Owner: "checkout", Reason: "batch jobs of the night run on an empty cluster"}
		}
	}
}

func shopFrameworks() []finding.Framework {
	requirements := []finding.Requirement{
		{ID: "5.1.1", Title: "The cluster-admin role is used only where required", Verdict: finding.Fail, Controls: []string{"cluster-admin-binding"}},
		{ID: "5.1.2", Title: "Access to Secrets is minimised", Verdict: finding.Fail, Controls: []string{"secrets-access"}},
		{ID: "5.1.3", Title: "No wildcards in Roles and ClusterRoles", Verdict: finding.Fail, Controls: []string{"wildcard-rules"}},
		{ID: "5.1.5", Title: "Default service accounts are not used", Verdict: finding.Pass, Controls: []string{"default-service-account"}},
		{ID: "5.3.2", Title: "All namespaces have NetworkPolicies", Verdict: finding.Unknown, Controls: []string{"default-deny-ingress"}},
		{ID: "5.5.1", Title: "Image provenance by ImagePolicyWebhook", Controls: nil},
	}
	return []finding.Framework{
		{Name: "cis-1.12", Title: "CIS Kubernetes Benchmark 1.12, policies", Total: 35, Assessed: 16, Passed: 12, Failed: 3, Requirements: requirements},
		{Name: "nsa-cisa", Title: "NSA/CISA Kubernetes Hardening Guide", Total: 42, Assessed: 21, Passed: 13, Failed: 8, Requirements: requirements[:2]},
		{Name: "pss-baseline", Title: "Pod Security Standards: baseline", Total: 11, Assessed: 11, Passed: 9, Failed: 2},
		{Name: "pss-restricted", Title: "Pod Security Standards: restricted", Total: 17, Assessed: 17, Passed: 9, Failed: 8},
		{Name: "mitre", Title: "MITRE ATT&CK for containers", Total: 39, Assessed: 11, Passed: 7, Failed: 4},
	}
}

// summarise fills in what follows from the findings; passes are made up.
func summarise(r *finding.Result) {
	s := finding.Summary{Controls: len(r.Rules), BySeverity: map[finding.Severity]int{}}
	layers := map[finding.Layer]*finding.LayerScore{}
	counts := map[string]*finding.ControlCount{}
	objects := map[finding.Ref]bool{}
	for i, rule := range r.Rules {
		passes := 3 + 5*i%23
		counts[rule.Name] = &finding.ControlCount{Control: rule.Name, Pass: passes, NotApplicable: 2 * i}
		if layers[rule.Layer] == nil {
			layers[rule.Layer] = &finding.LayerScore{Layer: rule.Layer}
		}
		layers[rule.Layer].Pass += passes
		s.Pass += passes
	}
	for _, f := range r.Findings {
		objects[f.Object] = true
		count := counts[f.Control]
		switch {
		case f.Waived != nil:
			s.Waived++
			count.Waived++
		case f.Verdict == finding.Unknown:
			s.Unknown++
			count.Unknown++
		default:
			s.Fail++
			count.Fail++
			s.BySeverity[f.Severity]++
			if rule := slices.IndexFunc(r.Rules, func(r finding.Rule) bool { return r.Name == f.Control }); rule >= 0 {
				layers[r.Rules[rule].Layer].Fail++
			}
		}
	}
	s.Objects = len(objects) + 20
	for _, layer := range finding.Layers() {
		if layers[layer] != nil {
			s.ByLayer = append(s.ByLayer, *layers[layer])
		}
	}
	for _, rule := range r.Rules {
		r.Controls = append(r.Controls, *counts[rule.Name])
	}
	r.Summary = s
}

// bigResult has n findings spread over 80 controls and 200 namespaces.
func bigResult(n int) *finding.Result {
	r := &finding.Result{Tool: finding.Tool{Name: "bulkhead", Version: "v0.1.0"}, Inputs: []string{"cluster"}}
	for i := range 80 {
		base := shopRules[i%len(shopRules)]
		if i >= len(shopRules) {
			base.Name = fmt.Sprintf("%s-%d", base.Name, i/len(shopRules)+1)
			base.Title = fmt.Sprintf("%s, case %d", base.Title, i/len(shopRules)+1)
		}
		r.Rules = append(r.Rules, base)
	}
	for i := range n {
		rule := r.Rules[(i*i+i/7)%80]
		w := shopWorkload{fmt.Sprintf("team-%03d", (i*13+i/200)%200), "Deployment", fmt.Sprintf("service-%d", i%900), "server"}
		f := w.finding(rule, "server", i%3)
		f.Fingerprint = fmt.Sprintf("%016x", i)
		r.Findings = append(r.Findings, f)
	}
	finding.Sort(r.Findings)
	summarise(r)
	return r
}

// fingerprint is like a real one in form only.
func fingerprint(f finding.Finding) string {
	h := fnv.New64a()
	fmt.Fprint(h, f.Control, f.Object, f.Root, f.Container, f.Path, f.Message)
	return fmt.Sprintf("%016x", h.Sum64())
}

// attack is markup and script in every way out of text that a page may have.
const attack = `"'></script></style></textarea><!--<script>window.pwned=1</script>` +
	`<img src=x onerror="window.pwned=1"><svg/onload=window.pwned=1><a href="javascript:window.pwned=1">` +
	"\x1b[31m\u202egnp.exe\u2028{{.}}`${window.pwned=1}"

// attackResult has the attack in every string of a result; verdicts and
// severities are valid, so that everything is shown.
func attackResult() *finding.Result {
	r := &finding.Result{}
	fill(reflect.ValueOf(r).Elem(), func() string { return attack })
	r.Summary.BySeverity = map[finding.Severity]int{finding.Critical: 1}
	f := r.Findings[0]
	f.Verdict, f.Severity, f.Waived = finding.Fail, finding.Critical, nil
	waived := f
	waived.Waived = r.Findings[0].Waived
	r.Findings = []finding.Finding{f, waived}
	for i, address := range []string{"javascript:window.pwned=1", " javascript:window.pwned=1", "JaVaScRiPt:window.pwned=1", "data:text/html,<script>window.pwned=1</script>", "https://example.com/\"><script>window.pwned=1</script>"} {
		r.Rules[0].References = append(r.Rules[0].References, finding.Reference{Framework: "attack", ID: fmt.Sprint(i), URL: address})
	}
	return r
}

func withPasses(r *finding.Result) *finding.Result {
	for _, w := range shopWorkloads {
		r.Passes = append(r.Passes, finding.PassRecord{
			Control: "host-namespaces", Object: finding.Ref{Group: "apps", Version: "v1", Kind: w.kind, Namespace: w.namespace, Name: w.name},
			Evidence: []finding.Evidence{{Source: w.kind + "/" + w.name, Detail: "hostNetwork, hostPID and hostIPC are not set"}},
		})
	}
	return r
}

// waivedResult has findings that are waived and no others.
func waivedResult() *finding.Result {
	r := shopResult()
	r.Findings = slices.DeleteFunc(r.Findings, func(f finding.Finding) bool { return f.Waived == nil })[:2]
	r.Problems, r.Unknown, r.Controls = nil, nil, nil
	summarise(r)
	return r
}
