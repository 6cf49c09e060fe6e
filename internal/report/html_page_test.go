package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/testbrowser"
)

// TestHTMLInBrowser is the page as its readers have it: each test is a tab of
// one Chromium.
func TestHTMLInBrowser(t *testing.T) {
	browser := testbrowser.Start(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *testbrowser.Browser)
	}{
		{"loads without complaint", testPageLoads},
		{"counts", testPageCounts},
		{"filters", testPageFilters},
		{"filters at random", testPageFiltersAtRandom},
		{"heat map", testPageHeatMap},
		{"hash", testPageHash},
		{"details", testPageDetails},
		{"groups and sorts", testPageGroups},
		{"passes", testPagePasses},
		{"hostile strings", testPageHostile},
		{"20,000 findings", testPageBig},
		{"keyboard", testPageKeyboard},
		{"without script", testPageWithoutScript},
		{"contrast", testPageContrast},
		{"narrow", testPageNarrow},
		{"paper", testPagePrint},
		{"nothing found", testPageNothing},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, browser) })
	}
}

func testPageLoads(t *testing.T, browser *testbrowser.Browser) {
	for _, s := range []screen{{}, {Dark: true}, {Width: 420, Height: 900}} {
		p := openTab(t, browser, shopResult(), s)
		p.WaitFor(`document.querySelectorAll('.row').length > 50`)
		if said := p.Said(); len(said) > 0 {
			t.Errorf("the browser says %q", said)
		}
		for i, request := range p.Requests() {
			if i > 0 && !strings.HasPrefix(request, "data:") {
				t.Errorf("the page asks for %.80s", request)
			}
		}
	}
	// The policy is in force: markup from text and scripts from text are refused.
	p := openTab(t, browser, shopResult(), screen{})
	for _, attempt := range []string{
		`document.body.innerHTML = '<b>x</b>'`,
		`document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned = 1'}))`,
		`document.body.setAttribute('onclick', 'window.pwned = 1')`,
	} {
		if !eval[bool](p, `(() => { try { `+attempt+`; return false } catch { return true } })()`) {
			t.Errorf("the policy allows %s", attempt)
		}
	}
}

func testPageCounts(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{})
	s := r.Summary
	text := eval[string](p, `document.querySelector('.summary').innerText.replace(/\s+/g, ' ')`)
	for _, want := range []string{
		fmt.Sprintf("%d failed", s.Fail), fmt.Sprintf("%d unknown", s.Unknown), fmt.Sprintf("%d problems", len(r.Problems)),
		fmt.Sprintf("%d waived", s.Waived), fmt.Sprintf("%d baseline", s.Baseline), fmt.Sprintf("%d passed", s.Pass),
		fmt.Sprintf("%d critical", s.BySeverity[finding.Critical]), fmt.Sprintf("%d high", s.BySeverity[finding.High]),
		fmt.Sprintf("%d medium", s.BySeverity[finding.Medium]), fmt.Sprintf("%d low", s.BySeverity[finding.Low]), fmt.Sprintf("%d info", s.BySeverity[finding.Info]),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q: %s", want, text)
		}
	}
	open := matching(r, question{})
	if status := p.status(); !strings.HasPrefix(status, fmt.Sprintf("%d of %d findings", len(open), len(r.Findings))) {
		t.Errorf("the status is %q", status)
	}
	p.shows("at first", open)
	if sum := eval[int](p, `[...document.querySelectorAll('.heat td')].reduce((n, td) => n + Number(td.textContent), 0)`); sum != len(open) {
		t.Errorf("the heat map's cells sum up to %d, want %d", sum, len(open))
	}
}

func testPageDetails(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	f := r.Findings[slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Control == "privileged" && f.Waived == nil })]
	p := openTab(t, browser, r, screen{})
	row := fmt.Sprintf(`.row[data-fingerprint="%s"]`, f.Fingerprint)
	p.Click(row + " summary")
	p.WaitFor(fmt.Sprintf(`document.querySelector(%q)`, row+" .detail"))
	text := eval[string](p, fmt.Sprintf(`document.querySelector(%q).innerText`, row))
	rule := ruleOf(f.Control, ruleIndex(r))
	want := []string{f.Message, rule.Why, rule.Remedy, f.Path, htmlPlace(*f.Location), f.Evidence[0].Detail, f.Container, f.Fingerprint, f.Fix.Note, "may break the workload",
		fmt.Sprintf(`waive.bulkhead.dev/privileged: "REASON; owner=TEAM; expires=YYYY-MM-DD; container=%s"`, f.Container), "privilege-escalation", "cis-1.12 5.2.2"}
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("the details lack %q", s)
		}
	}
	lines := eval[[][]string](p, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((s) => [s.className, s.textContent.replace(/\n$/, '')])`, row+" .diff span"))
	var diff []string
	for _, line := range lines {
		diff = append(diff, line[1])
		wantClass := map[byte]string{'+': "added", '-': "removed", '@': "hunk"}[line[1][0]]
		if strings.HasPrefix(line[1], "+++") || strings.HasPrefix(line[1], "---") {
			wantClass = "hunk"
		}
		if line[0] != wantClass {
			t.Errorf("the diff's line %q has the class %q, want %q", line[1], line[0], wantClass)
		}
	}
	if d := cmp.Diff(strings.TrimSuffix(f.Fix.Diff, "\n"), strings.Join(diff, "\n")); d != "" {
		t.Errorf("the diff is not that of the fix: %s", d)
	}
	if background := eval[string](p, fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).backgroundColor`, row+" .added")); background == "rgba(0, 0, 0, 0)" {
		t.Error("added lines have no colour")
	}
	eval[bool](p, `(() => { window.copied = []; navigator.clipboard.writeText = (text) => { copied.push(text); return Promise.resolve() }; return true })()`)
	p.Click(row + " .box:last-child button")
	p.Click(row + " .box button")
	if copied := eval[[]string](p, `copied`); len(copied) != 2 || !strings.HasPrefix(copied[0], "waive.bulkhead.dev/privileged: ") || copied[1] != f.Fix.Diff {
		t.Errorf("copied %q", copied)
	}

	waived := r.Findings[slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Waived != nil })]
	p = openTab(t, browser, r, screen{Hash: "#waived=all&finding=" + waived.Fingerprint})
	p.WaitFor(`document.querySelector('.row[open] .detail')`)
	text = eval[string](p, `document.querySelector('.row[open]').innerText`)
	for _, s := range []string{waived.Waived.Reason, waived.Waived.Owner, waived.Waived.Ticket, waived.Waived.Expires} {
		if !strings.Contains(text, s) {
			t.Errorf("the details of a waived finding lack %q", s)
		}
	}
	if strings.Contains(text, "waive.bulkhead.dev/") {
		t.Error("a waived finding still says how to waive it")
	}
}

func testPagePasses(t *testing.T, browser *testbrowser.Browser) {
	r := withPasses(shopResult())
	p := openTab(t, browser, r, screen{})
	p.shows("without asking for passes", matching(r, question{}))
	p.Click(`.chip[data-value="pass"]`)
	p.WaitFor(`document.querySelectorAll('.row').length > 0`)
	if got := eval[int](p, `document.querySelectorAll('.row .badge.pass').length`); got != len(r.Passes) {
		t.Errorf("%d passes are shown, want %d", got, len(r.Passes))
	}
	p.Click(`.row summary`)
	p.WaitFor(`document.querySelector('.row[open] .detail')`)
	if text := eval[string](p, `document.querySelector('.row[open]').innerText`); !strings.Contains(text, r.Passes[0].Evidence[0].Detail) || strings.Contains(text, "waive.") {
		t.Errorf("a pass says %q", text)
	}
}

func testPageHostile(t *testing.T, browser *testbrowser.Browser) {
	for _, noScript := range []bool{false, true} {
		p := openTab(t, browser, attackResult(), screen{NoScript: noScript, Hash: "#waived=all"})
		if !noScript {
			p.WaitFor(`document.querySelectorAll('.row').length === 2`)
			eval[int](p, `(() => { document.querySelectorAll('details').forEach((d) => { d.open = true }); return 1 })()`)
			p.WaitFor(`document.querySelectorAll('.row .detail').length === 2`)
			eval[int](p, `(() => { document.querySelectorAll('button, .heat td, .heat th').forEach((b) => b.click()); return 1 })()`)
			eval[string](p, `location.hash = '#waived=all'`)
			p.WaitFor(`document.querySelectorAll('.row').length === 2`)
			eval[int](p, `(() => { document.querySelectorAll('details').forEach((d) => { d.open = true }); return 1 })()`)
			p.WaitFor(`document.querySelectorAll('.row .detail').length === 2`)
		}
		time.Sleep(200 * time.Millisecond) // what an onerror would take
		if eval[bool](p, `'pwned' in window`) {
			t.Errorf("a string of the report ran (script off: %t)", noScript)
		}
		if strays := eval[[]string](p, `[...document.querySelectorAll('img, iframe, object, embed, textarea, form[action], [onload], [onerror], script[src], base')].map((n) => n.outerHTML.slice(0, 99))`); len(strays) > 0 {
			t.Errorf("strings of the report became elements: %q", strays)
		}
		if links := eval[[]string](p, `[...document.querySelectorAll('a')].map((a) => a.getAttribute('href')).filter((h) => !/^(#|https:\/\/example\.com\/)/.test(h))`); len(links) > 0 {
			t.Errorf("links lead to %q", links)
		}
		text := eval[string](p, `document.body.textContent`)
		for _, want := range []string{`<img src=x onerror="window.pwned=1">`, `</script></style></textarea><!--<script>window.pwned=1</script>`, `\x1b[31m`, `\u202egnp.exe`, `\u2028`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q cannot be read in the page (script off: %t)", want, noScript)
			}
		}
		shown := eval[string](p, `(() => { const out = []; const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); while (walk.nextNode()) if (!walk.currentNode.parentElement.closest('script')) out.push(walk.currentNode.data); return out.join('') })()`)
		if i := strings.IndexAny(shown, "\x1b\u202e\u2028"); i >= 0 {
			t.Errorf("%q is shown raw", shown[i:min(len(shown), i+20)])
		}
		for _, complaint := range p.Said() {
			t.Errorf("the browser says %s (script off: %t)", complaint, noScript)
		}
	}
	p := openTab(t, browser, hostileResult(), screen{Hash: "#waived=all&group=object"})
	p.drawAll()
	if got, want := eval[int](p, `document.querySelectorAll('.row').length`), len(hostileResult().Findings); got != want {
		t.Errorf("%d hostile findings are shown, want %d", got, want)
	}
}

// The bounds are generous: what was measured is logged.
func testPageBig(t *testing.T, browser *testbrowser.Browser) {
	r := bigResult(20_000)
	file := writeReport(t, r)
	start := time.Now()
	p := open(t, browser, file, screen{})
	p.WaitFor(`document.querySelectorAll('.row').length > 20`)
	firstScreen := time.Since(start)
	timed := func(action string) time.Duration {
		return time.Duration(eval[float64](p, fmt.Sprintf(`new Promise((done) => { const start = performance.now(); %s; requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))) })`, action)) * float64(time.Millisecond))
	}
	cell := timed(`document.querySelector('.heat td[class]').click()`)
	clearing := timed(`document.querySelector('.status .link').click()`)
	grouping := timed(`{ const box = document.querySelector('.search select'); box.value = 'object'; box.dispatchEvent(new Event('change')) }`)
	p.Click(`input[type=search]`)
	searching := timed(`location.hash = 'q=team-17'`)
	p.WaitFor(`document.querySelector('.status b').textContent !== '20,000'`)
	t.Logf("first screen of 20,000 findings %v, click in the heat map %v, clear %v, group %v, first search %v", firstScreen, cell, clearing, grouping, searching)
	if firstScreen > 5*time.Second {
		t.Errorf("the first screen took %v, want less than 5 s", firstScreen)
	}
	for name, took := range map[string]time.Duration{"a click in the heat map": cell, "clearing filters": clearing, "grouping": grouping, "searching": searching} {
		if took > 2*time.Second {
			t.Errorf("%s took %v, want less than 2 s", name, took)
		}
	}
	if status, want := p.status(), len(matching(r, question{"q": {"team-17"}})); !strings.HasPrefix(strings.ReplaceAll(status, ",", ""), fmt.Sprintf("%d of 20000", want)) {
		t.Errorf("the search shows %q, want %d", status, want)
	}
	if rows := eval[int](p, `document.querySelectorAll('.row').length`); rows > 1000 {
		t.Errorf("%d rows are drawn at once", rows)
	}
	size := eval[[]int](p, `(() => { const box = document.querySelector('#heatmap .scroll'); return [document.querySelectorAll('.heat tbody tr').length, document.querySelectorAll('.heat thead th').length - 1, box.clientHeight, document.documentElement.scrollWidth] })()`)
	if size[0] != 80 || size[1] != 200 || size[2] > 900 || size[3] > 1280 {
		t.Errorf("the heat map has %d rows, %d columns, is %d px high, and the page %d px wide", size[0], size[1], size[2], size[3])
	}
	// The heads stay where they are while the cells scroll.
	stays := eval[bool](p, `(() => { const box = document.querySelector('#heatmap .scroll'); box.scrollTo(2000, 900); const edge = box.getBoundingClientRect();
		const head = document.querySelector('.heat thead th:last-child').getBoundingClientRect(), side = document.querySelector('.heat tbody tr:last-child th').getBoundingClientRect();
		return box.scrollLeft > 500 && Math.abs(head.top - edge.top) < 4 && Math.abs(side.left - edge.left) < 4 })()`)
	if !stays {
		t.Error("the heads of the heat map scroll away")
	}
}

func testPageKeyboard(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{})
	p.WaitFor(`document.querySelector('.row')`)
	focus := func() string {
		return eval[string](p, `(() => { const e = document.activeElement; return [e.localName, e.className, e.dataset?.value ?? '', e.getAttribute('title') ?? ''].join(' ').trim() })()`)
	}
	p.Press(kb.Tab)
	if got := focus(); got != "a skip" {
		t.Errorf("the first stop is %q, want the skip link", got)
	}
	visible := eval[[]string](p, `(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth] })()`)
	if visible[0] == "none" || visible[1] == "0px" {
		t.Errorf("the focus is not visible: %v", visible)
	}
	// Every stop on the way to the search is a real one, and the heat map is one.
	seen := map[string]int{}
	for range 80 {
		p.Press(kb.Tab)
		stop := focus()
		seen[strings.Fields(stop)[0]]++
		if strings.HasPrefix(stop, "input") {
			break
		}
		if strings.HasPrefix(stop, "body") {
			t.Fatal("Tab leaves the page before it reaches the search")
		}
	}
	if seen["th"]+seen["td"] != 1 || seen["input"] != 1 || seen["select"] < 5 || seen["button"] < 7 {
		t.Errorf("Tab stops at %v", seen)
	}
	eval[bool](p, `(() => { document.activeElement.blur(); return true })()`)
	p.Press("/")
	if got := focus(); !strings.HasPrefix(got, "input") {
		t.Errorf("/ leads to %q, want the search", got)
	}
	// In the heat map: from the head of the first row, right to a cell, Enter.
	eval[bool](p, `(() => { document.querySelector('.heat [tabindex="0"]').focus(); return true })()`)
	p.Press(kb.ArrowDown, kb.ArrowUp, kb.ArrowRight, kb.Enter)
	p.shows("Enter on a cell", matching(r, question{"control": {"privileged"}, "namespace": {"checkout"}}))
	p.Press(kb.End, kb.Home, kb.Enter)
	p.shows("Enter on a row", matching(r, question{"control": {"privileged"}}))
	if n := eval[int](p, `document.querySelectorAll('.heat [tabindex="0"]').length`); n != 1 {
		t.Errorf("the heat map has %d tab stops", n)
	}
	// A chip keeps the focus when it is pressed, a row opens by Enter.
	eval[bool](p, `(() => { document.querySelector('.chip[data-value=critical]').focus(); return true })()`)
	p.Press(" ")
	if got := focus(); got != "button chip critical" {
		t.Errorf("after a chip the focus is on %q", got)
	}
	eval[bool](p, `(() => { document.querySelector('.row summary').focus(); return true })()`)
	p.Press(kb.Enter)
	p.WaitFor(`document.querySelector('.row[open] .detail')`)
	if unnamed := eval[[]string](p, `[...document.querySelectorAll('button, select, input, a, summary')].filter((n) => !(n.textContent.trim() || n.getAttribute('aria-label') || n.labels?.length)).map((n) => n.outerHTML)`); len(unnamed) > 0 {
		t.Errorf("controls without a name: %q", unnamed)
	}
}

func testPageWithoutScript(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{NoScript: true})
	if rows := eval[int](p, `document.querySelectorAll('#browser .row').length`); rows != htmlPlain {
		t.Errorf("%d findings are listed, want %d", rows, htmlPlain)
	}
	// A row far from the window is laid out when it comes near, and innerText has
	// it only then.
	text := eval[string](p, `document.body.innerText + [...document.querySelectorAll('#browser .row')].filter((n) => n.checkVisibility()).map((n) => n.textContent).join(' ')`)
	for _, want := range []string{"JavaScript is off", "107 failed", "This assessment is incomplete", "12 passed, 3 failed, 16 of 35 assessed", "Binds ServiceAccount shop/deployer to cluster-admin", "64 more findings"} {
		if !strings.Contains(text, want) {
			t.Errorf("without script the page does not say %q", want)
		}
	}
	if eval[bool](p, `document.querySelector('.filters, .heat') !== null`) || eval[bool](p, `document.getElementById('heatmap').offsetHeight > 0`) {
		t.Error("without script there are controls that do nothing")
	}
}

// testPageContrast measures all text against WCAG 2.2, 1.4.3: 4.5 to 1.
func testPageContrast(t *testing.T, browser *testbrowser.Browser) {
	const measure = `(() => {
		const channel = (c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
		const parse = (s) => { const [r, g, b, a = 1] = s.match(/[\d.]+/g).map(Number); return { light: .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b), a } };
		const behind = (n) => { for (; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c.a === 1) return c.light; } return 1 };
		const bad = new Set();
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		let texts = 0;
		while (walk.nextNode()) {
			const node = walk.currentNode.parentElement;
			if (!walk.currentNode.data.trim() || !node.checkVisibility() || node.closest('script, style, option')) continue;
			texts++;
			const [a, b] = [parse(getComputedStyle(node).color).light, behind(node)].sort((x, y) => y - x);
			const ratio = (a + .05) / (b + .05);
			if (ratio < 4.5) bad.add(node.localName + '.' + node.className + ' ' + ratio.toFixed(2) + ' ' + walk.currentNode.data.trim().slice(0, 30));
		}
		return texts < 300 ? ['only ' + texts + ' texts'] : [...bad];
	})()`
	r := withPasses(shopResult())
	for _, dark := range []bool{false, true} {
		p := openTab(t, browser, r, screen{Dark: dark, Hash: "#waived=all&verdict=fail&verdict=unknown&verdict=pass"})
		p.drawAll()
		eval[int](p, `(() => { document.querySelectorAll('details').forEach((d) => { d.open = true }); return 1 })()`)
		p.WaitFor(`document.querySelectorAll('.row[open] .detail').length > 100`)
		if bad := eval[[]string](p, measure); len(bad) > 0 {
			t.Errorf("dark %t: too little contrast: %s", dark, strings.Join(bad, "\n"))
		}
	}
}

func testPageNarrow(t *testing.T, browser *testbrowser.Browser) {
	for name, r := range map[string]*finding.Result{"shop": shopResult(), "hostile": attackResult()} {
		for _, width := range []int64{320, 420, 768} {
			p := openTab(t, browser, r, screen{Width: width, Height: 800})
			p.WaitFor(`document.querySelector('.row')`)
			eval[int](p, `(() => { document.querySelectorAll('details').forEach((d) => { d.open = true }); return 1 })()`)
			p.WaitFor(`document.querySelector('.row .detail')`)
			if got := eval[int64](p, `document.documentElement.scrollWidth`); got > width {
				t.Errorf("%s: at %d px the page is %d px wide", name, width, got)
			}
		}
	}
}

func testPagePrint(t *testing.T, browser *testbrowser.Browser) {
	r := bigResult(3_000)
	p := openTab(t, browser, r, screen{})
	p.WaitFor(`document.querySelector('.row')`)
	if _, err := chromedp.Run(p.Context(), chromedp.PrintToPDF()); err != nil {
		t.Fatal(err)
	}
	rows := eval[int](p, `document.querySelectorAll('.row').length`)
	note := eval[string](p, `document.querySelector('.groups + .end + .legend')?.textContent ?? ''`)
	if rows < 1900 || rows > 2400 || !strings.Contains(strings.ReplaceAll(note, ",", ""), fmt.Sprintf("%d more findings not printed", 3000-rows)) {
		t.Errorf("%d of 3000 rows are printed, and the page says %q of the others", rows, note)
	}
}

func testPageNothing(t *testing.T, browser *testbrowser.Browser) {
	p := openTab(t, browser, cleanResult(), screen{})
	if text := eval[string](p, `document.querySelector('main').innerText`); !strings.HasPrefix(text, "Nothing found\n\n12 controls judged 48 objects") {
		t.Errorf("the page begins with %.200q", text)
	}
	if eval[bool](p, `document.getElementById('heatmap').offsetHeight > 0 || document.querySelector('.filters') !== null`) {
		t.Error("without findings there are filters or a heat map")
	}
	p = openTab(t, browser, waivedResult(), screen{})
	p.shows("only waived findings", nil)
	p.Click(".status .link")
	p.shows("all findings", matching(waivedResult(), question{"waived": {"all"}}))
	for _, p := range []*tab{p, openTab(t, browser, &finding.Result{}, screen{})} {
		if said := p.Said(); len(said) > 0 {
			t.Errorf("the browser says %q", said)
		}
	}
}
