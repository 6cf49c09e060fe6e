package kustomize

import (
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// target says what a reference may lead to.
type target int

const (
	toFile           target = iota // a file
	toDir                          // a kustomization
	toFileOrDir                    // either
	toFileOrInline                 // a file, or the content itself
	toPluginOrInline               // the configuration of a generator or transformer
)

// reference is a path that a kustomization file names.
type reference struct {
	// field is the field at the top of the kustomization that holds it.
	field string
	value string
	to    target
}

// references lists every place of a kustomization that kustomize reads from. It
// goes by kustomize's own decoding of the file, so that a field in capitals or
// behind an anchor is not missed.
func references(k *types.Kustomization) []reference {
	var all []reference
	add := func(field string, to target, values ...string) {
		for _, v := range values {
			if v != "" {
				all = append(all, reference{field, v, to})
			}
		}
	}
	add("resources", toFileOrDir, k.Resources...)
	add("bases", toFileOrDir, k.Bases...)
	add("components", toDir, k.Components...)
	add("crds", toFile, k.Crds...)
	add("configurations", toFile, k.Configurations...)
	add("generators", toPluginOrInline, k.Generators...)
	add("transformers", toPluginOrInline, k.Transformers...)
	add("validators", toPluginOrInline, k.Validators...)
	add("openapi", toFile, k.OpenAPI["path"])
	for _, p := range k.PatchesStrategicMerge {
		add("patchesStrategicMerge", toFileOrInline, string(p))
	}
	for _, p := range k.PatchesJson6902 {
		add("patchesJson6902", toFile, p.Path)
	}
	for _, p := range k.Patches {
		add("patches", toFile, p.Path)
	}
	for _, r := range k.Replacements {
		add("replacements", toFile, r.Path)
	}
	generator := func(field string, g types.GeneratorArgs) {
		for _, f := range g.FileSources {
			if _, path, named := strings.Cut(f, "="); named && !isRemote(f) {
				f = path
			}
			add(field, toFile, f)
		}
		add(field, toFile, g.EnvSources...)
		add(field, toFile, g.EnvSource)
	}
	for _, g := range k.ConfigMapGenerator {
		generator("configMapGenerator", g.GeneratorArgs)
	}
	for _, g := range k.SecretGenerator {
		generator("secretGenerator", g.GeneratorArgs)
	}
	return all
}

// secrets lists the literals of secretGenerator, so that no message shows them.
func secrets(k *types.Kustomization) []string {
	var all []string
	for _, g := range k.SecretGenerator {
		for _, literal := range g.LiteralSources {
			_, value, _ := strings.Cut(literal, "=")
			if value = strings.Trim(value, `"'`); value != "" {
				all = append(all, value)
			}
		}
	}
	return all
}
