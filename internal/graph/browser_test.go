package graph

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"bulkhead.dev/bulkhead/internal/testbrowser"
)

type screen = testbrowser.Screen

// tab is a page of this package in a browser.
type tab struct{ *testbrowser.Tab }

// openTab writes the page of d to a file and opens that.
func openTab(t *testing.T, browser *testbrowser.Browser, d *Drawing, s screen) *tab {
	t.Helper()
	return open(t, browser, writePage(t, d), s)
}

func open(t *testing.T, browser *testbrowser.Browser, file string, s screen) *tab {
	t.Helper()
	return &tab{browser.Open(t, file, s)}
}

func writePage(t *testing.T, d *Drawing) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	if err := WriteHTML(w, d); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// eval is the value of a JavaScript expression, which may be a promise.
func eval[T any](p *tab, expression string) T {
	p.T.Helper()
	return testbrowser.Eval[T](p.Tab, expression)
}
