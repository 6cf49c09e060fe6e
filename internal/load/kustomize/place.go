package kustomize

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ground is where a build stands: it resolves paths, and turns them back into
// what the user can find.
type ground struct {
	// given is the kustomization as the user named it, real the same folder
	// without symbolic links.
	given, real string
	// boundary is real, too.
	boundary string
	// overlay is content by real path that stands in for a file's own; the file
	// need not be there.
	overlay map[string][]byte
}

func newGround(dir string, o Options) (ground, error) {
	real, err := realPath(dir)
	if err != nil {
		return ground{}, err
	}
	g := ground{given: dir, real: real, boundary: real}
	if o.Boundary != "" {
		if g.boundary, err = realPath(o.Boundary); err != nil {
			return ground{}, err
		}
	}
	return g, g.lay(o.Overlay)
}

func realPath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

// resolve returns path, which is absolute, without symbolic links. Those may
// not lead out of the boundary.
func (g ground) resolve(path string) (string, error) {
	path = filepath.Clean(path)
	real, err := filepath.EvalSymlinks(path)
	if os.IsNotExist(err) {
		if laid, ok := g.laid(path); ok {
			real, err = laid, nil
		}
	}
	if os.IsNotExist(err) {
		return "", fmt.Errorf("%s does not exist", g.show(path))
	}
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", g.show(path), err)
	}
	if real != path && !within(g.boundary, real) {
		return "", fmt.Errorf("%s is a symbolic link that leads out of %s and is not followed", g.show(path), g.show(g.boundary))
	}
	return real, nil
}

// within reports whether path is dir or below it; both are real.
func within(dir, path string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// show turns a real path into one that begins as the user's did.
func (g ground) show(path string) string {
	relative, err := filepath.Rel(g.real, path)
	if err != nil {
		return path
	}
	return filepath.Join(g.given, relative)
}
