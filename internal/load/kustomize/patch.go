package kustomize

import (
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// patch is one document of a patch: an object to merge, or JSON Patch
// operations (RFC 6902).
type patch struct {
	// file is where the patch stands, and offset what to add to its lines
	// there: a patch can be a text in the kustomization file.
	file   string
	offset int
	merge  *yaml.Node
	ops    []*yaml.Node
	target *types.Selector
	regex  *types.SelectorRegex
}

// patchesOf lists the patches of a kustomization in the order in which
// kustomize applies them.
func (p *provenance) patchesOf(k *kustomization) []*patch {
	var all []*patch
	for i, value := range k.decoded.PatchesStrategicMerge {
		path, inline := string(value), ""
		if inlineObjects(path) != nil {
			path, inline = "", path
		}
		all = append(all, p.load(k, path, inline, item(k.root, "patchesStrategicMerge", i), nil)...)
	}
	for _, list := range []struct {
		name    string
		patches []types.Patch
	}{{"patches", k.decoded.Patches}, {"patchesJson6902", k.decoded.PatchesJson6902}} {
		for i, v := range list.patches {
			_, node := field(item(k.root, list.name, i), "patch")
			all = append(all, p.load(k, v.Path, v.Patch, node, v.Target)...)
		}
	}
	return all
}

// item returns the i-th item of a list of a kustomization, or nil.
func item(root *yaml.Node, name string, i int) *yaml.Node {
	_, list := field(root, name)
	if list == nil || list.Kind != yaml.SequenceNode || i >= len(list.Content) {
		return nil
	}
	return list.Content[i]
}

// load parses the patch at path, or the one that is written inline in node.
func (p *provenance) load(k *kustomization, path, inline string, node *yaml.Node, target *types.Selector) []*patch {
	file, content, offset := k.file, []byte(inline), 0
	switch {
	case path != "":
		if !filepath.IsAbs(path) {
			path = filepath.Join(k.dir, path)
		}
		real, err := p.ground.resolve(path)
		if err != nil {
			return nil
		}
		if content, err = p.ground.read(real, p.limits.FileBytes); err != nil {
			return nil
		}
		file = real
	case node != nil && node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		offset = node.Line // the text begins on the next line
	default:
		offset = -1 // lines inside of a quoted text are not known
	}
	documents, err := parseNodes(content)
	if err != nil {
		return nil
	}
	var all []*patch
	for _, d := range documents {
		one := &patch{file: p.ground.show(file), offset: offset, target: target}
		if target != nil {
			if one.regex, err = types.NewSelectorRegex(target); err != nil {
				return nil
			}
		}
		switch d.Kind {
		case yaml.MappingNode:
			one.merge = d
		case yaml.SequenceNode:
			one.ops = d.Content
		}
		all = append(all, one)
	}
	return all
}

// applies reports whether the patch names object, by its own name or the
// original one.
func (t *patch) applies(object *resource.Resource, original string) bool {
	if t.regex != nil {
		if !t.regex.MatchGvk(object.GetGvk()) || !(t.regex.MatchName(original) || t.regex.MatchName(object.GetName())) {
			return false
		}
		labels, err := object.MatchesLabelSelector(t.target.LabelSelector)
		return err == nil && labels
	}
	if text(t.merge, "kind") != object.GetKind() {
		return false
	}
	_, metadata := field(t.merge, "metadata")
	name := text(metadata, "name")
	// Between the two, a base of a base may have given it a prefix already.
	return name == original || name == object.GetName() ||
		name != "" && strings.Contains(object.GetName(), name) && strings.Contains(name, original)
}

// align marks what the patch set in object.
func (t *patch) align(a *aligner, object *yaml.Node) {
	if t.merge != nil {
		a.node(object, t.merge, 0)
		return
	}
	for _, op := range t.ops {
		switch text(op, "op") {
		case "add", "replace":
			if _, value := field(op, "value"); value != nil {
				a.set(object, text(op, "path"), value)
			}
		}
	}
}

// set marks what an operation wrote to path (RFC 6901) below object.
func (a *aligner) set(object *yaml.Node, path string, value *yaml.Node) {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	line := 0
	for _, token := range strings.Split(path, "/")[1:] {
		token = unescape.Replace(token)
		switch object.Kind {
		case yaml.MappingNode:
			key, next := field(object, token)
			if key == nil || key.Value != token {
				return
			}
			line, object = key.Line, next
		case yaml.SequenceNode:
			if object = element(object, token, value); object == nil {
				return
			}
			line = object.Line
		default:
			return
		}
	}
	if line == 0 || !same(object, value) {
		return
	}
	a.place(line, value.Line, true)
	a.node(object, value, 0)
}

// element returns the item that an operation wrote: the one at its index, or
// for "-" the last one that is value.
func element(list *yaml.Node, token string, value *yaml.Node) *yaml.Node {
	if i, err := strconv.Atoi(token); err == nil {
		if i >= 0 && i < len(list.Content) {
			return list.Content[i]
		}
		return nil
	}
	for i := len(list.Content) - 1; i >= 0; i-- {
		if same(list.Content[i], value) {
			return list.Content[i]
		}
	}
	return nil
}
