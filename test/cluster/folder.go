package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// marker is the file by which a cluster's folder is known, and its lock.
const marker = ".bulkhead-test-cluster"

// contents are what a cluster keeps in its folder, all of it replaced by the next one.
var contents = []string{"audit-policy.yaml", "audit.log", "etcd", "kubeconfig", "logs", "pki"}

// A folder is where one cluster keeps its files.
type folder struct {
	path      string
	temporary bool
	lock      *os.File
}

// openFolder makes the folder at path ready, or a temporary one if path is empty.
func openFolder(path string) (*folder, error) {
	f := &folder{path: path, temporary: path == ""}
	var err error
	if f.temporary {
		f.path, err = os.MkdirTemp("", "bulkhead-test-cluster-")
	} else if f.path, err = filepath.Abs(path); err == nil {
		err = os.MkdirAll(f.path, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("create the cluster's folder: %w", err)
	}
	if err := f.claim(); err != nil {
		if f.temporary {
			err = errors.Join(err, os.RemoveAll(f.path))
		}
		return nil, err
	}
	for _, name := range []string{"logs", "pki"} {
		if err := os.Mkdir(f.file(name), 0o700); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// claim locks the folder and removes what a former cluster left there. It touches no
// folder that holds something else.
func (f *folder) claim() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("read the cluster's folder: %w", err)
	}
	if _, err := os.Stat(f.file(marker)); err != nil && len(entries) > 0 {
		return fmt.Errorf("folder %s is not empty and not a test cluster's: name another with --dir", f.path)
	}
	if f.lock, err = tryLock(f.file(marker)); err != nil {
		return err
	}
	if f.lock == nil {
		return fmt.Errorf("another cluster runs in %s: stop it, or name another folder with --dir", f.path)
	}
	for _, name := range contents {
		if err := os.RemoveAll(f.file(name)); err != nil {
			return errors.Join(fmt.Errorf("remove a former cluster's files: %w", err), f.lock.Close())
		}
	}
	return nil
}

// file returns the path of something in the folder.
func (f *folder) file(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

// close gives the folder up; a temporary one is gone then.
func (f *folder) close() error {
	var err error
	if f.temporary {
		err = os.RemoveAll(f.path)
	}
	return errors.Join(err, f.lock.Close())
}
