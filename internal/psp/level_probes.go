package psp

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// probeSpec makes a pod with one container, both with a securityContext of its own.
func probePod(spec, podContext, container, context map[string]any) map[string]any {
	c := map[string]any{"name": "c", "securityContext": context}
	maps.Copy(c, container)
	s := map[string]any{"securityContext": podContext, "containers": []any{c}}
	maps.Copy(s, spec)
	return runtime.DeepCopyJSON(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "probe"}, "spec": s})
}

type fieldsOf = map[string]any

func plain(field string) probe {
	return probe{"no " + field, probePod(nil, fieldsOf{}, nil, fieldsOf{})}
}

func inSpec(field string, value any) probe {
	return probe{fmt.Sprintf("%s: %v", field, value), probePod(fieldsOf{field: value}, fieldsOf{}, nil, fieldsOf{})}
}

func inPod(words, field string, value any) probe {
	return probe{words, probePod(nil, fieldsOf{field: value}, nil, fieldsOf{})}
}

func inContainer(field string, value any) probe {
	return probe{fmt.Sprintf("%s: %v", field, value), probePod(nil, fieldsOf{}, nil, fieldsOf{field: value})}
}

// userNamespace is the pod of a probe in a user namespace of its own.
func userNamespace(p probe) probe {
	p.pod["spec"].(fieldsOf)["hostUsers"] = false
	return probe{p.words + " in a user namespace", p.pod}
}

func fixed(probes ...probe) func(*Policy) []probe {
	return func(*Policy) []probe { return probes }
}

// boundaries are values that stand at the ends of ranges, and beside them.
func boundaries(ranges []Range, most int64, also ...int64) []int64 {
	out := also
	for _, r := range ranges {
		out = append(out, r.Min-1, r.Min, r.Max, r.Max+1)
	}
	out = slices.DeleteFunc(out, func(v int64) bool { return v < 0 || v > most })
	slices.Sort(out)
	return slices.Compact(out)
}

func hostPortProbes(p *Policy) []probe {
	var out []probe
	for _, port := range boundaries(p.Spec.HostPorts, 65535, 1, 80, 65535) {
		if port > 0 {
			out = append(out, probe{strconv.FormatInt(port, 10), probePod(nil, fieldsOf{}, fieldsOf{"ports": []any{fieldsOf{"containerPort": int64(1), "hostPort": port}}}, fieldsOf{})})
		}
	}
	return out
}

func withVolume(words, field string, source map[string]any) probe {
	return probe{words, probePod(fieldsOf{"volumes": []any{fieldsOf{"name": "v", field: source}}}, fieldsOf{}, nil, fieldsOf{})}
}

func volumeProbes(*Policy) []probe {
	var out []probe
	for _, t := range sortedKeys(volumeFields) {
		source := fieldsOf{}
		switch t {
		case "hostPath":
			source["path"] = "/"
		case "csi", "flexVolume":
			source["driver"] = "probe.bulkhead.dev"
		case "projected":
			source["sources"] = []any{fieldsOf{"secret": fieldsOf{"name": "x"}}}
		}
		out = append(out, withVolume(t, volumeFields[t], source))
	}
	token := []any{fieldsOf{"serviceAccountToken": fieldsOf{"path": "token"}}}
	return append(out, withVolume("image", "image", fieldsOf{}), withVolume("projected token", "projected", fieldsOf{"sources": token}))
}

func hostPathProbes(p *Policy) []probe {
	if !p.Spec.allowsVolume("hostPath") {
		return nil // the row of volumes says it
	}
	paths := []string{"/", "/bulkhead-probe"}
	for _, a := range p.Spec.AllowedHostPaths {
		paths = append(paths, a.PathPrefix)
	}
	var out []probe
	for _, path := range paths {
		for _, readOnly := range []bool{true, false} {
			words := path
			if readOnly {
				words += " (read-only)"
			}
			out = append(out, probe{words, probePod(fieldsOf{"volumes": []any{fieldsOf{"name": "v", "hostPath": fieldsOf{"path": path}}}}, fieldsOf{},
				fieldsOf{"volumeMounts": []any{fieldsOf{"name": "v", "mountPath": "/v", "readOnly": readOnly}}}, fieldsOf{})})
		}
	}
	return out
}

func driverProbes(volume string, names func(*Spec) []string) func(*Policy) []probe {
	return func(p *Policy) []probe {
		if !p.Spec.allowsVolume(volume) {
			return nil // the row of volumes says it
		}
		out := []probe{withVolume("other drivers", volume, fieldsOf{"driver": "probe.bulkhead.dev"})}
		for _, n := range names(&p.Spec) {
			out = append(out, withVolume(n, volume, fieldsOf{"driver": n}))
		}
		return out
	}
}

// knownCapabilities are those of Linux 6.
var knownCapabilities = []string{"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
	"FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE",
	"SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM", "ALL"}

// capabilityProbes add to a container that drops all others, so that each differs in
// what it adds alone.
func capabilityProbes(p *Policy) []probe {
	names := slices.Concat(knownCapabilities, p.Spec.DefaultAddCapabilities, p.Spec.AllowedCapabilities)
	names = slices.DeleteFunc(names, func(n string) bool { return n == "*" })
	slices.Sort(names)
	out := []probe{{"no capabilities dropped", plain("").pod}}
	for _, n := range slices.Compact(names) {
		out = append(out, probe{"adding " + n, inContainer("capabilities", fieldsOf{"add": []any{n}, "drop": []any{"ALL"}}).pod})
	}
	return out
}

func seLinuxProbes(p *Policy) []probe {
	options := []fieldsOf{{"type": "container_t"}, {"type": "spc_t"}, {"user": "system_u"}, {"role": "system_r"}, {"level": "s0:c1,c2"}}
	if o := p.Spec.SELinux.SELinuxOptions; o != nil {
		own := fieldsOf{}
		f := o.fields()
		for i := 0; i < len(f); i += 2 {
			own[f[i]] = f[i+1]
		}
		options = append(options, own)
	}
	out := []probe{plain("seLinuxOptions")}
	for _, o := range options {
		var words []string
		for _, k := range sortedKeys(o) {
			words = append(words, fmt.Sprintf("%s %s", k, o[k]))
		}
		out = append(out, inPod(strings.Join(words, ", "), "seLinuxOptions", o))
	}
	return out
}

func userProbes(p *Policy) []probe {
	out := []probe{plain("runAsUser or runAsNonRoot"), inPod("runAsNonRoot: false", "runAsNonRoot", false)}
	if p.Spec.RunAsUser.Rule != MustRunAs { // which gives every pod a user
		out = append(out, inPod("runAsNonRoot: true", "runAsNonRoot", true))
	}
	for _, id := range boundaries(p.Spec.RunAsUser.Ranges, 1<<31-1, 0, 1, 1000) {
		pod := inPod("", "runAsUser", id).pod
		out = append(out, probe{fmt.Sprintf("runAsUser %d", id), pod})
		non := runtime.DeepCopyJSON(pod)
		non["spec"].(fieldsOf)["securityContext"].(fieldsOf)["runAsNonRoot"] = true
		out = append(out, probe{fmt.Sprintf("runAsUser %d, runAsNonRoot", id), non})
	}
	return out
}

func groupProbes(field string, ids func(*Spec) *IDs) func(*Policy) []probe {
	return func(p *Policy) []probe {
		var ranges []Range
		if i := ids(&p.Spec); i != nil {
			ranges = i.Ranges
		}
		out := []probe{plain(field)}
		for _, id := range boundaries(ranges, 1<<31-1, 0, 1000) {
			var value any = id
			if field == "supplementalGroups" {
				value = []any{id}
			}
			out = append(out, inPod(strconv.FormatInt(id, 10), field, value))
		}
		return out
	}
}

// sysctlNames are those that Pod Security calls safe, some that it does not, and one
// for each pattern of a policy.
func sysctlProbes(p *Policy) []probe {
	names := append(slices.Clone(safeSysctls), "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "kernel.msgmax", "net.core.somaxconn")
	for _, pattern := range slices.Concat(p.Spec.AllowedUnsafeSysctls, p.Spec.ForbiddenSysctls) {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			pattern = prefix + "probe"
		}
		names = append(names, pattern)
	}
	slices.Sort(names)
	var out []probe
	for _, n := range slices.Compact(names) {
		out = append(out, inPod(n, "sysctls", []any{fieldsOf{"name": n, "value": "1"}}))
	}
	return out
}

func runtimeClassProbes(p *Policy) []probe {
	names := []string{"probe"}
	if c := p.Spec.RuntimeClass; c != nil {
		names = append(names, c.AllowedRuntimeClassNames...)
	}
	out := []probe{plain("runtimeClassName")}
	for _, n := range names {
		if n != "*" {
			out = append(out, inSpec("runtimeClassName", n))
		}
	}
	return out
}

func profileProbes(field string, of func(*Policy) *profiles) func(*Policy) []probe {
	return func(p *Policy) []probe {
		out := []probe{plain("profile"), inPod("RuntimeDefault", field, fieldsOf{"type": "RuntimeDefault"}), inPod("Unconfined", field, fieldsOf{"type": "Unconfined"}),
			inPod("Localhost probe", field, fieldsOf{"type": "Localhost", "localhostProfile": "probe"})}
		for _, a := range of(p).allowed {
			if name, ok := strings.CutPrefix(a, localhost); ok {
				out = append(out, inPod("Localhost "+name, field, fieldsOf{"type": "Localhost", "localhostProfile": name}))
			}
		}
		return out
	}
}

// newerProbes are what policies never looked at.
func newerProbes(*Policy) []probe {
	return []probe{
		inPod("HostProcess containers", "windowsOptions", fieldsOf{"hostProcess": true}),
		{"a probe of another host", probePod(nil, fieldsOf{}, fieldsOf{"livenessProbe": fieldsOf{"httpGet": fieldsOf{"host": "example.com", "port": int64(80)}}}, fieldsOf{})},
	}
}
