package psp

import (
	"fmt"
	"slices"
	"strings"
)

// volumeFields are the types of volume that a policy may name, with their fields in a
// volume of a pod.
var volumeFields = func() map[string]string {
	out := map[string]string{"cephFS": "cephfs"}
	for _, same := range []string{"awsElasticBlockStore", "azureDisk", "azureFile", "cinder", "configMap", "csi", "downwardAPI", "emptyDir",
		"ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "iscsi", "nfs",
		"persistentVolumeClaim", "photonPersistentDisk", "portworxVolume", "projected", "quobyte", "rbd", "scaleIO", "secret", "storageos", "vsphereVolume"} {
		out[same] = same
	}
	return out
}()

// tokenSources are what the API server itself projects into pods. A policy that allows
// secrets allows that.
const tokenSources = `v.projected.?sources.orValue([]).all(s, (has(s.serviceAccountToken) || has(s.configMap) || has(s.downwardAPI)) &&
  (!has(s.serviceAccountToken) || s.serviceAccountToken.?path.orValue("") == "token" && s.serviceAccountToken.?audience.orValue("") == "") &&
  (!has(s.configMap) || s.configMap.?name.orValue("") == "kube-root-ca.crt") &&
  (!has(s.downwardAPI) || s.downwardAPI.?items.orValue([]).all(d, d.?path.orValue("") == "namespace" &&
    d.?fieldRef.?apiVersion.orValue("") == "v1" && d.?fieldRef.?fieldPath.orValue("") == "metadata.namespace")))`

// volumes that none of the types of 1.24 stands for are allowed by "*" alone.
func (s *Spec) volumes() rule {
	if slices.Contains(s.Volumes, "*") {
		return rule{}
	}
	var conditions []string
	for _, t := range slices.Sorted(slices.Values(s.Volumes)) {
		conditions = append(conditions, "has(v."+volumeFields[t]+")")
	}
	conditions = slices.Compact(conditions)
	if slices.Contains(s.Volumes, "secret") && !slices.Contains(s.Volumes, "projected") {
		conditions = append(conditions, "has(v.projected) && "+tokenSources)
	}
	return rule{refusals: []string{fmt.Sprintf(`%s.filter(v, !(%s)).map(v, "volumes: volume " + v.name + " is of a type that is not allowed")`, volumes, anyOf(conditions))}}
}

// hostPaths allows a path that is one of the prefixes, or below it. One of a prefix
// that is read-only must be mounted so everywhere, unless another prefix allows more.
func (s *Spec) hostPaths() rule {
	if len(s.AllowedHostPaths) == 0 {
		return rule{}
	}
	const path = `(v.hostPath.path.endsWith("/") ? v.hostPath.path.substring(0, size(v.hostPath.path) - 1) : v.hostPath.path)`
	under := func(readOnly bool) string {
		var out []string
		for _, a := range s.AllowedHostPaths {
			if prefix := strings.TrimSuffix(a.PathPrefix, "/"); a.ReadOnly == readOnly {
				out = append(out, fmt.Sprintf("p == %s || p.startsWith(%s)", quote(prefix), quote(prefix+"/")))
			}
		}
		return fmt.Sprintf("[%s].exists(p, %s)", path, anyOf(out))
	}
	host := volumes + ".filter(v, has(v.hostPath) && "
	writes := containers + ".exists(c, c.?volumeMounts.orValue([]).exists(m, m.name == v.name && !m.?readOnly.orValue(false)))"
	return rule{refusals: []string{
		host + fmt.Sprintf(`!(%s) && !(%s)).map(v, "allowedHostPaths: volume " + v.name + " has " + v.hostPath.path)`, under(false), under(true)),
		host + fmt.Sprintf(`!(%s) && %s && %s).map(v, "allowedHostPaths: volume " + v.name + " must be mounted read-only")`, under(false), under(true), writes),
	}}
}

// drivers allows volumes of a type by their driver; without a list, all of them.
func drivers(field, volume string, names []string) rule {
	if len(names) == 0 {
		return rule{}
	}
	return rule{refusals: []string{fmt.Sprintf(`%[1]s.filter(v, has(v.%[2]s) && !%[3]s).map(v, %[4]s + v.name + " has the driver " + v.%[2]s.driver)`,
		volumes, volume, isIn("v."+volume+".driver", names), quote(field+": volume "))}}
}
