package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"bulkhead.dev/bulkhead/internal/testbrowser"
)

// The library is the file that its release has, and nothing in the scripts ends them.
func TestLibrary(t *testing.T) {
	const version, sum = "3.34.4", "081591ab735b2b6a3b31a3c60f8f3a3e2fee8c92939e0c7820ad1208571b6cd8"
	if got := sha256.Sum256([]byte(htmlLibrary)); hex.EncodeToString(got[:]) != sum {
		t.Errorf("cytoscape.min.js has the sum %x and not that of release %s", got, version)
	}
	for name, script := range map[string]string{"library": htmlLibrary, "scripts": htmlScript} {
		if strings.Contains(strings.ToLower(script), "</script") || strings.Contains(script, "<!--") {
			t.Errorf("the %s would end their element", name)
		}
	}
}

func TestPageHostile(t *testing.T) {
	text := render(t, WriteHTML, hostile())
	if n := strings.Count(text, "<script"); n != 3 {
		t.Errorf("%d scripts", n)
	}
	_, rest, _ := strings.Cut(text, `id="data">`)
	text, _, _ = strings.Cut(rest, "</script>")
	var read htmlData
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatal(err)
	}
	plain(t, text)
	if len(read.Nodes) != 2*len(hostileTexts) || len(read.Edges) != 2*len(hostileTexts) {
		t.Errorf("%d nodes, %d edges", len(read.Nodes), len(read.Edges))
	}
	for _, n := range read.Nodes {
		if n.Link != "" && !strings.HasPrefix(n.Link, "http") {
			t.Errorf("a link %q", n.Link)
		}
	}
}

// TestPageInBrowser is the page as its readers have it: each test is a tab of one
// Chromium.
func TestPageInBrowser(t *testing.T) {
	browser := testbrowser.Start(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *testbrowser.Browser)
	}{
		{"loads without complaint", testLoads},
		{"draws where the picture has it", testDraws},
		{"opens and closes", testOpens},
		{"details", testDetails},
		{"shortest path", testPath},
		{"search and filters", testSearch},
		{"keyboard", testKeyboard},
		{"changes", testChanges},
		{"hostile names", testHostile},
		{"large", testLarge},
		{"paper", testPaper},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, browser) })
	}
}

// quiet fails where the browser complained, or asked for anything but the page.
func (p *tab) quiet() {
	p.T.Helper()
	if said := p.Said(); len(said) > 0 {
		p.T.Errorf("the browser says %q", said)
	}
	for i, request := range p.Requests() {
		if i > 0 && !strings.HasPrefix(request, "data:") {
			p.T.Errorf("the page asks for %.80s", request)
		}
	}
}

const ready = `window.bulkheadGraph`

func testLoads(t *testing.T, browser *testbrowser.Browser) {
	for _, s := range []screen{{}, {Dark: true}, {Width: 420, Height: 900}} {
		p := openTab(t, browser, shop(), s)
		p.WaitFor(ready)
		p.WaitFor(`bulkheadGraph.canvas.cy.nodes().length === 12`)
		// Something is painted: not all of the canvas has one colour.
		p.WaitFor(`[...document.querySelectorAll('#canvas canvas')].some((c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 8)`)
		p.quiet()
	}
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	for _, attempt := range []string{
		`document.body.innerHTML = '<b>x</b>'`,
		`document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned = 1'}))`,
	} {
		if !eval[bool](p, `(() => { try { `+attempt+`; return false } catch { return true } })()`) {
			t.Errorf("the policy allows %s", attempt)
		}
	}
	p = openTab(t, browser, shop(), screen{NoScript: true})
	if text := eval[string](p, `document.querySelector('noscript').textContent`); !strings.Contains(text, "-o svg") {
		t.Errorf("without scripts it says %q", text)
	}
}

// Boxes do not overlap, lines end at their boxes, frames hold what is in them.
func testDraws(t *testing.T, browser *testbrowser.Browser) {
	for _, d := range []*Drawing{shop(), random(rand.New(rand.NewPCG(1, 5)), 6, 100)} {
		p := openTab(t, browser, d, screen{})
		p.WaitFor(ready)
		wrong := eval[[]string](p, `(() => {
			const wrong = [];
			const boxes = bulkheadGraph.canvas.cy.nodes('.box').map((n) => ({ id: n.id(), ...n.boundingBox({ includeLabels: false, includeOverlays: false }) }));
			for (const a of boxes) for (const b of boxes) if (a.id < b.id && a.x1 < b.x2 - 1 && b.x1 < a.x2 - 1 && a.y1 < b.y2 - 1 && b.y1 < a.y2 - 1) wrong.push(a.id + ' overlaps ' + b.id);
			bulkheadGraph.canvas.cy.edges().forEach((e) => {
				for (const [end, box] of [[e.sourceEndpoint(), e.source()], [e.targetEndpoint(), e.target()]]) {
					const b = box.boundingBox({ includeLabels: false, includeOverlays: false });
					if (!(Math.min(Math.abs(end.x - b.x1), Math.abs(end.x - b.x2)) < 4 && end.y > b.y1 - 1 && end.y < b.y2 + 1)) wrong.push(e.id() + ' ends beside ' + box.id());
				}
			});
			bulkheadGraph.canvas.cy.nodes('.frame').forEach((f) => {
				const b = f.boundingBox({ includeLabels: false, includeOverlays: false });
				if (!(b.w > 100 && b.h > 60)) wrong.push(f.id() + ' is small');
			});
			return wrong;
		})()`)
		if len(wrong) > 0 {
			t.Errorf("%q", wrong[:min(len(wrong), 9)])
		}
		p.quiet()
	}
}

// tap clicks on what stands in the picture.
func (p *tab) tap(id string) {
	p.T.Helper()
	at := eval[[]float64](p, fmt.Sprintf(`(() => {
		const { cy } = bulkheadGraph.canvas;
		const element = cy.getElementById(%q);
		const canvas = cy.container().getBoundingClientRect();
		const at = element.isEdge() ? (() => { const m = element.midpoint(); const z = cy.zoom(); const pan = cy.pan(); return { x: m.x * z + pan.x, y: m.y * z + pan.y }; })() : element.renderedPosition();
		return [canvas.x + at.x, canvas.y + at.y];
	})()`, id))
	p.Do(chromedp.MouseClickXY(at[0], at[1]))
}

func testOpens(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	p.Click("#close-all")
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes().length === 4`)
	lines := eval[string](p, `bulkheadGraph.canvas.cy.edges().map((e) => e.source().data('label').split('\n')[0] + ' ' + e.data('label') + ' ' + e.target().data('label').split('\n')[0]).sort().join(', ')`)
	if want := "jane  shop, ops  Whole cluster, shop  ops, shop mint-token ops"; lines != want {
		t.Errorf("lines %s, want %s", lines, want)
	}
	p.tap(compartmentNamed(p, "shop"))
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 8`)
	p.WaitFor(`document.getElementById('toggle').textContent === 'Close'`)
	p.Click("#toggle")
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 4`)
	p.Click("#open-all")
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 9`)
	p.quiet()
}

func testDetails(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	p.tap(nodeNamed(p, "web"))
	p.WaitFor(`document.querySelector('#detail h2').textContent === 'web'`)
	text := eval[string](p, `document.getElementById('detail').innerText`)
	for _, want := range []string{"Service account in shop", "From here: 2", "reader", "RoleBinding", "web.yaml:12", "No path leads from here to Cluster admin."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if dim := eval[int](p, `bulkheadGraph.canvas.cy.nodes('.box.dim').length`); dim != 6 {
		t.Errorf("%d nodes are dimmed", dim)
	}
	p.tap(eval[string](p, `bulkheadGraph.canvas.cy.edges('[label="mint-token"]').id()`))
	p.WaitFor(`document.querySelector('#detail h2').textContent === 'can become'`)
	if text := eval[string](p, `document.getElementById('detail').innerText`); !strings.Contains(text, "Step") || !strings.Contains(text, "deployer") {
		t.Errorf("%s", text)
	}
	p.Click(`#detail .pick`)
	p.WaitFor(`document.querySelector('#detail h2').textContent === 'ci'`)
	p.tap(nodeNamed(p, "jane"))
	p.WaitFor(`document.querySelector('#detail a').href === 'https://example.com/jane'`)
	p.Press(kb.Escape)
	p.WaitFor(`document.querySelector('#detail h2').textContent === 'Nothing chosen' && bulkheadGraph.canvas.cy.elements('.dim').length === 0`)
	p.quiet()
}

func compartmentNamed(p *tab, label string) string {
	p.T.Helper()
	return eval[string](p, fmt.Sprintf(`'c' + JSON.parse(document.getElementById('data').textContent).compartments.findIndex((c) => c.label === %q)`, label))
}

func nodeNamed(p *tab, label string) string {
	p.T.Helper()
	return eval[string](p, fmt.Sprintf(`'n' + JSON.parse(document.getElementById('data').textContent).nodes.findIndex((n) => n.label === %q)`, label))
}

func testPath(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	p.Click("#close-all")
	if text := eval[string](p, `document.getElementById('detail').innerText`); !strings.Contains(text, "Paths lead to Cluster admin: 2") {
		t.Errorf("%s", text)
	}
	p.Click(fmt.Sprintf(`[data-node="%s"]`, nodeNamed(p, "ci")[1:]))
	p.WaitFor(`document.getElementById('reaches').textContent === 'Reaches Cluster admin in 3 arrows.'`)
	p.Click("#show-path")
	p.WaitFor(`bulkheadGraph.canvas.cy.edges('.path').length === 3`)
	if steps := eval[string](p, `[...document.querySelectorAll('.path li .pick span')].map((s) => s.textContent).join(' ')`); steps != "deployer cluster-admin Cluster admin" {
		t.Errorf("the path is %s", steps)
	}
	p.quiet()
}

func testSearch(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	p.Click("#close-all")
	p.Press("/")
	p.WaitFor(`document.activeElement.id === 'search'`)
	empty := `(document.getElementById('search').value = '', document.getElementById('search').focus(), true)`
	eval[bool](p, empty) // the protocol types the slash even where the page has taken it
	p.Press("d", "e", "p", "l")
	p.WaitFor(`document.querySelectorAll('#results li').length === 1`)
	p.Press(kb.Enter)
	p.WaitFor(`document.querySelector('#detail h2').textContent === 'deployer' && bulkheadGraph.canvas.cy.nodes('.frame').length === 1`)
	// What is written about the edges of a node is found, too.
	eval[bool](p, empty)
	p.Press(strings.Split("web.yaml", "")...)
	p.WaitFor(`document.querySelectorAll('#results li').length === 1 && document.querySelector('#results span').textContent === 'web'`)
	p.Click("#open-all")
	p.Click(`[data-kind="role"]`)
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 7`)
	p.Click(`[data-kind="role"]`)
	p.Click(`[data-kind="binding"]`)
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 9 && bulkheadGraph.canvas.cy.edges('.violet').length === 0`)
	p.quiet()
}

func testKeyboard(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	eval[bool](p, `(document.getElementById('canvas').focus(), true)`)
	p.Press(kb.ArrowRight)
	p.WaitFor(`document.querySelector('#detail h2').textContent !== 'Nothing chosen'`)
	first := eval[string](p, `document.querySelector('#detail h2').textContent`)
	p.Press(kb.ArrowRight, kb.ArrowRight)
	p.WaitFor(fmt.Sprintf(`document.querySelector('#detail h2').textContent !== %q && document.getElementById('status').textContent.includes(document.querySelector('#detail h2').textContent)`, first))
	frames := eval[int](p, `bulkheadGraph.canvas.cy.nodes('.frame').length`)
	p.Press(kb.Enter)
	p.WaitFor(fmt.Sprintf(`bulkheadGraph.canvas.cy.nodes('.frame').length === %d`, frames-1))
	p.Press(kb.Enter)
	p.WaitFor(fmt.Sprintf(`bulkheadGraph.canvas.cy.nodes('.frame').length === %d`, frames))
	zoom := eval[float64](p, `bulkheadGraph.canvas.cy.zoom()`)
	p.Press("+")
	p.WaitFor(fmt.Sprintf(`bulkheadGraph.canvas.cy.zoom() > %g`, zoom))
	// Everything that is not the picture can be reached by Tab.
	if n := eval[int](p, `[...document.querySelectorAll('button, input, summary, #canvas')].filter((e) => e.tabIndex < 0).length`); n > 0 {
		t.Errorf("%d controls cannot be reached", n)
	}
	p.quiet()
}

func testChanges(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	p.Click("#changes")
	p.WaitFor(`bulkheadGraph.canvas.cy.nodes('.box').length === 2 && bulkheadGraph.canvas.cy.edges().length === 2`)
	if tones := eval[string](p, `bulkheadGraph.canvas.cy.edges().map((e) => e.classes()[0]).sort().join(' ')`); tones != "red teal" {
		t.Errorf("the lines are %s", tones)
	}
	if labels := eval[string](p, `bulkheadGraph.canvas.cy.nodes('.added').map((n) => n.data('label')).join('|')`); labels != "pods\nResources, added" {
		t.Errorf("added is %q", labels)
	}
	p.quiet()
}

func testHostile(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, hostile(), screen{})
	p.WaitFor(ready)
	p.Click("#open-all")
	// All that can be chosen is.
	n := eval[int](p, `(() => { let n = 0; for (const box of bulkheadGraph.canvas.cy.elements().map((e) => e.id())) { if (box[0] !== 'c') { bulkheadGraph.chooseName(box); n++; } } return n; })()`)
	if n != 4*len(hostileTexts) {
		t.Errorf("%d nodes and lines", n)
	}
	for _, query := range []string{"<script>", "__proto__", "аdmin", "constructor"} {
		if found := eval[int](p, fmt.Sprintf(`(bulkheadGraph.search(%q), document.querySelectorAll('#results li').length)`, query)); found == 0 {
			t.Errorf("%q is not found", query)
		}
	}
	if eval[bool](p, `'pwned' in window || document.querySelectorAll('img, iframe').length > 0 || document.querySelectorAll('script').length !== 3`) {
		t.Error("a name has become a part of the page")
	}
	p.quiet()
}

func testLarge(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, random(rand.New(rand.NewPCG(2, 6)), 100, 6000), screen{})
	p.WaitFor(ready)
	if n := eval[int](p, `bulkheadGraph.canvas.cy.nodes().length`); n > 800 {
		t.Errorf("%d nodes are drawn at first", n)
	}
	p.Click("#open-all")
	p.WaitFor(`document.getElementById('status').textContent.includes('more than 2,500 at once')`)
	took := eval[float64](p, `(() => { const start = performance.now(); bulkheadGraph.toggle(3); return performance.now() - start; })()`)
	if took > 5000 {
		t.Errorf("to open a compartment takes %.0f ms", took)
	}
	p.quiet()
}

func testPaper(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, shop(), screen{})
	p.WaitFor(ready)
	width := eval[float64](p, `(async () => {
		dispatchEvent(new Event('beforeprint'));
		const image = document.getElementById('paper');
		await image.decode();
		return image.naturalWidth;
	})()`)
	if width < 800 {
		t.Errorf("the picture is %.0f pixels wide", width)
	}
	if _, err := chromedp.Run(p.Context(), chromedp.PrintToPDF()); err != nil {
		t.Error(err)
	}
	p.quiet()
}
