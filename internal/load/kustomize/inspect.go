package kustomize

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"bulkhead.dev/bulkhead/internal/load/child"
)

// maxDepth is how deep kustomizations may refer to each other.
const maxDepth = 64

// faultsKept is how many faults an inspection reports.
const faultsKept = 10

// Sources are what a kustomization is made of. Paths begin as the inspected
// folder's does.
type Sources struct {
	// Dirs are the other kustomizations that it refers to, at any depth, in
	// their order: no roots of their own.
	Dirs []string
	// Files are its kustomization file, and then every other file that it and
	// the others name: bases, patches, what generators read.
	Files []string
}

// kustomization is one kustomization file.
type kustomization struct {
	// dir and file are real paths.
	dir, file string
	content   []byte
	root      *yaml.Node
	decoded   types.Kustomization
}

// inspector walks the kustomizations that one refers to.
type inspector struct {
	ground  ground
	limits  Limits
	sources Sources
	faults  []error
	// stack are the folders on the way to the present one; done is every
	// folder that was entered.
	stack []string
	done  map[string]bool
	// kustomizations are in the order in which kustomize applies them: what one
	// refers to comes before it.
	kustomizations []*kustomization
	secrets        []string
	// parsed counts the bytes of all files that were parsed.
	parsed int
}

// Inspect looks at every reference of the kustomization in dir and of those
// that it refers to, without building anything. The error joins one [*Error]
// for each fault, up to ten; what was found is returned beside it.
func Inspect(dir string, o Options) (*Sources, error) {
	in, err := inspect(dir, o)
	if err != nil {
		return &Sources{}, err
	}
	return &in.sources, errors.Join(in.faults...)
}

func inspect(dir string, o Options) (*inspector, error) {
	g, err := newGround(dir, o)
	if err != nil {
		return nil, &Error{Dir: dir, Message: child.OneLine(err.Error()), err: err}
	}
	in := &inspector{ground: g, limits: o.Limits.withDefaults(), done: map[string]bool{}}
	in.walk(g.real)
	slices.Sort(in.sources.Files[min(1, len(in.sources.Files)):])
	in.sources.Files = slices.Compact(in.sources.Files)
	return in, nil
}

// fault notes what is wrong at a line of a file, a real path.
func (in *inspector) fault(file string, line int, format string, args ...any) {
	if len(in.faults) >= faultsKept {
		return
	}
	e := &Error{Dir: in.ground.given, Line: line, Message: child.OneLine(fmt.Sprintf(format, args...))}
	if file != "" {
		e.File = in.ground.show(file)
	}
	in.faults = append(in.faults, e)
}

// walk inspects the kustomization in the real folder dir.
func (in *inspector) walk(dir string) {
	if in.done[dir] {
		return
	}
	in.done[dir] = true
	in.stack = append(in.stack, dir)
	defer func() { in.stack = in.stack[:len(in.stack)-1] }()

	k := in.read(dir)
	if k == nil {
		return
	}
	in.sources.Files = append(in.sources.Files, in.ground.show(k.file))
	in.secrets = append(in.secrets, secrets(&k.decoded)...)
	if len(k.decoded.HelmCharts)+len(k.decoded.HelmChartInflationGenerator) > 0 {
		key, _ := field(k.root, "helmCharts")
		if key == nil {
			key, _ = field(k.root, "helmChartInflationGenerator")
		}
		line := 0
		if key != nil {
			line = key.Line
		}
		in.fault(k.file, line, "Helm charts are not inflated in a kustomization; scan the chart itself, with its values")
	}
	for _, r := range references(&k.decoded) {
		in.follow(k, r)
	}
	in.kustomizations = append(in.kustomizations, k)
}

// read parses the kustomization file in dir.
func (in *inspector) read(dir string) *kustomization {
	file, err := in.ground.kustomizationFile(dir)
	switch {
	case err != nil:
		in.fault(dir, 0, "%s", err)
		return nil
	case file == "":
		in.fault(dir, 0, "holds no kustomization.yaml")
		return nil
	case len(in.done) > in.limits.Kustomizations:
		in.fault(file, 0, "is one of more than %d kustomizations that refer to each other", in.limits.Kustomizations)
		return nil
	case len(in.stack) > maxDepth:
		in.fault(file, 0, "kustomizations refer to each other more than %d deep", maxDepth)
		return nil
	}
	if _, err := in.ground.resolve(file); err != nil {
		in.fault(file, 0, "%s", err)
		return nil
	}
	k := &kustomization{dir: dir, file: file}
	if k.content, err = in.readParsed(file); err != nil {
		in.fault(file, 0, "%s", err)
		return nil
	}
	documents, err := parseNodes(k.content)
	if err != nil {
		in.fault(file, yamlLine(err), "not valid YAML: %s", err)
		return nil
	}
	if len(documents) == 0 {
		in.fault(file, 0, "is empty; list what belongs to it under resources")
		return nil
	}
	k.root = documents[0]
	if err := k.decoded.Unmarshal(k.content); err != nil {
		line := yamlLine(err)
		message := strings.TrimPrefix(err.Error(), "invalid Kustomization: ")
		if _, name, ok := strings.Cut(message, "json: unknown field "); ok {
			message = "there is no field " + name
			if key, _ := field(k.root, strings.Trim(name, `"`)); key != nil {
				line = key.Line
			}
		}
		in.fault(file, line, "not a kustomization: %s", message)
		return nil
	}
	if err := k.decoded.CheckEmpty(); err != nil {
		in.fault(file, 0, "is empty; list what belongs to it under resources")
		return nil
	}
	if wrong := k.decoded.EnforceFields(); len(wrong) > 0 {
		in.fault(file, 1, "not a kustomization: %s", strings.Join(wrong, "; "))
		return nil
	}
	return k
}

// readParsed reads a file that will be parsed.
func (in *inspector) readParsed(path string) ([]byte, error) {
	data, err := in.ground.read(path, kustomizationBytes)
	if err != nil {
		return nil, err
	}
	if in.parsed += len(data); in.parsed > kustomizationsBytes {
		return nil, fmt.Errorf("makes the kustomization files more than %d KiB in all", kustomizationsBytes>>10)
	}
	return data, nil
}

// follow looks at one reference of k.
func (in *inspector) follow(k *kustomization, r reference) {
	fault := func(format string, args ...any) {
		in.fault(k.file, lineOf(k.root, r.field, r.value), "%s: %s", r.field, fmt.Sprintf(format, args...))
	}
	if isRemote(r.value) {
		fault("%s is remote and is not fetched; put a copy beside the kustomization and refer to that", r.value)
		return
	}
	if r.to == toFileOrInline || r.to == toPluginOrInline {
		if inline := inlineObjects(r.value); inline != nil {
			if r.to == toPluginOrInline {
				in.plugins(k.file, lineOf(k.root, r.field, r.value), inline)
			}
			return
		}
	}
	path := r.value
	if !filepath.IsAbs(path) {
		path = filepath.Join(k.dir, path)
	}
	real, err := in.ground.resolve(path)
	if err != nil {
		fault("%s", err)
		return
	}
	mode, err := in.ground.mode(real)
	switch {
	case err != nil:
		fault("%s", err)
	case mode.IsDir() && (r.to == toFile || r.to == toFileOrInline):
		fault("%s is a folder; a file is needed here", r.value)
	case mode.IsDir():
		in.enter(real, fault, r)
	case r.to == toDir:
		fault("%s is a file; a folder with a kustomization is needed here", r.value)
	case !within(k.dir, real):
		fault("%s lies outside of the kustomization's folder; kustomize reads files only in or below it", r.value)
	case !mode.IsRegular():
		fault("%s is not a regular file", r.value)
	default:
		in.file(real, r, fault)
	}
}

// enter inspects another kustomization, unless it is one of those that lead to
// it, or holds one of them.
func (in *inspector) enter(dir string, fault func(string, ...any), r reference) {
	for _, above := range in.stack {
		if within(dir, above) {
			fault("%s leads back to %s, which refers to this one", r.value, in.ground.show(above))
			return
		}
	}
	if !in.done[dir] {
		in.sources.Dirs = append(in.sources.Dirs, in.ground.show(dir))
	}
	in.walk(dir)
	switch component := in.ground.isComponent(dir); {
	case component && r.to != toDir:
		fault("%s is a Component; list it under components", r.value)
	case !component && r.to == toDir:
		fault("%s is no Component; list it under resources", r.value)
	}
}

// file notes a file, and looks into the configuration of a plugin.
func (in *inspector) file(path string, r reference, fault func(string, ...any)) {
	if len(in.sources.Files) >= in.limits.Files {
		fault("%s is one of more than %d files", r.value, in.limits.Files)
		return
	}
	in.sources.Files = append(in.sources.Files, in.ground.show(path))
	if r.to != toPluginOrInline {
		return
	}
	data, err := in.readParsed(path)
	if err != nil {
		fault("%s %s", r.value, err)
		return
	}
	documents, err := parseNodes(data)
	if err != nil {
		in.fault(path, yamlLine(err), "not valid YAML: %s", err)
		return
	}
	in.plugins(path, 0, documents)
}

// inlineObjects returns the objects that value is, or nil where it is a path.
func inlineObjects(value string) []*yaml.Node {
	documents, err := parseNodes([]byte(value))
	if err != nil || len(documents) == 0 {
		return nil
	}
	for _, d := range documents {
		if d.Kind != yaml.MappingNode {
			return nil
		}
	}
	return documents
}

// pathFields are the fields in which kustomize's own generators and
// transformers name files.
var pathFields = []string{"path", "paths", "files", "envs", "env"}

// plugins looks at the configuration of generators and transformers: only
// kustomize's own are run, and they too can name remote files. atLine is the
// line of configuration that stands in the kustomization file itself.
func (in *inspector) plugins(file string, atLine int, documents []*yaml.Node) {
	for _, d := range documents {
		line := func(n *yaml.Node) int {
			if atLine > 0 {
				return atLine
			}
			return n.Line
		}
		kind := text(d, "kind")
		if text(d, "apiVersion") != "builtin" {
			in.fault(file, line(d), "%s is a plugin; only kustomize's own generators and transformers are run", orElse(kind, "this"))
			continue
		}
		if kind == "HelmChartInflationGenerator" {
			in.fault(file, line(d), "Helm charts are not inflated in a kustomization; scan the chart itself, with its values")
			continue
		}
		in.paths(d, false, func(n *yaml.Node) {
			in.fault(file, line(n), "%s: %s is remote and is not fetched", kind, n.Value)
		})
	}
}

// paths calls found with every remote reference below n. isPath is whether n is
// the value of a field that names files.
func (in *inspector) paths(n *yaml.Node, isPath bool, found func(*yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		value := n.Value
		if _, path, named := strings.Cut(value, "="); named {
			value = path
		}
		if isPath && (isRemote(n.Value) || isRemote(value)) {
			found(n)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			in.paths(c, isPath, found)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			named := slices.ContainsFunc(pathFields, func(f string) bool { return strings.EqualFold(f, n.Content[i].Value) })
			in.paths(n.Content[i+1], named, found)
		}
	case yaml.AliasNode: // further ones are not followed: they may be a loop
		for _, c := range append([]*yaml.Node{n.Alias}, n.Alias.Content...) {
			if c.Kind == yaml.ScalarNode {
				in.paths(c, isPath, found)
			}
		}
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
