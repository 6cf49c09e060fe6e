package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the child process that Render starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Verb {
		if err := Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// renderPath renders in a real child process.
func renderPath(t *testing.T, path string, o Options) (*Chart, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Render(t.Context(), self, path, o)
}

// files are a chart, or a part of one, by path.
type files map[string]string

const chartYAML = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"

// write puts a chart on disk; where it has no Chart.yaml, it gets one.
func (f files) write(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, ok := f["Chart.yaml"]; !ok {
		f["Chart.yaml"] = chartYAML
	}
	for name, content := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack makes an archive of entries, which may be hostile.
func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, h := range entries {
		content := h.PAXRecords["content"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		h.Size, h.Mode = int64(len(content)), 0o644
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// entry is a regular file for pack.
func entry(name, content string) tar.Header {
	return tar.Header{Name: name, PAXRecords: map[string]string{"content": content}}
}

// writeArchive puts an archive on disk.
func writeArchive(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop-1.2.3.tgz")
	if err := os.WriteFile(path, pack(t, entries...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// content returns the rendered file of a template.
func (c *Chart) content(t *testing.T, template string) string {
	t.Helper()
	return string(c.document(t, template).Content)
}

func (c *Chart) document(t *testing.T, template string) Document {
	t.Helper()
	var names []string
	for _, d := range c.Documents {
		if d.Template == template {
			return d
		}
		names = append(names, d.Template)
	}
	t.Fatalf("no document %s among %s", template, strings.Join(names, ", "))
	return Document{}
}

// inputs returns the folder of real charts, and skips where there is none.
func inputs(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BULKHEAD_INPUTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "inputs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real inputs at %s; set BULKHEAD_INPUTS", dir)
	}
	return dir
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
