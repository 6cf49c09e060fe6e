package kustomize

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// build does a request: it is what runs in the child.
func build(_ context.Context, r request) (response, error) {
	r.Options.Limits = r.Options.Limits.withDefaults()
	in, err := inspect(r.Dir, r.Options)
	if err != nil {
		return respond(nil, err)
	}
	if len(in.faults) > 0 { // somebody changed the files since the parent looked
		return respond(nil, in.faults[0])
	}
	return respond(in.build(r.Options.ContentOnly))
}

// build runs kustomize on the inspected kustomization, and finds what the objects
// came from unless only their content is wanted.
func (in *inspector) build(contentOnly bool) (*Result, error) {
	started := time.Now()
	d := in.disk()
	objects, err := in.run(d)
	if err != nil {
		return nil, in.buildError(err)
	}
	result := &Result{Consumed: d.consumed(), Warnings: in.warnings()}
	p := newProvenance(in)
	if !contentOnly && time.Since(started) < in.limits.Timeout/3 { // the second build takes as long
		p.origins = in.origins(objects)
	}
	var size int64
	for i, object := range objects.Resources() {
		content, err := object.AsYAML()
		if err != nil {
			return nil, in.buildError(err)
		}
		if size += int64(len(content)); size > in.limits.OutputBytes {
			return nil, in.buildError(fmt.Errorf("the objects are more than %d MiB", in.limits.OutputBytes>>20))
		}
		document := Document{Content: content}
		if !contentOnly {
			p.trace(&document, i, object)
		}
		result.Documents = append(result.Documents, document)
	}
	return result, nil
}

func (in *inspector) disk() *disk {
	return &disk{ground: in.ground, limits: in.limits, overlay: map[string][]byte{}, read: map[string]int64{}}
}

func (in *inspector) run(d *disk) (resmap.ResMap, error) {
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(d, in.ground.real)
}

// origins builds again, with origin annotations, and returns the origin of each
// of objects, nil where it is not known. The annotations are why this is a build
// of its own: a patch can tell whether there are any, and can remove them.
func (in *inspector) origins(objects resmap.ResMap) []*resource.Origin {
	top := in.kustomizations[len(in.kustomizations)-1]
	content, err := withOrigins(top.content)
	if err != nil {
		return nil
	}
	real, err := in.ground.resolve(top.file)
	if err != nil {
		return nil
	}
	d := in.disk()
	d.overlay[real] = content
	annotated, err := in.run(d)
	if err != nil || annotated.Size() != objects.Size() {
		return nil
	}
	origins := make([]*resource.Origin, objects.Size())
	for i, object := range annotated.Resources() {
		if object.CurId() == objects.Resources()[i].CurId() {
			origins[i], _ = object.GetOrigin()
		}
	}
	return origins
}

// withOrigins returns a kustomization file that also asks for origin
// annotations. It is JSON, which kustomize makes of the file anyway.
func withOrigins(content []byte) ([]byte, error) {
	asJSON, err := yaml.YAMLToJSON(content)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	var wanted []string
	for name, value := range fields {
		if !strings.EqualFold(name, "buildMetadata") {
			continue
		}
		if err := json.Unmarshal(value, &wanted); err != nil {
			return nil, err
		}
		delete(fields, name)
	}
	if !slices.Contains(wanted, types.OriginAnnotations) {
		wanted = append(wanted, types.OriginAnnotations)
	}
	if fields["buildMetadata"], err = json.Marshal(wanted); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// warnings are kustomize's own about fields that it will drop.
func (in *inspector) warnings() []string {
	var all []string
	for _, k := range in.kustomizations {
		for _, text := range *k.decoded.CheckDeprecatedFields() {
			text = strings.TrimPrefix(text, "# Warning: ") // "[EXPERIMENTAL]" may precede the advice
			text, _, _ = strings.Cut(text, " Run 'kustomize edit fix'")
			all = append(all, in.ground.show(k.file)+": "+text)
		}
	}
	return all
}

// buildError makes a readable error of one of kustomize's: without the stack of
// accumulations, the literals of Secrets and the folder that was built in.
func (in *inspector) buildError(err error) *Error {
	message := err.Error()
	for _, secret := range in.secrets {
		message = strings.ReplaceAll(message, secret, "(hidden)")
	}
	message = quotedConfig.ReplaceAllString(message, "")
	message = literals.ReplaceAllString(message, "$1 (hidden)$2")
	e := &Error{Dir: in.ground.given, File: in.sources.Files[0], err: err}
	dir := in.ground.real
	if all := lastPath.FindAllStringSubmatch(message, -1); all != nil {
		dir = all[len(all)-1][1]
		if file, err := in.ground.kustomizationFile(dir); err == nil && file != "" {
			e.File = in.ground.show(file)
		}
	}
	if m := malformed.FindStringSubmatch(message); m != nil {
		e.File = in.ground.show(filepath.Join(dir, m[3]))
		e.Line, _ = strconv.Atoi(m[2])
		message = "not valid YAML: " + m[1]
	} else if m := ofFile.FindStringSubmatch(message); m != nil {
		e.File = in.ground.show(filepath.Join(dir, m[1]))
		message = m[2]
	} else {
		message = nested.ReplaceAllString(message, "")
	}
	message = strings.ReplaceAll(message, in.ground.real+string(filepath.Separator), "")
	e.Message = child.OneLine(message)
	return e
}
