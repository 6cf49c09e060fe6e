// Package files gives files on disk new contents: all of them or none, each
// replaced as a whole, so that nobody ever reads half of one.
package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file with the contents that it has and is to have.
type File struct {
	Path string
	// Before is what the change was made for; nil for a file that is not there.
	Before []byte
	After  []byte
}

// Check reports why a file must not or cannot be replaced.
func (f File) Check() error {
	info, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.Before == nil:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", f.Path, unwrapPath(err))
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not written through; give the file that it leads to", f.Path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", f.Path)
	case info.Mode().Perm()&0o222 == 0:
		return fmt.Errorf("%s is read-only", f.Path)
	}
	now, err := os.ReadFile(f.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, unwrapPath(err))
	}
	if f.Before == nil {
		return fmt.Errorf("%s is there already", f.Path)
	}
	if !bytes.Equal(now, f.Before) {
		return fmt.Errorf("%s changed since it was read; run the fix again", f.Path)
	}
	return nil
}

// Replace writes the new contents beside the files, and when all are on the disk
// renames them into place. On an error every file is as it was. Once the first is
// renamed a cancelled context no longer stops it.
func Replace(ctx context.Context, all []File) (err error) {
	staged := make([]string, 0, len(all))
	defer func() {
		for _, name := range staged {
			if remove := os.Remove(name); err == nil && !errors.Is(remove, fs.ErrNotExist) {
				err = remove
			}
		}
	}()
	for _, f := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.Check(); err != nil {
			return err
		}
		name, err := f.stage()
		if name != "" {
			staged = append(staged, name)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, unwrapPath(err))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, f := range all {
		if err := f.Check(); err != nil {
			return errors.Join(err, restore(all[:i]))
		}
		if err := os.Rename(staged[i], f.Path); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", f.Path, unwrapPath(err)), restore(all[:i]))
		}
	}
	return nil
}

// stage writes the new content to a file beside the old one, with its mode.
func (f File) stage() (name string, err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(f.Path); err == nil {
		mode = info.Mode().Perm()
	}
	t, err := os.CreateTemp(filepath.Dir(f.Path), ".bulkhead-*")
	if err != nil {
		return "", err
	}
	_, err = t.Write(f.After)
	return t.Name(), errors.Join(err, t.Chmod(mode), t.Sync(), t.Close())
}

// restore takes back what was replaced.
func restore(replaced []File) error {
	var errs []error
	for _, f := range replaced {
		if f.Before == nil {
			errs = append(errs, os.Remove(f.Path))
			continue
		}
		name, err := File{Path: f.Path, After: f.Before}.stage()
		if err == nil {
			err = os.Rename(name, f.Path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s could not be put back as it was: %w", f.Path, unwrapPath(err)))
		}
	}
	return errors.Join(errs...)
}

// unwrapPath drops the path from an error that names it beside.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
