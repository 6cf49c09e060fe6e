package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lay puts content by absolute path over the files of the ground.
func (g *ground) lay(overlay map[string][]byte) error {
	if len(overlay) == 0 {
		return nil
	}
	g.overlay = make(map[string][]byte, len(overlay))
	for path, content := range overlay {
		real, err := g.place(path)
		if err != nil {
			return fmt.Errorf("lay content over %s: %w", path, err)
		}
		if _, twice := g.overlay[real]; twice {
			return fmt.Errorf("lay content over %s: other content has the same place", path)
		}
		g.overlay[real] = content
	}
	return nil
}

// place returns the real path of a file that is there or can be made: in a
// folder that is there.
func (g ground) place(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errors.New("the path is not absolute")
	}
	path = filepath.Clean(path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		folder, err := g.resolve(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		return filepath.Join(folder, filepath.Base(path)), nil
	case err != nil:
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		// Where a link leads nowhere, what is written would go to its target.
		if path, err = g.resolve(path); err != nil {
			return "", err
		}
	default:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
	}
	if info, err = os.Stat(path); err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file")
	}
	return path, nil
}

// laid returns the real path of a file that is in the overlay only.
func (g ground) laid(path string) (string, bool) {
	if len(g.overlay) == 0 {
		return "", false
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", false
	}
	real := filepath.Join(folder, filepath.Base(path))
	_, ok := g.overlay[real]
	return real, ok
}

// standIn returns the content that the overlay has for path.
func (g ground) standIn(path string) ([]byte, bool) {
	if len(g.overlay) == 0 {
		return nil, false
	}
	if content, ok := g.overlay[path]; ok {
		return content, true
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, false
	}
	content, ok := g.overlay[real]
	return content, ok
}

// mode returns what path is; what the overlay holds is a regular file.
func (g ground) mode(path string) (fs.FileMode, error) {
	if _, ok := g.standIn(path); ok {
		return 0, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

// read returns the content of a regular file of at most limit bytes.
func (g ground) read(path string, limit int64) ([]byte, error) {
	content, ok := g.standIn(path)
	if !ok {
		return readRegular(path, limit)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("is larger than %d KiB", limit>>10)
	}
	return content, nil
}
