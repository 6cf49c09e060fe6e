package kustomize

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// alignDepth bounds how deep an object is compared.
const alignDepth = 100

// aligner walks a built object beside a source of it, and notes for the lines of
// the one the lines of the other.
type aligner struct {
	places []Place

	file   string
	offset int
	patch  bool
	// used is whether the present source set anything.
	used bool
}

// source names the file that nodes come from now. What a patch sets takes the
// place of what was noted before.
func (a *aligner) source(file string, offset int, patch bool) {
	a.file, a.offset, a.patch, a.used = file, offset, patch, false
}

// place notes that a line of the object is a line of the source. Without
// override it is noted only where nothing is yet.
func (a *aligner) place(line, source int, override bool) {
	if line < 1 || line > len(a.places) {
		return
	}
	at := &a.places[line-1]
	if at.File != "" && !override {
		return
	}
	*at = Place{File: a.file}
	if a.offset >= 0 {
		at.Line = source + a.offset
	}
	a.used = true
}

// node notes all that built and source have in common.
func (a *aligner) node(built, source *yaml.Node, depth int) {
	if source.Kind == yaml.AliasNode {
		source = source.Alias
	}
	if depth > alignDepth || source == nil || built.Kind != source.Kind {
		return
	}
	switch built.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(built.Content); i += 2 {
			key, value := built.Content[i], built.Content[i+1]
			if from, to := exact(source, key.Value); from != nil {
				a.place(key.Line, from.Line, a.patch && isLeaf(value) && same(value, to) && !identity(key.Value, depth))
				a.node(value, to, depth+1)
			}
		}
	case yaml.SequenceNode:
		for i, value := range built.Content {
			if from := counterpart(value, source, i, len(built.Content)); from != nil {
				a.node(value, from, depth+1) // its first field stands on the same line
				a.place(value.Line, from.Line, a.patch && isLeaf(value))
			}
		}
	}
}

// mergeKeys tell the items of a list apart, as strategic merge does; which of
// them a list has depends on its field, see patchMergeKey in k8s.io/api.
var mergeKeys = []string{"name", "containerPort", "mountPath", "devicePath", "port", "ip", "topologyKey", "type", "uid", "key"}

// identity reports whether a field only says which object or item is meant, so
// that a patch that repeats it sets nothing.
func identity(name string, depth int) bool {
	return slices.Contains(mergeKeys, name) || depth == 0 && (name == "apiVersion" || name == "kind") || name == "namespace"
}

// counterpart returns the item of list that became built.
func counterpart(built, list *yaml.Node, i, length int) *yaml.Node {
	if built.Kind == yaml.MappingNode {
		for _, name := range mergeKeys {
			_, want := exact(built, name)
			if want == nil || want.Kind != yaml.ScalarNode {
				continue
			}
			for _, c := range list.Content {
				if _, got := exact(c, name); got != nil && got.Value == want.Value {
					return c
				}
			}
			return nil
		}
	}
	for _, c := range list.Content {
		if same(built, c) {
			return c
		}
	}
	if built.Kind != yaml.ScalarNode && len(list.Content) == length {
		return list.Content[i]
	}
	return nil
}

// exact is field for names that are not taken in any case.
func exact(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func isLeaf(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode || len(n.Content) == 0 }

// same reports whether two nodes have the same content, whatever its style and
// the order of its fields. Aliases are the same as nothing: comparing them
// could take forever.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return a.Value == b.Value
	case yaml.SequenceNode:
		for i := range a.Content {
			if !same(a.Content[i], b.Content[i]) {
				return false
			}
		}
		return true
	case yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			_, other := exact(b, a.Content[i].Value)
			if other == nil || !same(a.Content[i+1], other) {
				return false
			}
		}
		return true
	}
	return false
}
