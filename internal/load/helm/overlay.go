package helm

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// overlayUnder returns the part of an overlay that is in the folder at path, by
// names inside of it.
func overlayUnder(path string, overlay map[string][]byte) (map[string][]byte, error) {
	under := map[string][]byte{}
	if len(overlay) == 0 {
		return under, nil
	}
	top, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be found: %w", err)
	}
	for name, data := range overlay {
		if !filepath.IsAbs(name) {
			return nil, fmt.Errorf("cannot be read with %q replaced: give its absolute path", name)
		}
		if inner, err := filepath.Rel(top, name); err == nil && filepath.IsLocal(inner) {
			under[filepath.ToSlash(inner)] = data
		}
	}
	return under, nil
}

// take adds a file of the overlay.
func (f *folder) take(name string, data []byte) error {
	delete(f.overlay, name) // what is left is not on disk
	if err := f.budget.take(name, int64(len(data))); err != nil {
		return err
	}
	f.add(name, bytes.TrimPrefix(data, utf8BOM))
	return nil
}

// addNew adds the files of the overlay that are not on disk.
func (f *folder) addNew() error {
	if len(f.overlay) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(f.overlay)) {
		if f.ignored(name) {
			continue
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if slices.ContainsFunc(f.files, func(have file) bool { return have.name == dir }) {
				return fmt.Errorf("cannot have a file %s: %s is no folder; unpack it to change what it holds", name, dir)
			}
		}
		if err := f.take(name, f.overlay[name]); err != nil {
			return err
		}
	}
	slices.SortStableFunc(f.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return nil
}

// ignored reports whether .helmignore excludes a file that is not on disk, or a
// folder on the way to it.
func (f *folder) ignored(name string) bool {
	if f.rules.Ignore(name, unmade{}) {
		return true
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if f.rules.Ignore(dir, unmade{dir: true}) {
			return true
		}
	}
	return false
}

// unmade describes a file or a folder that is not on disk, as far as
// .helmignore asks.
type unmade struct {
	fs.FileInfo
	dir bool
}

func (u unmade) IsDir() bool { return u.dir }
