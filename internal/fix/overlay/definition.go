package overlay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// definition is a kustomization file as kustomize decodes it.
type definition struct {
	fields map[string]json.RawMessage
	// component is whether it is of that kind: more runs after it than it has.
	component bool
	// patches is the name of that field as it is written.
	patches string
	list    []json.RawMessage
	entries []*entry
}

// entry is an item of patches.
type entry struct {
	index  int
	Path   string `json:"path"`
	Patch  string `json:"patch"`
	Target target `json:"target"`
	// Options are there where a person wrote them.
	Options json.RawMessage `json:"options"`
	// content is that of the file, where a run before wrote it.
	content []byte
	// run is the index behind the last of the entries of ours that follow each
	// other from this one on: where all of them have been applied.
	run int
}

// parse reads a kustomization file.
func parse(text []byte) (*definition, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	d := &definition{patches: "patches"}
	if err := json.Unmarshal(asJSON, &d.fields); err != nil || d.fields == nil {
		return nil, errors.New("it is no map of fields")
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		if !strings.EqualFold(name, "patches") { // kustomize takes names in any case
			continue
		}
		d.patches = name
		if found++; found > 1 {
			return nil, errors.New("it has patches twice; keep one")
		}
		if err := json.Unmarshal(d.fields[name], &d.list); err != nil {
			return nil, fmt.Errorf("%s is no list", name)
		}
	}
	for i, raw := range d.list {
		e := &entry{}
		if json.Unmarshal(raw, e) != nil { // a selector of another form is not ours
			e = &entry{}
		}
		e.index = i
		d.entries = append(d.entries, e)
	}
	for name, value := range d.fields {
		d.component = d.component || strings.EqualFold(name, "kind") && string(value) == `"Component"`
	}
	return d, nil
}

// has reports which of some fields there are.
func (d *definition) has(names ...string) []string {
	var found []string
	for _, name := range names {
		for given, value := range d.fields {
			if strings.EqualFold(given, name) && !slices.Contains([]string{"null", "[]", "{}", `""`}, string(bytes.TrimSpace(value))) {
				found = append(found, name)
			}
		}
	}
	return found
}

// with is the file as JSON, which kustomize takes too, with further patches:
// extra are entries by the index that they come before.
func (d *definition) with(extra map[int][]any) ([]byte, error) {
	var list []any
	for i := range len(d.list) + 1 {
		list = append(list, extra[i]...)
		if i < len(d.list) {
			list = append(list, d.list[i])
		}
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	fields := maps.Clone(d.fields)
	fields[d.patches] = raw
	return json.Marshal(fields)
}

// header is how the patches that we write begin, and how they are known again.
const (
	headerMark = "# Written by bulkhead fix"
	header     = headerMark + ". Edit it as you like: later runs add to it and keep the rest.\n"
)

// namePrefix is how the files that we write are called.
const namePrefix = "bulkhead-"

// ours finds the patches of earlier runs: files of the folder with our mark, for
// one object by its name.
func (p *planner) ours() {
	run := len(p.definition.list)
	for _, e := range slices.Backward(p.definition.entries) {
		name := path.Clean(e.Path)
		content, ok := []byte(nil), false
		if strings.HasPrefix(name, namePrefix) && !strings.ContainsAny(name, `/\`) {
			content, ok = p.Existing(name)
		}
		if !ok || !bytes.HasPrefix(content, []byte(headerMark)) || e.Target["name"] == "" || e.Patch != "" || e.Options != nil {
			run = e.index
			continue
		}
		e.Path, e.content, e.run = name, content, run
	}
}
