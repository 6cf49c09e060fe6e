package testcluster

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

// Exclusive waits until no other test, of whatever package, holds the name, and holds
// it until the test ends: for what a cluster has only one of.
func Exclusive(t *testing.T, name string) {
	t.Helper()
	_, path := Config(t)
	lock := path + "." + name + ".lock"
	const limit = 5 * time.Minute
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := os.Mkdir(lock, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if time.Since(start) > limit {
			t.Fatalf("%s is held by another test; if none runs, remove it", lock)
		}
	}
	t.Cleanup(func() { _ = os.Remove(lock) })
}
