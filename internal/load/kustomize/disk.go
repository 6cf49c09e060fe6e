package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// disk is what kustomize sees as the file system: it can be read and not
// written, symbolic links stay inside the boundary, every file has its limit,
// and the top kustomization may be another than the one on disk.
type disk struct {
	ground ground
	limits Limits
	// overlay is content by real path that stands in for a file's own, before
	// that of ground: what this build alone reads.
	overlay map[string][]byte
	read    map[string]int64
	total   int64
}

var _ filesys.FileSystem = (*disk)(nil)

var errReadOnly = errors.New("a build writes no files")

func (d *disk) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (d *disk) Mkdir(string) error                  { return errReadOnly }
func (d *disk) MkdirAll(string) error               { return errReadOnly }
func (d *disk) RemoveAll(string) error              { return errReadOnly }
func (d *disk) WriteFile(string, []byte) error      { return errReadOnly }
func (d *disk) Open(string) (filesys.File, error) {
	return nil, errors.New("a build reads whole files only")
}
func (d *disk) Glob(string) ([]string, error)        { return nil, errors.New("a build expands no patterns") }
func (d *disk) ReadDir(string) ([]string, error)     { return nil, errors.New("a build lists no folders") }
func (d *disk) Walk(string, filepath.WalkFunc) error { return errors.New("a build walks no folders") }

// Exists reports whether path leads to something inside the boundary.
func (d *disk) Exists(path string) bool {
	_, err := d.stat(path)
	return err == nil
}

// IsDir reports whether path leads to a folder inside the boundary.
func (d *disk) IsDir(path string) bool {
	mode, err := d.stat(path)
	return err == nil && mode.IsDir()
}

func (d *disk) stat(path string) (fs.FileMode, error) {
	target, err := d.resolve(path)
	if err != nil {
		return 0, err
	}
	return d.ground.mode(target)
}

func (d *disk) resolve(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return d.ground.resolve(absolute)
}

// CleanedAbs splits path, without symbolic links, into its folder and the name
// of a file in it, "" for a folder.
func (d *disk) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	target, err := d.resolve(path)
	if err != nil {
		return "", "", err
	}
	mode, err := d.ground.mode(target)
	if err != nil {
		return "", "", err
	}
	if mode.IsDir() {
		return filesys.ConfirmedDir(target), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(target)), filepath.Base(target), nil
}

// ReadFile reads a file and notes that it was read.
func (d *disk) ReadFile(path string) ([]byte, error) {
	target, err := d.resolve(path)
	if err != nil {
		return nil, err
	}
	data, stands := d.overlay[target]
	if !stands {
		if data, err = d.ground.read(target, d.limits.FileBytes); err != nil {
			return nil, fmt.Errorf("%s: %w", d.ground.show(target), err)
		}
	}
	if _, again := d.read[target]; !again {
		d.read[target] = int64(len(data))
		d.total += int64(len(data))
	}
	switch {
	case len(d.read) > d.limits.Files:
		return nil, fmt.Errorf("the build reads more than %d files", d.limits.Files)
	case d.total > d.limits.TotalBytes:
		return nil, fmt.Errorf("the build reads more than %d MiB", d.limits.TotalBytes>>20)
	}
	return slices.Clone(data), nil
}

// consumed lists the files that were read, as the user can find them.
func (d *disk) consumed() []string {
	var all []string
	for target := range d.read {
		all = append(all, d.ground.show(target))
	}
	slices.Sort(all)
	return all
}
