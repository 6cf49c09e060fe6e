package report

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/testbrowser"
)

func testPageFilters(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{})
	chip := func(value string) { p.Click(fmt.Sprintf(`.chip[data-value=%q]`, value)) }
	choose := func(facet, value string) {
		eval[bool](p, fmt.Sprintf(`(() => { const box = document.querySelector('select[data-facet=%s]'); box.value = %q; box.dispatchEvent(new Event('change')); return box.value === %q })()`, facet, value, value))
	}
	clearAll := func() {
		eval[bool](p, `(() => { ([...document.querySelectorAll('.status .link')].find((b) => b.textContent === 'Clear all') ?? document.querySelector('.pill')).click(); return true })()`)
		p.shows("after clearing", matching(r, question{}))
	}
	chip("critical")
	p.shows("critical", matching(r, question{"severity": {"critical"}}))
	chip("high")
	p.shows("critical or high", matching(r, question{"severity": {"critical", "high"}}))
	chip("critical")
	p.shows("high", matching(r, question{"severity": {"high"}}))
	clearAll()
	chip("unknown")
	p.shows("unknown", matching(r, question{"verdict": {"unknown"}}))
	clearAll()
	for facet, value := range map[string]string{"namespace": "payments", "layer": "rbac", "kind": "StatefulSet", "control": "memory-limit", "waived": "waived"} {
		choose(facet, value)
		p.shows(facet+" "+value, matching(r, question{facet: {value}}))
		clearAll()
	}
	choose("namespace", "(cluster)")
	choose("layer", "rbac")
	p.shows("cluster-wide RBAC", matching(r, question{"namespace": {"(cluster)"}, "layer": {"rbac"}}))
	clearAll()
	for _, words := range []string{"redis", "REDIS exporter", "orders-postgres.yaml:37", "nothing has this", "5.2.6", "securitycontext, and the pod's"} {
		eval[bool](p, `(() => { document.querySelector('input[type=search]').select(); return true })()`)
		p.Do(chromedp.SendKeys(chromedp.CSS("input[type=search]"), words))
		p.WaitFor(fmt.Sprintf(`new URLSearchParams(location.hash.slice(1)).get('q') === %q`, words))
		p.shows("search "+words, matching(r, question{"q": {words}}))
	}
	if !eval[bool](p, `document.querySelector('.empty') === null`) {
		t.Error("there are findings, and the page says there are none")
	}
}

// testPageFiltersAtRandom compares the page with matching, which asks the same
// question in Go.
func testPageFiltersAtRandom(t *testing.T, browser *testbrowser.Browser) {
	r := withPasses(shopResult())
	p := openTab(t, browser, r, screen{})
	random := rand.New(rand.NewPCG(7, 11))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	for range 60 {
		f := r.Findings[random.IntN(len(r.Findings))]
		q := question{}
		for facet, value := range map[string]string{
			"severity": f.Severity.String(), "verdict": pick("fail", "unknown", "pass"), "layer": string(ruleOf(f.Control, ruleIndex(r)).Layer),
			"namespace": namespaceOf(f.Object), "kind": f.Object.Kind, "control": f.Control, "waived": pick("open", "waived", "all"),
			"q": pick("shop", "container", "yaml:2", f.Object.Name, f.Container), "group": pick("object", "control", "namespace", "file"), "sort": pick("count", "name", "place", "worst"),
		} {
			if random.IntN(4) == 0 {
				q[facet] = append(q[facet], value)
			}
		}
		if random.IntN(3) == 0 {
			q["severity"] = append(q["severity"], "low", "medium")
		}
		hash := "#" + url.Values(q).Encode()
		eval[string](p, fmt.Sprintf(`location.hash = %q`, hash))
		p.WaitFor(`document.querySelector('.status')`)
		p.shows(hash, matching(r, q))
	}
}

func testPageHeatMap(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{})
	cell := func(control, namespace string) string {
		return fmt.Sprintf(`td[aria-label^=%q]`, control+" in "+namespace+":")
	}
	p.Click(cell("seccomp-profile", "shop"))
	p.shows("a cell", matching(r, question{"control": {"seccomp-profile"}, "namespace": {"shop"}}))
	if label := eval[string](p, `document.querySelector('td[aria-selected=true]').getAttribute('aria-label')`); label != "seccomp-profile in shop: 5 findings, worst medium" {
		t.Errorf("the chosen cell is %q", label)
	}
	p.Click(cell("secrets-access", "payments"))
	p.shows("a cell of unknowns", matching(r, question{"control": {"secrets-access"}, "namespace": {"payments"}}))
	p.Click(cell("secrets-access", "payments"))
	p.shows("the same cell again", matching(r, question{}))
	p.Click(`.heat tbody tr:nth-child(1) th`)
	p.shows("a row", matching(r, question{"control": {"privileged"}}))
	p.Click(`.heat thead th[title="data"]`)
	p.shows("a column", matching(r, question{"namespace": {"data"}}))
	// Other filters change the cells' numbers; their own axes do not.
	p.Click(`.chip[data-value="high"]`)
	want := len(matching(r, question{"severity": {"high"}}))
	if sum := eval[int](p, `[...document.querySelectorAll('.heat td')].reduce((n, td) => n + Number(td.textContent), 0)`); sum != want {
		t.Errorf("with a filter on high the cells sum up to %d, want %d", sum, want)
	}
}

func testPageHash(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	q := question{"severity": {"medium"}, "namespace": {"shop"}, "q": {"redis"}, "group": {"object"}, "sort": {"name"}}
	p := openTab(t, browser, r, screen{Hash: "#" + url.Values(q).Encode()})
	p.shows("from the hash", matching(r, q))
	state := eval[[]string](p, `[document.querySelector('input[type=search]').value, document.querySelector('select[data-facet=namespace]').value,
		document.querySelector('.chip[aria-pressed=true]').dataset.value, ...[...document.querySelectorAll('.search select')].map((s) => s.value)]`)
	if diff := cmp.Diff([]string{"redis", "shop", "medium", "object", "name"}, state); diff != "" {
		t.Errorf("the controls do not show the hash's state: %s", diff)
	}
	p.Click(`.chip[data-value="high"]`)
	p.shows("one filter more", matching(r, question{"severity": {"medium", "high"}, "namespace": {"shop"}, "q": {"redis"}}))
	eval[bool](p, `history.back() ?? true`)
	p.WaitFor(`document.querySelectorAll('.chip[aria-pressed=true]').length === 1`)
	p.shows("after Back", matching(r, q))

	// A link to one finding opens it, also where its group shows it late.
	last := r.Findings[slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Control == "resource-quota" })]
	p = openTab(t, browser, r, screen{Hash: "#finding=" + last.Fingerprint})
	p.WaitFor(`document.querySelector('.row[open] .detail')`)
	if got := eval[string](p, `document.querySelector('.row[open]').dataset.fingerprint`); got != last.Fingerprint {
		t.Errorf("the open finding is %s, want %s", got, last.Fingerprint)
	}
	if !eval[bool](p, `(() => { const box = document.querySelector('.row[open] summary').getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight })()`) {
		t.Error("the finding of the link is not in view")
	}
}

func testPageGroups(t *testing.T, browser *testbrowser.Browser) {
	r := shopResult()
	p := openTab(t, browser, r, screen{})
	labels := func() []string {
		p.drawAll()
		return eval[[]string](p, `[...document.querySelectorAll('.group .label')].map((l) => l.textContent)`)
	}
	if got := labels(); got[0] != "Privileged containers" || got[len(got)-1] != "Namespaces without ResourceQuota" {
		t.Errorf("groups, worst first: %q", got)
	}
	for group, key := range map[string]func(finding.Finding) string{
		"object":    func(f finding.Finding) string { return f.Object.String() },
		"namespace": func(f finding.Finding) string { return namespaceOf(f.Object) },
		"file":      func(f finding.Finding) string { return f.Location.File },
	} {
		want := map[string]bool{}
		for _, f := range r.Findings {
			if f.Waived == nil {
				want[key(f)] = true
			}
		}
		eval[string](p, fmt.Sprintf(`location.hash = 'group=%s&sort=name'`, group))
		p.WaitFor(fmt.Sprintf(`document.querySelector('.search select').value === %q`, group))
		got := labels()
		if len(got) != len(want) || !slices.IsSorted(got) {
			t.Errorf("by %s: %d groups, want %d, by name: %q", group, len(got), len(want), got)
		}
	}
	eval[string](p, `location.hash = 'group=control&sort=count'`)
	p.WaitFor(`document.querySelector('.search select').value === 'control'`)
	p.drawAll()
	if counts := eval[[]int](p, `[...document.querySelectorAll('.group')].map((g) => -g.querySelectorAll('.row').length)`); !slices.IsSorted(counts) {
		t.Errorf("by count: %v", counts)
	}
	eval[bool](p, `(() => { [...document.querySelectorAll('.status .link')].find((b) => b.textContent === 'Fold all').click(); return true })()`)
	if eval[int](p, `document.querySelectorAll('.row').length`) != 0 || eval[bool](p, `document.querySelector('.group h3 button').ariaExpanded === 'true'`) {
		t.Error("Fold all leaves groups unfolded")
	}
}

// question is what a reader asks for: values by facet, and the search as q.
type question url.Values

// matching is the oracle for filters: the fingerprints of the findings that a
// question asks for, by nothing of the page's code.
func matching(r *finding.Result, q question) []string {
	rules := ruleIndex(r)
	asks := func(facet, value string) bool { return len(q[facet]) == 0 || slices.Contains(q[facet], value) }
	fingerprints := []string{}
	for _, f := range r.Findings {
		waived := "open"
		if f.Waived != nil {
			waived = "waived"
		}
		wanted := q["waived"]
		if len(wanted) == 0 {
			wanted = []string{"open"}
		}
		ok := asks("severity", f.Severity.String()) && asks("verdict", string(f.Verdict)) && asks("kind", f.Object.Kind) && asks("control", f.Control) &&
			asks("layer", string(ruleOf(f.Control, rules).Layer)) && asks("namespace", namespaceOf(f.Object)) &&
			(slices.Contains(wanted, waived) || slices.Contains(wanted, "all"))
		for _, word := range strings.Fields(strings.ToLower(strings.Join(q["q"], " "))) {
			ok = ok && strings.Contains(searchable(f, ruleOf(f.Control, rules)), word)
		}
		if ok {
			fingerprints = append(fingerprints, f.Fingerprint)
		}
	}
	slices.Sort(fingerprints)
	return fingerprints
}

func namespaceOf(o finding.Ref) string {
	switch {
	case o.Namespace != "":
		return o.Namespace
	case o.Kind == "Namespace":
		return o.Name
	}
	return "(cluster)"
}

func searchable(f finding.Finding, rule finding.Rule) string {
	s := []string{f.Message, f.Control, rule.Title, f.Object.String(), f.Root, f.Container, f.Path, htmlPlace(*f.Location), f.Fingerprint, strings.Join(f.Covers, "\n")}
	for _, e := range f.Evidence {
		s = append(s, e.Source, e.Detail)
	}
	for _, ref := range rule.References {
		s = append(s, ref.Framework+" "+ref.ID)
	}
	if f.Waived != nil {
		s = append(s, f.Waived.Waiver, f.Waived.Owner, f.Waived.Reason, f.Waived.Ticket)
	}
	return strings.ToLower(strings.Join(s, "\n"))
}

// drawAll brings every row of the list into the page.
func (p *tab) drawAll() {
	p.T.Helper()
	p.WaitFor(`document.querySelector('.status, #nothing')`)
	eval[bool](p, `(async () => {
		for (let last = -1, n; last !== (n = document.querySelectorAll('.group, .row').length); last = n) {
			scrollTo(0, document.body.scrollHeight);
			document.querySelectorAll('.group .more:not([hidden]) button').forEach((b) => b.click());
			await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 5))));
		}
		scrollTo(0, 0);
		return true;
	})()`)
}

// shows compares the findings in the list with those that should be there.
func (p *tab) shows(when string, want []string) {
	p.T.Helper()
	p.drawAll()
	got := eval[[]string](p, `[...document.querySelectorAll('.row')].map((r) => r.dataset.fingerprint).filter(Boolean)`)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.T.Errorf("%s: %d findings are shown, want %d: %s", when, len(got), len(want), cmp.Diff(want, got))
	}
	if none := eval[bool](p, `document.querySelector('.status b').textContent === '0'`); none != (len(eval[[]string](p, `[...document.querySelectorAll('.row')].map(String)`)) == 0) {
		p.T.Errorf("%s: the status is %q", when, p.status())
	}
}

func (p *tab) status() string {
	p.T.Helper()
	return eval[string](p, `document.querySelector('.status [role=status]').textContent`)
}
