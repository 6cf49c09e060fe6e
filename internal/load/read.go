package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
)

// read decodes plain files with all cores. Their order does not change.
func (r *reader) read(ctx context.Context, files []source) root {
	decoded := make([]manifest.File, len(files))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			d := manifest.NewDecoder()
			for i := range next {
				decoded[i] = r.decode(d, files[i])
				r.progress()
			}
		}()
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	out := root{files: len(files)}
	for _, f := range decoded {
		out.objects = append(out.objects, f.Objects...)
		out.problems = append(out.problems, f.Problems...)
	}
	return out
}

func (r *reader) decode(d *manifest.Decoder, s source) manifest.File {
	name := s.path
	data, err := r.bytes(s.path)
	if name == "-" {
		name = "<stdin>"
	}
	if err != nil {
		return manifest.File{Problems: []finding.Problem{{Location: finding.Location{File: name}, Message: err.Error()}}}
	}
	f := d.Decode(model.Source{File: name}, data)
	switch {
	case s.named && len(f.Objects)+len(f.Problems) == 0:
		f.Problems = append(f.Problems, finding.Problem{Location: finding.Location{File: name}, Message: "holds no Kubernetes object"})
	case !s.named && len(f.Objects) == 0 && foreign(name, data):
		// A folder holds JSON of other trades, some of it with comments. Text
		// without this word cannot be a manifest.
		f.Problems = nil
	}
	return f
}

func foreign(name string, data []byte) bool {
	return strings.EqualFold(filepath.Ext(name), ".json") && !bytes.Contains(data, []byte("apiVersion"))
}

func (r *reader) bytes(path string) ([]byte, error) {
	in := r.Stdin
	if path != "-" {
		if data, ok := r.StandIns[absolute(path)]; ok {
			return data, nil
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("cannot be read: %w", unwrapPath(err))
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.Size() <= MaxFileSize {
			data := make([]byte, info.Size())
			if _, err := io.ReadFull(file, data); err != nil {
				return nil, fmt.Errorf("cannot be read: %w", unwrapPath(err))
			}
			return data, nil
		}
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", unwrapPath(err))
	}
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("is larger than %d MiB; split it", MaxFileSize>>20)
	}
	return data, nil
}
