package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// ratioFrom is how much an archive may become before its ratio counts: a tiny
// one is mostly padding.
const ratioFrom = 1 << 20

// archiveSlack is what the headers of an archive may need for each file beside
// the file itself: a header, a long name and padding.
const archiveSlack = 4 << 10

func isArchiveName(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}

// inflater decompresses, and fails where the whole or its ratio to what was
// compressed gets too large.
type inflater struct {
	compressed *counter
	gzip       *gzip.Reader
	limits     Limits
	bytes      int64
}

type counter struct {
	io.Reader
	bytes int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += int64(n)
	return n, err
}

func inflate(r io.Reader, l Limits) (*inflater, error) {
	compressed := &counter{Reader: r}
	unzipped, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, fmt.Errorf("is not a gzip archive: %w", err)
	}
	return &inflater{compressed: compressed, gzip: unzipped, limits: l}, nil
}

var errInflated = errors.New("decompressed too large")

func (i *inflater) Read(p []byte) (int, error) {
	n, err := i.gzip.Read(p)
	i.bytes += int64(n)
	switch {
	case i.bytes > i.limits.TotalBytes+int64(i.limits.Files)*archiveSlack:
		return 0, fmt.Errorf("%w: more than %d MiB", errInflated, i.limits.TotalBytes>>20)
	case i.bytes > ratioFrom && i.bytes > i.limits.Ratio*i.compressed.bytes:
		return 0, fmt.Errorf("%w: more than %d times as large as the archive", errInflated, i.limits.Ratio)
	}
	return n, err
}

// readArchive returns the files of a chart archive. Only files and folders
// under one top folder are accepted: everything else an archive can hold is an
// error, and so is a name that leads out of it.
func readArchive(r io.Reader, b *budget) ([]file, error) {
	data, err := inflate(r, b.limits)
	if err != nil {
		return nil, err
	}
	var files []file
	seen := map[string]bool{}
	headers := 0
	for archive := tar.NewReader(data); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot be unpacked: %w", err)
		}
		if headers++; headers > 10*b.limits.Files {
			return nil, fmt.Errorf("has more than %d files and folders", 10*b.limits.Files)
		}
		name, err := entryName(header)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("holds %q twice", name)
		}
		seen[name] = true
		if err := b.take(name, header.Size); err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(archive, header.Size))
		if err != nil {
			return nil, fmt.Errorf("%q cannot be unpacked: %w", name, err)
		}
		files = append(files, file{name: name, data: bytes.TrimPrefix(content, utf8BOM)})
	}
}

// entryName returns the path of a file below the archive's top folder, or ""
// for what holds no content.
func entryName(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeXGlobalHeader:
		return "", nil
	case tar.TypeSymlink, tar.TypeLink:
		return "", fmt.Errorf("holds a link, %q to %q; pack the chart with helm package, which holds none", h.Name, h.Linkname)
	default:
		return "", fmt.Errorf("holds %q, which is neither a file nor a folder", h.Name)
	}
	name := strings.ReplaceAll(h.Name, `\`, "/") // written by Windows
	_, inner, found := strings.Cut(name, "/")
	inner = path.Clean(inner)
	switch {
	case strings.HasPrefix(name, "/"), path.IsAbs(inner), len(inner) > 1 && inner[1] == ':':
		return "", fmt.Errorf("holds the absolute path %q", h.Name)
	case name == ".." || strings.HasPrefix(name, "../") || inner == ".." || strings.HasPrefix(inner, "../"):
		return "", fmt.Errorf("holds %q, a path that leads out of the archive", h.Name)
	case h.Typeflag == tar.TypeDir:
		return "", nil
	case !found || inner == ".":
		return "", fmt.Errorf("holds %q outside of a top folder", h.Name)
	}
	return inner, nil
}

// holdsChart reports whether the archive has a Chart.yaml in its top folder,
// which helm package writes first.
func holdsChart(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	data, err := inflate(f, Limits{}.withDefaults())
	if err != nil {
		return false
	}
	archive := tar.NewReader(data)
	for range DefaultFiles {
		header, err := archive.Next()
		if err != nil {
			return false
		}
		if _, inner, _ := strings.Cut(header.Name, "/"); inner == "Chart.yaml" {
			return true
		}
	}
	return false
}
