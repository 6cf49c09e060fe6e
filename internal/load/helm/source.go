package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/ignore"
)

// file is one file of a chart.
type file struct {
	// name is the path inside the chart, with slashes.
	name string
	// disk is the file on disk, "" for one out of an archive.
	disk string
	data []byte
}

// budget counts what a chart, all its subcharts included, may still have.
type budget struct {
	limits Limits
	files  int
	bytes  int64
}

// take counts a file of size bytes.
func (b *budget) take(name string, size int64) error {
	b.files++
	b.bytes += size
	switch {
	case b.files > b.limits.Files:
		return fmt.Errorf("has more than %d files", b.limits.Files)
	case size > b.limits.FileBytes:
		return fmt.Errorf("%s is larger than %d MiB", name, b.limits.FileBytes>>20)
	case b.bytes > b.limits.TotalBytes:
		return fmt.Errorf("is larger than %d MiB in all", b.limits.TotalBytes>>20)
	}
	return nil
}

var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

// maxDepth is how deep folders may be nested in a chart.
const maxDepth = 64

// folder reads the files of a chart folder. [os.Root] follows symbolic links
// that stay in the folder and refuses all others, whatever changes meanwhile.
type folder struct {
	path   string
	root   *os.Root
	rules  *ignore.Rules
	budget *budget
	// entries counts what was looked at, ignored or not.
	entries int
	files   []file
	// overlay has contents that stand in for files, by their names here.
	overlay map[string][]byte
}

// readFolder returns the files of the chart at path that its .helmignore does
// not exclude, sorted by name. overlay is that of Options.
func readFolder(path string, overlay map[string][]byte, b *budget) ([]file, error) {
	under, err := overlayUnder(path, overlay)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f := &folder{path: path, root: root, rules: ignore.Empty(), budget: b, overlay: under}
	if err := f.readRules(); err != nil {
		return nil, fmt.Errorf("read %s: %w", ignore.HelmIgnore, err)
	}
	top, err := root.Stat(".")
	if err != nil {
		return nil, err
	}
	if err := f.walk(".", []fs.FileInfo{top}); err != nil {
		return nil, err
	}
	if err := f.addNew(); err != nil {
		return nil, err
	}
	return f.files, nil
}

func (f *folder) readRules() error {
	defer f.rules.AddDefaults()
	if data, ok := f.overlay[ignore.HelmIgnore]; ok {
		return f.parseRules(data)
	}
	info, err := f.root.Stat(ignore.HelmIgnore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := f.read(ignore.HelmIgnore, info)
	if err != nil {
		return err
	}
	return f.parseRules(data)
}

func (f *folder) parseRules(data []byte) error {
	rules, err := ignore.Parse(bytes.NewReader(data))
	if err != nil {
		return err
	}
	f.rules = rules
	return nil
}

// walk reads dir; above are the folders on the way to it and dir itself.
func (f *folder) walk(dir string, above []fs.FileInfo) error {
	if len(above) > maxDepth {
		return fmt.Errorf("%s: folders are nested more than %d deep", dir, maxDepth)
	}
	handle, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	// Ten entries for each file that may be there: .helmignore excludes some.
	entries, err := handle.ReadDir(10*f.budget.limits.Files + 1)
	handle.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if f.entries += len(entries); f.entries > 10*f.budget.limits.Files {
		return fmt.Errorf("has more than %d files and folders", 10*f.budget.limits.Files)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if err := f.entry(path.Join(dir, e.Name()), e, above); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) entry(name string, e fs.DirEntry, above []fs.FileInfo) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	if f.rules.Ignore(name, info) {
		return nil
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if info, err = f.follow(name); err != nil {
			return err
		}
		if f.rules.Ignore(name, info) {
			return nil
		}
	}
	switch {
	case info.IsDir():
		for _, a := range above {
			if os.SameFile(a, info) {
				return fmt.Errorf("%s is a symbolic link to a folder that holds it", name)
			}
		}
		return f.walk(name, append(slices.Clone(above), info))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a folder (%s); remove it or name it in .helmignore", name, info.Mode().Type())
	}
	if data, ok := f.overlay[name]; ok {
		return f.take(name, data)
	}
	if err := f.budget.take(name, info.Size()); err != nil {
		return err
	}
	data, err := f.read(name, info)
	if err != nil {
		return err
	}
	f.add(name, data)
	return nil
}

func (f *folder) add(name string, data []byte) {
	f.files = append(f.files, file{name: name, disk: filepath.Join(f.path, filepath.FromSlash(name)), data: data})
}

// follow returns what a symbolic link inside the folder leads to.
func (f *folder) follow(name string) (fs.FileInfo, error) {
	info, err := f.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is a symbolic link that leads nowhere", name)
	case err != nil:
		return nil, fmt.Errorf("%s is a symbolic link that leads out of the chart's folder and is not followed; copy what it leads to into the chart", name)
	}
	return info, nil
}

func (f *folder) read(name string, info fs.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	handle, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	data, err := readAtMost(handle, f.budget.limits.FileBytes)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return bytes.TrimPrefix(data, utf8BOM), nil
}

// readAtMost reads all of r, and fails where that is more than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d MiB", limit>>20)
	}
	return data, nil
}
