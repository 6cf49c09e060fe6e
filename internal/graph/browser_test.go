package graph

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a Chromium for the test, with a profile of its own.
// Without one the test is skipped, but not where the browser is a must.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const hint = "no Chromium in PATH, so the page is not tested in a browser: apt-get install chromium"
		if os.Getenv("CI") == "true" || os.Getenv("BULKHEAD_REQUIRE_BROWSER") == "1" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	scratch := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(scratch, "profile")), chromedp.Env("TMPDIR="+scratch), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	browser, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		closeBrowser()
	})
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return browser
}

// screen is how a tab is set up before it loads the page.
type screen struct {
	width, height int64
	dark          bool
	noScript      bool
	hash          string
}

// tab is a page in a browser, and what the browser had to say about it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// messages are console messages, exceptions and violations of the policy.
	messages []string
	requests []string
}

// openTab writes the page of d to a file and opens that.
func openTab(t *testing.T, browser context.Context, d *Drawing, s screen) *tab {
	t.Helper()
	return openFile(t, browser, writePage(t, d), s)
}

func openFile(t *testing.T, browser context.Context, file string, s screen) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	p := &tab{t: t, ctx: ctx}
	p.must(chromedp.Listen(ctx, p.hear))
	if s.width == 0 {
		s.width, s.height = 1280, 900
	}
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: s.noScript})
	address := url.URL{Scheme: "file", Path: file}
	p.do(chromedp.Navigate(address.String() + s.hash))
	return p
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

func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			p.messages = append(p.messages, fmt.Sprintf("console.%s: %s %s", e.Type, arg.Value, arg.Description))
		}
	case *runtime.EventExceptionThrown:
		p.messages = append(p.messages, fmt.Sprintf("exception: %s at line %d: %+v", e.ExceptionDetails.Text, e.ExceptionDetails.LineNumber+1, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		p.messages = append(p.messages, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

// said is what the browser complained of so far.
func (p *tab) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.messages...)
}

func (p *tab) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	p.must(chromedp.Do(ctx, steps...))
}

// waitFor waits until a JavaScript expression is true.
func (p *tab) waitFor(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !eval[bool](p, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			p.t.Fatalf("never true: %s\nthe browser says %q", expression, p.said())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// press sends keys to what has the focus.
func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.do(chromedp.KeyEvent(key))
	}
}

// click clicks, as a mouse does, on the middle of what a selector finds first.
func (p *tab) click(selector string) {
	p.t.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(() => {
		const node = document.querySelector(%q);
		node.scrollIntoView({block: 'center', inline: 'center'});
		const box = node.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, selector))
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// eval is the value of a JavaScript expression, which may be a promise.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// call runs a command of the protocol that returns nothing.
func call[P any](p *tab, command cdp.Command[P, cdp.Empty], params P) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, command, params)
	p.must(err)
}
