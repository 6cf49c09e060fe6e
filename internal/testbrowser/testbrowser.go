// Package testbrowser lets tests use a page in a real browser: it starts Chromium, opens a
// file, clicks and presses keys as people do, and keeps what the browser complains of.
package testbrowser

import (
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

// Browser is a Chromium that runs.
type Browser struct{ ctx context.Context }

// Start starts a Chromium for the test, with a profile of its own.
// Without one the test is skipped, but not where the browser is a must.
func Start(t *testing.T) *Browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const hint = "no Chromium in PATH, so pages are not tested in a browser: apt-get install chromium"
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
	return &Browser{browser}
}

// Screen is how a tab is set up before it loads the page.
type Screen struct {
	// Width and Height are in pixels; 1280 and 900 unless told.
	Width, Height int64
	Dark          bool
	NoScript      bool
	// Hash is the fragment of the address: #finding=1.
	Hash string
}

// Tab is a page in a browser, and what the browser had to say about it.
type Tab struct {
	T   *testing.T
	ctx context.Context

	mu sync.Mutex
	// messages are console messages, exceptions and violations of the policy.
	messages []string
	requests []string
}

// Requests are the addresses that the page has asked for.
func (p *Tab) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Context is for commands of chromedp that are not here.
func (p *Tab) Context() context.Context { return p.ctx }

// Open opens a file in a tab.
func (b *Browser) Open(t *testing.T, file string, s Screen) *Tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	t.Cleanup(closeTab)
	p := &Tab{T: t, ctx: ctx}
	p.must(chromedp.Listen(ctx, p.hear))
	if s.Width == 0 {
		s.Width, s.Height = 1280, 900
	}
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.Width, Height: s.Height, DeviceScaleFactor: 1})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: s.NoScript})
	address := url.URL{Scheme: "file", Path: file}
	p.Do(chromedp.Navigate(address.String() + s.Hash))
	return p
}

// hear keeps what the browser says.
func (p *Tab) hear(event any) {
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

// Said is what the browser complained of so far.
func (p *Tab) Said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.messages...)
}

func (p *Tab) must(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

// Do takes steps, each within a minute.
func (p *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	p.must(chromedp.Do(ctx, steps...))
}

// WaitFor waits until a JavaScript expression is true.
func (p *Tab) WaitFor(expression string) {
	p.T.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !Eval[bool](p, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			p.T.Fatalf("never true: %s\nthe browser says %q", expression, p.Said())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Press sends keys to what has the focus.
func (p *Tab) Press(keys ...string) {
	p.T.Helper()
	for _, key := range keys {
		p.Do(chromedp.KeyEvent(key))
	}
}

// Click clicks, as a mouse does, on the middle of what a selector finds first.
func (p *Tab) Click(selector string) {
	p.T.Helper()
	at := Eval[[]float64](p, fmt.Sprintf(`(() => {
		const node = document.querySelector(%q);
		node.scrollIntoView({block: 'center', inline: 'center'});
		const box = node.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, selector))
	p.Do(chromedp.MouseClickXY(at[0], at[1]))
}

// Eval is the value of a JavaScript expression, which may be a promise.
func Eval[T any](p *Tab, expression string) T {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.T.Fatalf("%s: %v", expression, err)
	}
	return value
}

// call runs a command of the protocol that returns nothing.
func call[P any](p *Tab, command cdp.Command[P, cdp.Empty], params P) {
	p.T.Helper()
	_, err := chromedp.Call(p.ctx, command, params)
	p.must(err)
}
