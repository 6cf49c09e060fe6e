package helm

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/load/child"
)

func tarDir(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }

// refused renders a chart that must fail, and checks that the message is one
// readable line.
func refused(t *testing.T, path string, o Options) *Error {
	t.Helper()
	c, err := renderPath(t, path, o)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %+v, %v; want an Error", c, err)
	}
	if strings.ContainsAny(err.Error(), "\n\r\t\x1b\x00") || len(err.Error()) > 1200 {
		t.Errorf("not one readable line: %q", err)
	}
	return e
}

func TestRenderRefusesHostileArchives(t *testing.T) {
	ok := entry("shop/Chart.yaml", chartYAML)
	for name, tt := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"parent":          {[]tar.Header{ok, entry("shop/../../etc/passwd", "x")}, "leads out of the archive"},
		"parent inside":   {[]tar.Header{ok, entry("shop/a/../../x", "x")}, "leads out of the archive"},
		"parent on top":   {[]tar.Header{ok, entry("../shop/x", "x")}, "leads out of the archive"},
		"parent Windows":  {[]tar.Header{ok, entry(`shop\..\..\x`, "x")}, "leads out of the archive"},
		"parent folder":   {[]tar.Header{ok, tarDir("shop/../..")}, "leads out of the archive"},
		"absolute":        {[]tar.Header{ok, entry("/etc/passwd", "x")}, "absolute path"},
		"absolute inside": {[]tar.Header{ok, entry("shop//etc/passwd", "x")}, "absolute path"},
		"drive":           {[]tar.Header{ok, entry("shop/c:/x", "x")}, "absolute path"},
		"symlink":         {[]tar.Header{ok, {Name: "shop/templates/x.yaml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, `holds a link, "shop/templates/x.yaml" to "/etc/passwd"`},
		"hard link":       {[]tar.Header{ok, {Name: "shop/x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, "holds a link"},
		"device":          {[]tar.Header{ok, {Name: "shop/x", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}}, "neither a file nor a folder"},
		"pipe":            {[]tar.Header{ok, {Name: "shop/x", Typeflag: tar.TypeFifo}}, "neither a file nor a folder"},
		"no top folder":   {[]tar.Header{entry("Chart.yaml", chartYAML)}, "outside of a top folder"},
		"twice":           {[]tar.Header{ok, entry("shop/x", "a"), entry("shop/./x", "b")}, `"x" twice`},
		"empty":           {nil, "no Chart.yaml"},
		"bad subchart":    {[]tar.Header{ok, entry("shop/charts/x.tgz", "no gzip")}, "charts/x.tgz: is not a gzip archive"},
		"too many":        {[]tar.Header{ok, entry("shop/1", ""), entry("shop/2", ""), entry("shop/3", "")}, "more than 3 files"},
		"bomb":            {[]tar.Header{ok, entry("shop/x", strings.Repeat("a", 5<<20))}, "more than 100 times as large"},
		"escape sequence": {[]tar.Header{ok, entry("shop/../\x1b[2Jx", "")}, "leads out of the archive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{}
			if name == "too many" {
				o.Limits.Files = 3
			}
			if e := refused(t, writeArchive(t, tt.entries...), o); !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %v", e)
			}
		})
	}
}

// TestNestedArchivesShareOneBudget: each archive stays below the limit on its
// own, all of them together do not.
func TestNestedArchivesShareOneBudget(t *testing.T) {
	var noise strings.Builder // does not compress well
	for i := range 40_000 {
		fmt.Fprintf(&noise, "%x", i*7919)
	}
	entries := []tar.Header{entry("shop/Chart.yaml", chartYAML)}
	for i := range 10 {
		inner := pack(t, entry("s/Chart.yaml", fmt.Sprintf("apiVersion: v2\nname: s%d\nversion: 1.0.0\n", i)), entry("s/x", noise.String()))
		entries = append(entries, entry(fmt.Sprintf("shop/charts/s%d.tgz", i), string(inner)))
	}
	path := writeArchive(t, entries...)
	if _, err := renderPath(t, path, Options{}); err != nil {
		t.Errorf("under the default limits: %v", err)
	}
	o := Options{Limits: Limits{TotalBytes: 1 << 20}}
	if e := refused(t, path, o); !strings.Contains(e.Error(), "larger than 1 MiB in all") {
		t.Errorf("got %v", e)
	}
}

func TestRenderFollowsNoLinkOutOfAFolder(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.yaml"), []byte("password: hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ link, target, want string }{
		"file":     {"templates/x.yaml", filepath.Join(outside, "secret.yaml"), "templates/x.yaml is a symbolic link that leads out"},
		"relative": {"templates/x.yaml", "../../../../secret.yaml", "nowhere|leads out"},
		"folder":   {"templates/x", outside, "templates/x is a symbolic link that leads out"},
		"subchart": {"charts/x", outside, "leads out"},
		"device":   {"values.yaml", "/dev/zero", "leads out"},
		"ignore":   {".helmignore", "/dev/zero", "read .helmignore"},
		"dangling": {"templates/x.yaml", "missing.yaml", "leads nowhere"},
		"itself":   {"templates/x", "../templates", "a symbolic link to a folder that holds it"},
		"parent":   {"templates/x", "..", "a symbolic link to a folder that holds it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := files{"templates/ok.yaml": "a: 1\n"}.write(t)
			link := filepath.Join(path, filepath.FromSlash(tt.link))
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(tt.target, link); err != nil {
				t.Skip(err)
			}
			e := refused(t, path, Options{})
			if first, second, _ := strings.Cut(tt.want, "|"); !strings.Contains(e.Error(), first) && (second == "" || !strings.Contains(e.Error(), second)) {
				t.Errorf("got %v", e)
			}
			if strings.Contains(e.Error(), "hunter2") {
				t.Error("the message holds what the link led to")
			}
		})
	}
}

func TestRenderFollowsLinksInsideAFolder(t *testing.T) {
	path := files{"parts/real.yaml": "a: 1\n", "templates/ok.yaml": "b: 2\n"}.write(t)
	for link, target := range map[string]string{"templates/file.yaml": "../parts/real.yaml", "templates/dir": "../parts"} {
		if err := os.Symlink(target, filepath.Join(path, link)); err != nil {
			t.Skip(err)
		}
	}
	c, err := renderPath(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range []string{"templates/file.yaml", "templates/dir/real.yaml"} {
		if got := c.content(t, template); got != "a: 1\n" {
			t.Errorf("%s: %q", template, got)
		}
	}
}

func TestRenderRefusesAPipe(t *testing.T) {
	mkfifo, err := exec.LookPath("mkfifo")
	if err != nil {
		t.Skip("no mkfifo")
	}
	path := files{}.write(t)
	if err := exec.Command(mkfifo, filepath.Join(path, "values.yaml")).Run(); err != nil {
		t.Skip(err)
	}
	if e := refused(t, path, Options{}); !strings.Contains(e.Error(), "values.yaml is neither a file nor a folder") {
		t.Errorf("got %v", e)
	}
}

func TestRenderStopsWhatCostsTooMuch(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("RLIMIT_AS is relied on under Linux only")
	}
	for name, tt := range map[string]struct {
		template string
		limits   Limits
		want     error
	}{
		"endless range":   {`{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`, Limits{Timeout: time.Second}, child.ErrTimeout},
		"endless include": {doubling(60), Limits{Timeout: time.Second}, child.ErrTimeout},
		"grows":           {`{{ range until 100000000 }}{{ randAlphaNum 4096 }}{{ end }}`, Limits{MemoryBytes: 128 << 20}, child.ErrMemory},
		"leaps":           {`{{ repeat 100000000000 "a" }}`, Limits{MemoryBytes: 128 << 20}, child.ErrMemory},
		"range":           {`{{ range until 1000000000000 }}a{{ end }}`, Limits{MemoryBytes: 128 << 20}, child.ErrMemory},
		"recurses":        {`{{ tpl .Values.self . }}`, Limits{MemoryBytes: 128 << 20}, child.ErrMemory},
		"thousandfold":    {`{{ range until 3000 }}{{ repeat 1000 "a" }}{{ end }}`, Limits{OutputBytes: 1 << 20}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := files{"templates/x.yaml": tt.template, "values.yaml": `self: '{{ tpl .Values.self . }}'`}.write(t)
			start := time.Now()
			e := refused(t, path, Options{Limits: tt.limits})
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
			if tt.want != nil && !errors.Is(e, tt.want) {
				t.Errorf("got %v, want %v", e, tt.want)
			}
			if !strings.Contains(e.Message, "look for") {
				t.Errorf("no advice in %v", e)
			}
		})
	}
}

func TestRenderEndsWithItsContext(t *testing.T) {
	path := files{"templates/x.yaml": `{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}`}.write(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := Render(ctx, self, path, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// doubling is a template whose named templates each include the next one twice.
func doubling(levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, `{{ define "x%d" }}{{ include "x%d" . }}{{ include "x%d" . }}{{ end }}`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `{{ define "x%d" }}{{ end }}{{ include "x0" . }}`, levels)
	return b.String()
}
