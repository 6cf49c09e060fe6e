package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ignore "github.com/sabhiram/go-gitignore"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/load/kustomize"
)

// IgnoreFile lists, in the syntax of .gitignore, what a scan of its folder skips.
const IgnoreFile = ".bulkheadignore"

// source is something to read. Named ones were asked for by name, so they must
// hold something; others were found in a folder.
type source struct {
	path  string
	named bool
	// top is the path that the user gave, which links may not lead out of.
	top string
}

// discovered is what the paths lead to, in the order in which it was found.
type discovered struct {
	files, charts, kustomizations, snapshots []source
	// components are kustomizations that mean nothing alone.
	components []source
	problems   []finding.Problem
	seen       map[string]bool
	// consumed are files that kustomizations are made of, by absolute path.
	consumed map[string]bool
	standIns map[string][]byte
}

func discover(paths []string, standIns map[string][]byte) *discovered {
	d := &discovered{seen: map[string]bool{}, consumed: map[string]bool{}, standIns: standIns}
	for _, p := range paths {
		d.argument(p)
	}
	d.dropReferred()
	for _, c := range d.components {
		d.consume(c)
	}
	return d
}

func (d *discovered) fail(path, format string, args ...any) {
	d.problems = append(d.problems, finding.Problem{Location: finding.Location{File: path}, Message: fmt.Sprintf(format, args...)})
}

func (d *discovered) argument(path string) {
	if path == "-" {
		d.files = append(d.files, source{path: path, named: true})
		return
	}
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail(path, "does not exist")
	case err != nil:
		d.fail(path, "cannot be read: %v", unwrapPath(err))
	case info.IsDir():
		d.folder(path)
	case !info.Mode().IsRegular():
		d.fail(path, "is no regular file; use - to read from standard input")
	case helm.IsChart(path):
		d.add(&d.charts, path, true, path)
	case isSnapshot(path):
		d.add(&d.snapshots, path, true, path)
	case isArchive(path):
		d.fail(path, "is an archive that holds no chart; unpack it")
	case isKustomizationFile(path):
		d.add(&d.kustomizations, filepath.Dir(path), true, filepath.Dir(path))
	default:
		d.add(&d.files, path, true, path)
	}
}

// add keeps a source once, however many paths lead to it.
func (d *discovered) add(list *[]source, path string, named bool, top string) {
	if key := absolute(path); !d.seen[key] {
		d.seen[key] = true
		*list = append(*list, source{path, named, top})
	}
}

// folder walks a folder that was named.
func (d *discovered) folder(top string) {
	ignored, err := ignoreRules(top)
	if err != nil {
		d.fail(filepath.Join(top, IgnoreFile), "%v", unwrapPath(err))
	}
	// The slash follows a symbolic link that was named itself, as kubectl does.
	_ = filepath.WalkDir(top+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		path = filepath.Clean(path)
		if err != nil {
			d.fail(path, "cannot be read: %v", unwrapPath(err))
			if entry != nil && entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if path != top && (strings.HasPrefix(entry.Name(), ".") || ignored(path, entry.IsDir())) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case entry.IsDir() && helm.IsChart(path):
			d.add(&d.charts, path, path == top, top)
			return fs.SkipDir
		case entry.IsDir():
			switch {
			case !kustomize.IsKustomization(path):
			case path != top && kustomize.IsComponent(path):
				d.add(&d.components, path, false, top)
			default:
				d.add(&d.kustomizations, path, path == top, top)
			}
		case entry.Type()&fs.ModeSymlink != 0:
			d.link(top, path)
		case entry.Type().IsRegular():
			d.file(path, top)
		}
		return nil
	})
}

// link looks at a symbolic link in a folder. What it leads to inside the folder
// is read where it really is; nothing outside is read at all.
func (d *discovered) link(top, path string) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		d.fail(path, "is a symbolic link that leads nowhere: %v", unwrapPath(err))
		return
	}
	if within, err := filepath.EvalSymlinks(top); err != nil || !inside(absolute(within), absolute(target)) {
		d.fail(path, "is a symbolic link out of %s and is not followed; give what it leads to as a path of its own", top)
	}
}

func inside(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (d *discovered) file(path, top string) {
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case isArchive(path):
		if helm.IsChart(path) {
			d.add(&d.charts, path, false, top)
		}
	case isKustomizationFile(path):
		// Its folder is a root.
	case ext == ".yaml" || ext == ".yml" || ext == ".json":
		d.add(&d.files, path, false, top)
	}
}

func isArchive(path string) bool {
	return strings.HasSuffix(path, ".tgz") || strings.HasSuffix(path, ".tar.gz")
}

func isKustomizationFile(path string) bool {
	return slices.Contains(kustomize.FileNames(), filepath.Base(path))
}

// plain lists the files that are read for themselves: what a kustomization is made
// of means nothing alone, unless it was named.
func (d *discovered) plain() []source {
	return slices.DeleteFunc(d.files, func(f source) bool { return !f.named && d.consumed[absolute(f.path)] })
}

// dropReferred leaves out kustomizations that another one builds on: they are
// part of its world. Of those that build on each other none is left out, so that
// rendering them says so.
func (d *discovered) dropReferred() {
	refers := map[string]map[string]bool{}
	for _, k := range d.kustomizations {
		to := map[string]bool{}
		for _, dir := range d.consume(k).Dirs {
			to[absolute(dir)] = true
		}
		refers[absolute(k.path)] = to
	}
	d.kustomizations = slices.DeleteFunc(d.kustomizations, func(k source) bool {
		path := absolute(k.path)
		for by, to := range refers {
			if !k.named && to[path] && !refers[path][by] {
				return true
			}
		}
		return false
	})
}

// consume notes the files that a kustomization is made of. What is wrong with it
// is said, with its place, when it is rendered.
func (d *discovered) consume(k source) *kustomize.Sources {
	sources, _ := kustomize.Inspect(k.path, kustomize.Options{Boundary: k.top, Overlay: d.standIns})
	for _, f := range sources.Files {
		d.consumed[absolute(f)] = true
	}
	return sources
}

// ignoreRules reads a folder's ignore file.
func ignoreRules(top string) (func(path string, dir bool) bool, error) {
	rules, err := ignore.CompileIgnoreFile(filepath.Join(top, IgnoreFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return func(string, bool) bool { return false }, err
	}
	return func(path string, dir bool) bool {
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return false
		}
		rel = filepath.ToSlash(rel)
		return rules.MatchesPath(rel) || dir && rules.MatchesPath(rel+"/")
	}, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// unwrapPath drops the path from an error whose place is told beside it.
func unwrapPath(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
