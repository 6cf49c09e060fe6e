package overlay

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/fix/text"
	"sigs.k8s.io/yaml"
)

// fileNameBytes is how long the part of a file's name may be that an object gives.
const fileNameBytes = 200

// name gives the patches that are new their files: named after the object, with
// its namespace and then a number where another file has that name.
func (p *planner) name(items []*item) {
	for _, it := range items {
		if it.entry != nil {
			continue
		}
		gk, ns := groupKind(it.stage.content), it.stage.text("metadata", "namespace")
		names := []string{
			fileName(gk.Kind, it.stage.name()),
			fileName(gk.Kind, ns, it.stage.name()),
			fileName(gk.Kind, gk.Group, ns, it.stage.name()),
		}
		for i := 2; it.file == ""; i++ {
			for _, name := range names {
				if _, exists := p.Existing(name); !exists && !p.taken[name] {
					it.file, p.taken[name] = name, true
					break
				}
			}
			names = []string{fileName(gk.Kind, ns, it.stage.name(), strconv.Itoa(i))}
		}
	}
}

// fileName makes a name that every file system takes, the same in any case.
func fileName(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, strings.ToLower(strings.Join(parts, "-")))
	if len(name) > fileNameBytes {
		h := fnv.New32a()
		h.Write([]byte(name))
		name = fmt.Sprintf("%s-%08x", name[:fileNameBytes], h.Sum32())
	}
	return namePrefix + name + ".yaml"
}

// write makes the files for some items. It reports the items whose files cannot
// be edited.
func (p *planner) write(items []*item) (files map[string][]byte, notes []string, failed map[*item]string) {
	files, failed = map[string][]byte{}, map[*item]string{}
	var added []any
	for _, it := range items {
		path := filepath.Join(p.Dir, it.file)
		if it.entry == nil {
			content, err := newPatch(it.ops)
			if err != nil {
				failed[it] = "its patch cannot be written as YAML: " + err.Error()
				continue
			}
			files[path] = content
			added = append(added, registration(it.target, it.file))
			continue
		}
		content, n, err := edit(it.entry.content, appended("", it.ops))
		if err != nil {
			failed[it] = fmt.Sprintf("%s cannot be added to: %v", path, err)
			continue
		}
		files[path], notes = content, append(notes, n...)
	}
	if len(added) == 0 {
		return files, notes, failed
	}
	content, n, err := edit(p.Text, p.registrations(added))
	if err != nil {
		for _, it := range items {
			if it.entry == nil {
				failed[it] = fmt.Sprintf("its patch cannot be listed in %s: %v", p.File, err)
			}
		}
		return files, notes, failed
	}
	files[p.File] = content
	return files, append(notes, n...), failed
}

// edit edits the first document of a file.
func edit(data []byte, edits []finding.Edit) ([]byte, []string, error) {
	edited, refused, notes := text.Edit(data, []text.Change{{Edits: edits}})
	for _, err := range refused {
		if err != nil {
			return nil, nil, err
		}
	}
	return edited, notes, nil
}

// appended are the edits that put operations at the end of the list at a path.
func appended(path string, ops []finding.Edit) []finding.Edit {
	var edits []finding.Edit
	for _, op := range ops {
		edits = append(edits, finding.Edit{Op: "add", Path: path + "/-", Value: asValue(op)})
	}
	return edits
}

// registrations are the edits of the kustomization file for new entries of patches.
func (p *planner) registrations(added []any) []finding.Edit {
	path := finding.JoinPointer(p.definition.patches)
	if len(p.definition.list) == 0 {
		return []finding.Edit{{Op: "add", Path: path, Value: added}}
	}
	var edits []finding.Edit
	for _, a := range added {
		edits = append(edits, finding.Edit{Op: "add", Path: path + "/-", Value: a})
	}
	return edits
}

// registration is the entry of patches for a file.
func registration(t target, file string) map[string]any {
	fields := map[string]any{}
	for name, value := range t {
		fields[name] = value
	}
	return map[string]any{"path": file, "target": fields}
}

// asValue is an operation as it is written: without a value where it has none.
func asValue(op finding.Edit) map[string]any {
	v := map[string]any{"op": op.Op, "path": op.Path}
	if op.Op != "remove" {
		v["value"] = op.Value
	}
	return v
}

// newPatch is the file of a patch. It is written by the library by which
// kustomize reads it: what the one quotes is what the other would take for
// something else.
func newPatch(ops []finding.Edit) ([]byte, error) {
	list := make([]map[string]any, len(ops))
	for i, op := range ops {
		list[i] = asValue(op)
	}
	content, err := yaml.Marshal(list)
	if err != nil {
		return nil, err
	}
	return append([]byte(header), content...), nil
}

// operations reads a patch; nil where it is no list of operations.
func operations(content []byte) []finding.Edit {
	var ops []finding.Edit
	if yaml.Unmarshal(content, &ops) != nil {
		return nil
	}
	return ops
}
