package kustomize

import "sigs.k8s.io/kustomize/api/konfig"

// FileNames lists what a kustomization's file may be called.
func FileNames() []string { return konfig.RecognizedKustomizationFileNames() }
