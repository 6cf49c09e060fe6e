package psp

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// What follows tells the forms of a pod apart: 1.24 had AppArmor in annotations, and
// seccomp in both; today both are fields.

// eachContainer calls f with each container and its securityContext, which may be nil.
func eachContainer(pod object, f func(c, sc object)) {
	spec, _ := pod["spec"].(object)
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container := c.(object)
			sc, _ := container["securityContext"].(object)
			f(container, sc)
		}
	}
}

func podContext(pod object) object {
	spec, _ := pod["spec"].(object)
	sc, _ := spec["securityContext"].(object)
	return sc
}

func annotationsOf(pod object) object {
	metadata := pod["metadata"].(object)
	annotations, _ := metadata["annotations"].(object)
	if annotations == nil {
		annotations = object{}
		metadata["annotations"] = annotations
	}
	return annotations
}

// words is a profile of a field in those of annotations; empty for none.
func words(v any) string {
	p, _ := v.(object)
	switch p["type"] {
	case "RuntimeDefault":
		return runtimeDefault
	case "Unconfined":
		return unconfined
	case "Localhost":
		return localhost + p["localhostProfile"].(string)
	}
	return ""
}

// appArmorOf is the profile of a container: its own, of its annotation, of the pod.
func appArmorOf(pod, c, sc object) string {
	if own := words(sc["appArmorProfile"]); own != "" {
		return own
	}
	if a, _ := annotationsOf(pod)[appArmorAnnotation+c["name"].(string)].(string); a != "" {
		return a
	}
	return words(podContext(pod)["appArmorProfile"])
}

// legacy is a pod as 1.24 had it: AppArmor in annotations alone.
func legacy(pod object) object {
	pod = runtime.DeepCopyJSON(pod)
	annotations := annotationsOf(pod)
	eachContainer(pod, func(c, sc object) {
		if profile := appArmorOf(pod, c, sc); profile != "" {
			annotations[appArmorAnnotation+c["name"].(string)] = profile
		}
		delete(sc, "appArmorProfile")
	})
	delete(podContext(pod), "appArmorProfile")
	return pod
}

// stored is a pod of 1.24 as it was stored: with annotations for fields of seccomp.
func stored(pod object) object {
	annotations := annotationsOf(pod)
	if p := words(podContext(pod)["seccompProfile"]); p != "" {
		annotations[seccompPodAnnotation] = p
	}
	eachContainer(pod, func(c, sc object) {
		if p := words(sc["seccompProfile"]); p != "" {
			annotations[seccompContainerAnnotation+c["name"].(string)] = p
		}
	})
	return pod
}

// overlay is the pod that 1.24 defaulted, with what it had before in the form of today.
func overlay(defaulted, pod object) object {
	out := runtime.DeepCopyJSON(defaulted)
	metadata := runtime.DeepCopyJSON(pod["metadata"].(object))
	out["apiVersion"], out["kind"], out["metadata"] = "v1", "Pod", metadata
	if p := podContext(pod)["appArmorProfile"]; p != nil {
		podContext(out)["appArmorProfile"] = p
	}
	var profiles []any
	eachContainer(pod, func(_, sc object) { profiles = append(profiles, sc["appArmorProfile"]) })
	eachContainer(out, func(_, sc object) {
		if profiles[0] != nil {
			sc["appArmorProfile"] = profiles[0]
		}
		profiles = profiles[1:]
	})
	return integers(out).(object)
}

// integers makes of JSON's numbers what the API server has.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = integers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = integers(e)
		}
	case float64:
		return int64(v)
	}
	return v
}

// withAppArmorFields does what the API server of today does between mutation and
// validation: it copies annotations of AppArmor to fields.
func withAppArmorFields(pod object) object {
	out := runtime.DeepCopyJSON(pod)
	eachContainer(out, func(c, sc object) {
		p, _ := annotationsOf(out)[appArmorAnnotation+c["name"].(string)].(string)
		if p == "" || sc["appArmorProfile"] != nil || p == words(podContext(out)["appArmorProfile"]) {
			return
		}
		if sc == nil {
			sc = object{}
			c["securityContext"] = sc
		}
		switch p {
		case runtimeDefault:
			sc["appArmorProfile"] = object{"type": "RuntimeDefault"}
		case unconfined:
			sc["appArmorProfile"] = object{"type": "Unconfined"}
		default:
			sc["appArmorProfile"] = object{"type": "Localhost", "localhostProfile": p[len(localhost):]}
		}
	})
	return out
}

// comparable is what of a pod must be the same: the spec, the annotations that do not
// stand for fields, and the AppArmor profile of each container, wherever it stands.
func comparable(pod object) object {
	pod = integers(runtime.DeepCopyJSON(integers(runtime.DeepCopyJSONValue(pod)).(object))).(object)
	annotations := object{}
	for k, v := range annotationsOf(pod) {
		annotations[k] = v
	}
	delete(annotations, seccompPodAnnotation)
	profiles := object{}
	eachContainer(pod, func(c, sc object) {
		name := c["name"].(string)
		profiles[name] = appArmorOf(pod, c, sc)
		delete(annotations, seccompContainerAnnotation+name)
		delete(annotations, appArmorAnnotation+name)
	})
	eachContainer(pod, func(c, sc object) {
		delete(sc, "appArmorProfile")
		if sc != nil && len(sc) == 0 {
			delete(c, "securityContext")
		}
	})
	delete(podContext(pod), "appArmorProfile")
	spec := pod["spec"].(object)
	delete(spec, "serviceAccount") // an alias, which storage adds
	return object{"spec": spec, "annotations": annotations, "appArmor": profiles}
}
