package psp

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// generator makes random policies and pods out of values that stand at the boundaries
// of each other: what policies name, pods have, and what is just beside it.
type generator struct{ *rand.Rand }

type object = map[string]any

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// some is a random choice of a few, in random order.
func some[T any](g *generator, most int, from ...T) []T {
	from = slices.Clone(from)
	g.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:g.IntN(min(most, len(from))+1)]
}

func (g *generator) one(in int) bool { return g.IntN(in) == 0 }

// fields are the fields of a policy that are made random, each alone or all together.
var fields = []string{"privileged", "hostNamespaces", "hostPorts", "volumes", "allowedHostPaths", "allowedFlexVolumes", "allowedCSIDrivers", "capabilities",
	"seLinux", "runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "sysctls",
	"allowedProcMountTypes", "runtimeClass", "seccomp", "appArmor"}

// permissive is a policy that allows everything and fills in nothing.
func permissive(name string) *Manifest {
	m := &Manifest{}
	m.APIVersion, m.Kind, m.Name = "policy/v1beta1", "PodSecurityPolicy", name
	m.Annotations = map[string]string{seccompAllowed: "*"}
	m.Spec = Spec{Privileged: true, AllowedCapabilities: []string{"*"}, Volumes: []string{"*"}, HostNetwork: true, HostPID: true, HostIPC: true,
		HostPorts: []Range{{0, 65535}}, SELinux: SELinux{Rule: RunAsAny}, RunAsUser: IDs{Rule: RunAsAny}, SupplementalGroups: IDs{Rule: RunAsAny},
		FSGroup: IDs{Rule: RunAsAny}, AllowedUnsafeSysctls: []string{"*"}, AllowedProcMountTypes: []string{"Default", "Unmasked"}}
	return m
}

// policy makes the fields random.
func (g *generator) policy(name string, fields ...string) *Manifest {
	m := permissive(name)
	for _, f := range fields {
		g.field(m, f)
	}
	return m
}

func (g *generator) ranges() []Range {
	var out []Range
	for range 1 + g.IntN(2) {
		low := pick[int64](g, 0, 1, 10, 1000)
		out = append(out, Range{low, low + pick[int64](g, 0, 1, 10, 5000)})
	}
	return out
}

func (g *generator) ids(rules ...string) IDs {
	i := IDs{Rule: pick(g, rules...)}
	if i.Rule != RunAsAny && i.Rule != MustRunAsNonRoot {
		i.Ranges = g.ranges()
	}
	return i
}

func (g *generator) field(m *Manifest, field string) {
	s := &m.Spec
	groups := []string{MustRunAs, MayRunAs, RunAsAny}
	switch field {
	case "privileged":
		s.Privileged = g.one(2)
	case "hostNamespaces":
		s.HostPID, s.HostIPC, s.HostNetwork = g.one(2), g.one(2), g.one(2)
	case "hostPorts":
		s.HostPorts = some(g, 2, Range{80, 80}, Range{79, 81}, Range{1024, 65535}, Range{0, 100})
	case "volumes":
		s.Volumes = some(g, 6, append(sortedKeys(volumeFields), "secret", "configMap", "projected", "emptyDir", "*")...)
	case "allowedHostPaths":
		s.AllowedHostPaths = some(g, 3, AllowedHostPath{"/var/log", true}, AllowedHostPath{"/var/log", false}, AllowedHostPath{"/var/", true}, AllowedHostPath{"/var/log/pods", false}, AllowedHostPath{"/", true}, AllowedHostPath{"/data//", false})
	case "allowedFlexVolumes":
		s.AllowedFlexVolumes = some(g, 2, AllowedDriver{"example/lvm"}, AllowedDriver{"example/cifs"})
	case "allowedCSIDrivers":
		s.AllowedCSIDrivers = some(g, 2, AllowedCSIDriver{"a.csi.example.com"}, AllowedCSIDriver{"b.csi.example.com"})
	case "capabilities":
		capabilities := []string{"NET_ADMIN", "SYS_TIME", "CHOWN", "NET_BIND_SERVICE"}
		s.RequiredDropCapabilities = some(g, 2, append(capabilities, "ALL")...)
		s.DefaultAddCapabilities, s.AllowedCapabilities = some(g, 2, capabilities...), some(g, 3, append(capabilities, "*")...)
	case "seLinux":
		s.SELinux = SELinux{Rule: pick(g, MustRunAs, RunAsAny)}
		if s.SELinux.Rule == MustRunAs {
			o := g.seLinux()
			s.SELinux.SELinuxOptions = &SELinuxOptions{User: o["user"], Role: o["role"], Type: o["type"], Level: o["level"]}
		}
	case "runAsUser":
		s.RunAsUser = g.ids(MustRunAs, MustRunAs, MustRunAsNonRoot, RunAsAny)
	case "runAsGroup":
		if i := g.ids(groups...); !g.one(4) {
			s.RunAsGroup = &i
		}
	case "fsGroup":
		s.FSGroup = g.ids(groups...)
	case "supplementalGroups":
		s.SupplementalGroups = g.ids(groups...)
	case "readOnlyRootFilesystem":
		s.ReadOnlyRootFilesystem = g.one(2)
	case "allowPrivilegeEscalation":
		s.AllowPrivilegeEscalation, s.DefaultAllowPrivilegeEscalation = pick(g, nil, new(true), new(false)), pick(g, nil, new(true), new(false))
	case "sysctls":
		s.AllowedUnsafeSysctls = some(g, 2, "kernel.msg*", "net.core.somaxconn", "net.*", "kernel.*")
		s.ForbiddenSysctls = some(g, 2, "kernel.shm_rmid_forced", "net.ipv4.*", "kernel.sem", "net.core.*")
		if g.one(6) {
			s.AllowedUnsafeSysctls, s.ForbiddenSysctls = []string{"*"}, nil
		}
	case "allowedProcMountTypes":
		s.AllowedProcMountTypes = some(g, 2, "Default", "Unmasked")
	case "runtimeClass":
		g.runtimeClass(s)
	case "seccomp":
		g.profileAnnotations(m, seccompDefault, seccompAllowed, runtimeDefault, dockerDefault, unconfined, "localhost/a", "localhost/b")
		if g.one(4) {
			m.Annotations[seccompAllowed] = pick(g, "*", "*,localhost/a", "")
		}
	case "appArmor":
		g.profileAnnotations(m, appArmorDefault, appArmorAllowed, runtimeDefault, unconfined, "localhost/a", "localhost/b")
		if g.one(8) {
			m.Annotations[appArmorAllowed] = ""
		}
	}
}

func (g *generator) runtimeClass(s *Spec) {
	if s.RuntimeClass = nil; g.one(4) {
		return
	}
	s.RuntimeClass = &RuntimeClass{AllowedRuntimeClassNames: some(g, 2, "gvisor", "kata")}
	if g.one(3) {
		s.RuntimeClass.AllowedRuntimeClassNames = []string{"*"}
	}
	if g.one(2) {
		s.RuntimeClass.DefaultRuntimeClassName = new(pick(g, "gvisor", "kata"))
	}
}

func (g *generator) profileAnnotations(m *Manifest, fill, allowed string, names ...string) {
	delete(m.Annotations, allowed)
	if g.one(2) {
		m.Annotations[fill] = pick(g, names...)
	}
	if list := some(g, 2, names...); len(list) > 0 {
		m.Annotations[allowed] = list[0]
		for _, n := range list[1:] {
			m.Annotations[allowed] += "," + n
		}
	}
}

func (g *generator) seLinux() map[string]string {
	out := map[string]string{}
	for key, values := range map[string][]string{"user": {"", "system_u"}, "role": {"", "system_r"}, "type": {"", "container_t"},
		"level": {"", "s0", "s0:c1,c2", "s0:c2,c1", "s0:c1,c1", "s0:c1,c2,c1", "s0:c1:c2", "s1:c1,c2", "s0:"}} {
		if v := pick(g, values...); v != "" {
			out[key] = v
		}
	}
	return out
}

func (g *generator) seLinuxOptions() object {
	out := object{}
	for k, v := range g.seLinux() {
		out[k] = v
	}
	return out
}

func (g *generator) id() int64 { return pick[int64](g, 0, 1, 2, 10, 11, 20, 1000, 1010, 5010) }

// maybe sets a field in some of the cases.
func (g *generator) maybe(in int, o object, key string, value any) {
	if g.one(in) {
		o[key] = value
	}
}

// pod makes a pod as today's API has it: with fields for AppArmor.
func (g *generator) pod(update bool) object {
	annotations, spec, sc := object{}, object{"serviceAccountName": pick(g, "default", "builder")}, object{}
	g.maybe(4, spec, "hostPID", g.one(2))
	g.maybe(4, spec, "hostIPC", g.one(2))
	g.maybe(4, spec, "hostNetwork", g.one(2))
	g.maybe(3, spec, "runtimeClassName", pick(g, "gvisor", "kata", "other"))
	g.maybe(3, sc, "runAsUser", g.id())
	g.maybe(3, sc, "runAsGroup", g.id())
	g.maybe(3, sc, "runAsNonRoot", g.one(2))
	g.maybe(2, sc, "fsGroup", g.id())
	if groups := some[any](g, 2, g.id(), g.id()); len(groups) > 0 {
		sc["supplementalGroups"] = groups
	}
	g.maybe(3, sc, "seLinuxOptions", g.seLinuxOptions())
	g.maybe(4, sc, "seccompProfile", g.profile("localhost/a", "localhost/b"))
	g.maybe(4, sc, "appArmorProfile", g.profile("localhost/a", "localhost/b"))
	var sysctls []any
	for _, n := range some(g, 2, "kernel.shm_rmid_forced", "kernel.msgmax", "kernel.sem", "net.core.somaxconn", "net.ipv4.tcp_syncookies", "net.ipv4.ip_local_port_range", "kernel/msgmax") {
		sysctls = append(sysctls, object{"name": n, "value": "1"})
	}
	if len(sysctls) > 0 {
		sc["sysctls"] = sysctls
	}
	if len(sc) > 0 || g.one(2) {
		spec["securityContext"] = sc
	}
	if !update && g.one(6) && sc["seccompProfile"] == nil {
		annotations[seccompPodAnnotation] = pick(g, runtimeDefault, dockerDefault, unconfined, "localhost/a")
	}
	volumes := g.volumes()
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	lists := []string{"initContainers", "containers"}
	if update {
		lists = append(lists, "ephemeralContainers")
	}
	for i, list := range lists {
		var containers []any
		for n := range pick(g, 1, 1, 2) {
			if list == "containers" || g.one(3) {
				containers = append(containers, g.container(fmt.Sprintf("%c%d", 'a'+i, n), list, annotations, volumes, update))
			}
		}
		if len(containers) > 0 {
			spec[list] = containers
		}
	}
	metadata := object{"name": "pod", "namespace": "shop"}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
}

func (g *generator) container(name, list string, annotations object, volumes []any, update bool) object {
	c, sc := object{"name": name, "image": "example.com/a:1"}, object{}
	g.maybe(6, sc, "privileged", g.one(2))
	g.maybe(3, sc, "runAsUser", g.id())
	g.maybe(3, sc, "runAsGroup", g.id())
	g.maybe(3, sc, "runAsNonRoot", !g.one(3))
	g.maybe(4, sc, "seLinuxOptions", g.seLinuxOptions())
	g.maybe(4, sc, "seccompProfile", g.profile("localhost/a", "localhost/b"))
	g.maybe(4, sc, "appArmorProfile", g.profile("localhost/a", "localhost/b"))
	g.maybe(3, sc, "readOnlyRootFilesystem", !g.one(3))
	g.maybe(3, sc, "allowPrivilegeEscalation", g.one(3))
	g.maybe(6, sc, "procMount", pick(g, "Default", "Unmasked"))
	if g.one(3) {
		capabilities := object{}
		for _, key := range []string{"add", "drop"} {
			if l := some[any](g, 3, "NET_ADMIN", "SYS_TIME", "CHOWN", "NET_BIND_SERVICE", "ALL", "CHOWN"); len(l) > 0 {
				capabilities[key] = l
			}
		}
		sc["capabilities"] = capabilities
	}
	if len(sc) > 0 || g.one(3) {
		c["securityContext"] = sc
	}
	if !update && g.one(6) && sc["seccompProfile"] == nil {
		annotations[seccompContainerAnnotation+name] = pick(g, runtimeDefault, dockerDefault, unconfined, "localhost/b")
	}
	if !update && g.one(6) && sc["appArmorProfile"] == nil {
		annotations[appArmorAnnotation+name] = pick(g, runtimeDefault, unconfined, "localhost/b")
	}
	if list == "containers" && g.one(3) {
		c["ports"] = []any{object{"containerPort": int64(8080), "hostPort": pick[int64](g, 78, 79, 80, 81, 82, 1023, 1024, 65535)}}
	}
	var mounts []any
	for i, v := range volumes {
		if g.one(2) {
			mount := object{"name": v.(object)["name"], "mountPath": fmt.Sprintf("/mnt/%d", i)}
			g.maybe(2, mount, "readOnly", g.one(2))
			mounts = append(mounts, mount)
		}
	}
	if len(mounts) > 0 {
		c["volumeMounts"] = mounts
	}
	return c
}

func (g *generator) profile(local ...string) object {
	switch p := pick(g, append(local, runtimeDefault, unconfined)...); p {
	case runtimeDefault:
		return object{"type": "RuntimeDefault"}
	case unconfined:
		return object{"type": "Unconfined"}
	default:
		return object{"type": "Localhost", "localhostProfile": p[len(localhost):]}
	}
}

func (g *generator) volumes() []any {
	var out []any
	for i := range g.IntN(3) {
		v := g.volume()
		v["name"] = fmt.Sprintf("v%d", i)
		out = append(out, v)
	}
	return out
}

func (g *generator) volume() object {
	token := object{"serviceAccountToken": object{"path": "token", "expirationSeconds": int64(3607)}}
	sources := []any{token, object{"configMap": object{"name": pick(g, "kube-root-ca.crt", "kube-root-ca.crt", "other")}},
		object{"downwardAPI": object{"items": []any{object{"path": pick(g, "namespace", "namespace", "name"), "fieldRef": object{"apiVersion": "v1", "fieldPath": pick(g, "metadata.namespace", "metadata.name")}}}}}}
	if g.one(4) {
		token["serviceAccountToken"].(object)["audience"] = "vault"
	}
	if g.one(4) {
		sources = append(sources, object{"secret": object{"name": "x"}})
	}
	target := object{"pdName": "x"}
	return pick(g,
		object{"hostPath": object{"path": pick(g, "/var/log", "/var/log/", "/var/log//", "/var/logs", "/var/log/pods/a", "/var", "/", "/data", "/data/", "/data//x", "/etc")}},
		object{"hostPath": object{"path": pick(g, "/var/log", "/var/log/x")}},
		object{}, object{"emptyDir": object{}}, object{"gcePersistentDisk": target},
		object{"awsElasticBlockStore": object{"volumeID": "x"}}, object{"gitRepo": object{"repository": "x"}},
		object{"secret": object{"secretName": "x"}}, object{"nfs": object{"server": "x", "path": "/"}},
		object{"iscsi": object{"targetPortal": "x", "iqn": "iqn.2016-04.test.com:x", "lun": int64(0)}},
		object{"glusterfs": object{"endpoints": "x", "path": "x"}}, object{"persistentVolumeClaim": object{"claimName": "x"}},
		object{"rbd": object{"monitors": []any{"x"}, "image": "x"}},
		object{"flexVolume": object{"driver": pick(g, "example/lvm", "example/cifs", "example/x")}},
		object{"cinder": object{"volumeID": "x"}}, object{"cephfs": object{"monitors": []any{"x"}}},
		object{"flocker": object{"datasetName": "x"}}, object{"downwardAPI": object{}},
		object{"fc": object{"targetWWNs": []any{"x"}, "lun": int64(0)}},
		object{"azureFile": object{"secretName": "x", "shareName": "x"}}, object{"configMap": object{"name": "x"}},
		object{"vsphereVolume": object{"volumePath": "x"}}, object{"quobyte": object{"registry": "x:1", "volume": "x"}},
		object{"azureDisk": object{"diskName": "x", "diskURI": "https://blob/x"}},
		object{"photonPersistentDisk": object{"pdID": "x"}}, object{"storageos": object{"volumeName": "x"}},
		object{"projected": object{"sources": sources}}, object{"projected": object{"sources": sources[:1+g.IntN(2)]}},
		object{"portworxVolume": object{"volumeID": "x"}}, object{"scaleIO": object{"gateway": "x", "system": "x", "volumeName": "x", "secretRef": object{"name": "x"}}},
		object{"csi": object{"driver": pick(g, "a.csi.example.com", "b.csi.example.com", "c.csi.example.com")}},
		object{"ephemeral": object{"volumeClaimTemplate": object{"spec": object{"accessModes": []any{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "1Gi"}}}}}},
	)
}
