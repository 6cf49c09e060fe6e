package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/finding"
)

var update = flag.Bool("update", false, "write the golden files in testdata")

func formatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

func render(t testing.TB, name string, r *finding.Result, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, name, r, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFormats(t *testing.T) {
	want := []string{"table", "wide", "json", "yaml", "sarif", "junit", "html", "github", "openreports", "policyreport", "csv", "md"}
	if got := formatNames(); !slices.Equal(got, want) {
		t.Errorf("formats are %v, want %v", got, want)
	}
	for _, f := range Formats() {
		if f.Description == "" || f.Write == nil {
			t.Errorf("%s has no description or no function", f.Name)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	for _, tc := range []struct{ name, nearest string }{
		{"sariff", "sarif"}, {"Table", "table"}, {"policy-report", "policyreport"}, {"yml", "yaml"},
		{"xml", ""}, {"", ""}, {strings.Repeat("json", 1e6), ""},
	} {
		var b bytes.Buffer
		err := Write(&b, tc.name, sampleResult(), Options{})
		if err == nil {
			t.Fatalf("%.20q: no error", tc.name)
		}
		if b.Len() > 0 {
			t.Errorf("%.20q: something was written", tc.name)
		}
		if !strings.Contains(err.Error(), strings.Join(formatNames(), ", ")) {
			t.Errorf("%.20q: the error does not list the formats: %v", tc.name, err)
		}
		_, hint, _ := strings.Cut(err.Error(), "did you mean ")
		hint, _, _ = strings.Cut(hint, "?")
		if hint != tc.nearest {
			t.Errorf("%.20q: nearest is %q, want %q", tc.name, hint, tc.nearest)
		}
	}
}

// The golden files are what a reader of a change looks at. HTML is looked at in
// a browser instead.
func TestGolden(t *testing.T) {
	type golden struct {
		file, format string
		result       *finding.Result
		options      Options
	}
	var all []golden
	for _, name := range formatNames() {
		if name != "html" {
			all = append(all, golden{"sample." + name, name, sampleResult(), Options{}})
		}
	}
	for _, width := range []int{60, 80, 120, 200} {
		all = append(all, golden{fmt.Sprintf("sample-%d.table", width), "table", sampleResult(), Options{Width: width}})
	}
	withPasses := sampleResult()
	withPasses.Passes = samplePasses()
	all = append(all,
		golden{"color.table", "table", sampleResult(), Options{Color: true}},
		golden{"waived.table", "table", sampleResult(), Options{ShowWaived: true}},
		golden{"passes.table", "table", withPasses, Options{}},
		golden{"passes.wide", "wide", withPasses, Options{}},
		golden{"passes.junit", "junit", withPasses, Options{}},
		golden{"passes.csv", "csv", withPasses, Options{}},
		golden{"clean.table", "table", cleanResult(), Options{}},
		golden{"clean.junit", "junit", cleanResult(), Options{}},
		golden{"clean.github", "github", cleanResult(), Options{}},
		golden{"clean.md", "md", cleanResult(), Options{}},
		golden{"clean.openreports", "openreports", cleanResult(), Options{}},
		golden{"empty.table", "table", &finding.Result{}, Options{}},
		golden{"empty.json", "json", &finding.Result{}, Options{}},
	)
	for _, g := range all {
		t.Run(g.file, func(t *testing.T) {
			got := render(t, g.format, g.result, g.options)
			file := filepath.Join("testdata", g.file)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v: run go test -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s; if it should, run go test -update (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A stored result gives the same report as the scan itself, from JSON and from
// YAML, in every format.
func TestReadBackWritesTheSame(t *testing.T) {
	hostile := hostileResult()
	for name, r := range map[string]*finding.Result{
		"sample": sampleResult(), "hostile": hostile, "clean": cleanResult(), "empty": {}, "big": manyFindings(300), "shop": shopResult(),
	} {
		for _, stored := range []string{"json", "yaml"} {
			t.Run(name+"/"+stored, func(t *testing.T) {
				back, err := Read(bytes.NewReader(render(t, stored, r, Options{})))
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range Formats() {
					for _, o := range []Options{{}, {Color: true, ShowWaived: true, Width: 70}} {
						direct, after := render(t, f.Name, r, o), render(t, f.Name, back, o)
						if !bytes.Equal(direct, after) {
							t.Errorf("%s differs: %s", f.Name, firstDifference(direct, after))
						}
					}
				}
			})
		}
	}
}

func TestWriteLeavesTheResultAlone(t *testing.T) {
	for _, f := range Formats() {
		r := sampleResult()
		slices.Reverse(r.Findings) // sorting in place would show
		before := render(t, "json", r, Options{})
		render(t, f.Name, r, Options{Color: true, ShowWaived: true})
		if !bytes.Equal(before, render(t, "json", r, Options{})) {
			t.Errorf("%s changes the result", f.Name)
		}
	}
}

type fullDisk struct{ left int }

var errFull = errors.New("no space left on device")

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteError(t *testing.T) {
	for _, f := range Formats() {
		for _, room := range []int{0, 1 << 16} {
			if f.Name == "md" {
				room = min(room, MaxComment/2) // it never has more
			}
			if err := Write(&fullDisk{room}, f.Name, manyFindings(1000), Options{}); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: error is %v, want %v", f.Name, room, err, errFull)
			}
		}
	}
}

func firstDifference(a, b []byte) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	around := func(s []byte) []byte { return s[max(0, min(i, len(s))-60):min(len(s), i+60)] }
	return fmt.Sprintf("at byte %d: %q is not %q", i, around(a), around(b))
}
