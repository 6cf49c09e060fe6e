package load

import (
	"io"
	"os"

	"bulkhead.dev/bulkhead/internal/load/archive"
	"bulkhead.dev/bulkhead/internal/model"
)

// isSnapshot reports whether a file that was named is what bulkhead snapshot
// wrote. Charts in archives are told before.
func isSnapshot(path string) bool {
	if isArchive(path) {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, 3)
	_, err = io.ReadFull(file, start)
	return err == nil && archive.Is(start)
}

// snapshot reads a snapshot. The damaged rest of one is a problem; what stands
// before it counts.
func (r *reader) snapshot(path string) root {
	out := root{path: path, files: 1}
	file, err := os.Open(path)
	if err != nil {
		out.fail(path, 0, "cannot be read: %v", unwrapPath(err))
		return out
	}
	defer file.Close()
	a, err := archive.Read(file)
	if err != nil {
		out.fail(path, 0, "%v", err)
	}
	if a == nil {
		return out
	}
	for _, w := range a.Worlds {
		o := w.Options
		if err != nil { // what is missing may have been there
			o.Live, o.Complete = false, false
		}
		o.PodTemplates = r.World.PodTemplates
		out.worlds = append(out.worlds, model.NewWorld(w.Objects, o))
	}
	return out
}
