package model

import "encoding/json"

// LastApplied is the annotation in which kubectl keeps the whole object as it was
// applied, the values of Secrets included. Controls read which version of the API
// it was written in, and nothing else.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// AppliedVersion returns the apiVersion and kind of a manifest that kubectl keeps;
// both are empty where it says none.
func AppliedVersion(manifest string) (apiVersion, kind string) {
	var applied typed
	if json.Unmarshal([]byte(manifest), &applied) != nil || applied.APIVersion == "" {
		return "", ""
	}
	return applied.APIVersion, applied.Kind
}

// OnlyVersion keeps of such a manifest its apiVersion and kind; it is empty where
// that says none.
func OnlyVersion(manifest string) string {
	apiVersion, kind := AppliedVersion(manifest)
	kept, err := json.Marshal(typed{apiVersion, kind})
	if apiVersion == "" || err != nil {
		return ""
	}
	return string(kept)
}

type typed struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}
