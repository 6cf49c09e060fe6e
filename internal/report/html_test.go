package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"bulkhead.dev/bulkhead/internal/finding"
)

var htmlElement = regexp.MustCompile(`(?s)<(style|script type="module"|script type="application/json"[^>]*)>(.*?)</(?:style|script)>`)

func renderHTML(t testing.TB, r *finding.Result) string {
	t.Helper()
	return string(render(t, "html", r, Options{}))
}

func TestHTMLPolicyNamesWhatThePageHas(t *testing.T) {
	page := renderHTML(t, shopResult())
	parts := map[string]string{}
	for _, m := range htmlElement.FindAllStringSubmatch(page, -1) {
		kind, _, _ := strings.Cut(m[1], " id=")
		parts[kind] = m[2]
	}
	if len(parts) != 3 {
		t.Fatalf("the page has %d style and script elements, want 3", len(parts))
	}
	policy := strings.ReplaceAll(page, "&#43;", "+")
	for _, want := range []string{
		"default-src 'none'", "script-src " + hashSource(parts[`script type="module"`]), "style-src " + hashSource(parts["style"]),
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'",
	} {
		if !strings.Contains(policy, strings.ReplaceAll(want, "'", "&#39;")) {
			t.Errorf("the policy lacks %s", want)
		}
	}
}

// As an HTML parser reads it, the page has no element or attribute that loads,
// sends or runs anything, but for the two elements that the policy names.
func TestHTMLIsOnePage(t *testing.T) {
	active := regexp.MustCompile(`^(on.*|style|srcdoc|srcset|formaction|src|action|data|poster|background)$`)
	elements := strings.Fields("html head meta title link style body a header svg rect path div h1 h2 h3 bdi details summary p span b i small main section ul li " +
		"table thead tbody tr th td br dl dt dd pre noscript script")
	for name, r := range map[string]*finding.Result{"shop": shopResult(), "hostile": hostileResult(), "attack": attackResult()} {
		scripts := 0
		tokens := html.NewTokenizer(strings.NewReader(renderHTML(t, r)))
		for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() {
			if kind == html.CommentToken {
				t.Errorf("%s: a comment: %s", name, tokens.Raw())
			}
			if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
				continue
			}
			tag := tokens.Token()
			if !slices.Contains(elements, tag.Data) {
				t.Errorf("%s: the element %s", name, tag)
			}
			if tag.Data == "script" {
				scripts++
			}
			for _, attribute := range tag.Attr {
				if active.MatchString(attribute.Key) || attribute.Key == "href" && !strings.HasPrefix(attribute.Val, "#") && !strings.HasPrefix(attribute.Val, "data:image/svg+xml,") {
					t.Errorf("%s: %s", name, tag)
				}
			}
		}
		if !errors.Is(tokens.Err(), io.EOF) || scripts != 2 {
			t.Errorf("%s: %d script elements, want 2; %v", name, scripts, tokens.Err())
		}
	}
}

func TestHTMLDataIsTheResult(t *testing.T) {
	for name, r := range map[string]*finding.Result{"shop": shopResult(), "passes": withPasses(shopResult()), "nothing": {}} {
		page := renderHTML(t, r)
		_, data, _ := strings.Cut(page, `id="report-data">`)
		data, _, _ = strings.Cut(data, "</script>")
		var got struct {
			Rules    []finding.Rule
			Findings []finding.Finding
			Passes   []finding.PassRecord
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(list(r.Rules), got.Rules); diff != "" {
			t.Errorf("%s: rules: %s", name, diff)
		}
		if diff := cmp.Diff(list(worstFirst(r.Findings)), got.Findings); diff != "" {
			t.Errorf("%s: findings: %s", name, diff)
		}
		if diff := cmp.Diff(list(r.Passes), got.Passes); diff != "" {
			t.Errorf("%s: passes: %s", name, diff)
		}
	}
}

// The script element ends where an HTML parser says: nothing in the data may
// look like its end, or like the comment that would hide it.
func TestHTMLDataCannotEndItsElement(t *testing.T) {
	page := renderHTML(t, attackResult())
	if n := strings.Count(page, "</script"); n != 2 {
		t.Errorf("</script stands %d times in the page, want 2", n)
	}
	_, data, _ := strings.Cut(page, `id="report-data">`)
	data, _, _ = strings.Cut(data, "</script>")
	if i := strings.IndexAny(data, "<>&\u2028\u2029\u202e\x1b"); i >= 0 {
		t.Errorf("the data holds %q", data[i:min(len(data), i+30)])
	}
}

func TestHTMLSays(t *testing.T) {
	const incomplete = "This assessment is incomplete"
	for name, tc := range map[string]struct {
		result    *finding.Result
		want, not []string
	}{
		"shop": {shopResult(),
			[]string{incomplete, "2 inputs could not be read", "2 observations could not be made", "broken.yaml:14:3",
				"12 passed, 3 failed, 16 of 35 assessed", "29 more that no control assesses", "146 passed, 69 failed", "control-plane</a></th>\n      <td class=\"score\"></td>",
				"1 matched, 1 unused, 1 expired, 1 invalid", "spec.owner is missing", "64 more findings are in this page", "examples/shop", "charts/observability", "bulkhead v0.1.0"},
			[]string{"Nothing found", "Nothing could be assessed"}},
		"clean":      {cleanResult(), []string{"Nothing found<", "12 controls judged 48 objects: ", "no failure, nothing unknown"}, []string{incomplete, `id="findings"`, "Skip to"}},
		"all waived": {waivedResult(), []string{"Nothing found<", "Not counted: 2 waived findings.", `id="findings"`}, nil},
		"clean in part": {
			&finding.Result{Summary: finding.Summary{Objects: 2, Controls: 1, Pass: 1}, Problems: []finding.Problem{{Message: "not text"}}},
			[]string{"Nothing found in what could be assessed", incomplete, "1 input could not be read", "1 control judged 2 objects: 1 pass"}, []string{"Nothing found<"}},
		"nothing read":       {&finding.Result{Inputs: []string{"empty"}}, []string{"Nothing could be assessed", "No Kubernetes object was read", "This is not a pass"}, []string{"Nothing found<", "Score by layer"}},
		"no control ran":     {&finding.Result{Summary: finding.Summary{Objects: 3}}, []string{"Nothing could be assessed", "no control was chosen"}, []string{"Score by layer"}},
		"no control applies": {&finding.Result{Summary: finding.Summary{Objects: 3, Controls: 80}}, []string{"Nothing could be assessed", "no control applies"}, []string{"Score by layer"}},
	} {
		page := renderHTML(t, tc.result)
		for _, want := range tc.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page does not say %q", name, want)
			}
		}
		for _, not := range tc.not {
			if strings.Contains(page, not) {
				t.Errorf("%s: the page says %q", name, not)
			}
		}
	}
}

// Everything that could not be read is in the page, however much it is.
func TestHTMLHidesNoProblem(t *testing.T) {
	r := shopResult()
	for i := range 300 {
		r.Problems = append(r.Problems, finding.Problem{Location: finding.Location{File: "many.yaml", Line: i + 1}, Message: "not text"})
		r.Unknown = append(r.Unknown, finding.Unmet{What: "kind", Reason: "forbidden"})
	}
	page := renderHTML(t, r)
	if n := strings.Count(page, "many.yaml:"); n != 300 {
		t.Errorf("%d of 300 problems are in the page", n)
	}
	if n := strings.Count(page, "<b>kind</b>: forbidden"); n != 300 {
		t.Errorf("%d of 300 unmet needs are in the page", n)
	}
}

// A failure that is one among many still shows, and still is not 100%.
func TestHTMLRoundsAgainstTheReader(t *testing.T) {
	layers := htmlLayers(finding.Summary{ByLayer: []finding.LayerScore{{Layer: finding.LayerRBAC, Pass: 99999, Fail: 1}}})
	if len(layers) != len(finding.Layers()) {
		t.Fatalf("%d layers, want all %d", len(layers), len(finding.Layers()))
	}
	for _, l := range layers {
		if l.Layer == finding.LayerRBAC {
			if l.Percent != 99 || l.Bar[1].Width == 0 {
				t.Errorf("1 failure of 100000: %d%%, bar %v", l.Percent, l.Bar)
			}
		} else if l.Assessed {
			t.Errorf("%s was not assessed, and the page says it was", l.Layer)
		}
	}
}

func TestHTMLBarsKeepTheirOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		a, b, rest := random.IntN(1000), random.IntN(1000), random.IntN(1000)
		x := 0
		for _, s := range bar(a+b+rest, part{"a", a}, part{"b", b}) {
			if s.X != x || s.Width < 1 {
				t.Fatalf("%d and %d of %d: segment %+v does not begin at %d", a, b, a+b+rest, s, x)
			}
			x += s.Width
		}
		if x > barLength+2*barLength/150 {
			t.Fatalf("%d and %d of %d: the bar is %d long", a, b, a+b+rest, x)
		}
	}
}

func TestHTMLIsTheSameEveryTime(t *testing.T) {
	if renderHTML(t, shopResult()) != renderHTML(t, shopResult()) {
		t.Error("two reports of one result differ")
	}
}

func TestHTMLReportsWhatFails(t *testing.T) {
	for room := 0; room < 300_000; room += 9_973 {
		w := &smallDisk{room: room}
		if err := writeHTML(w, shopResult(), Options{}); w.full && !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("with room for %d bytes the error is %v", room, err)
		}
	}
	r := shopResult()
	r.Rules = append(r.Rules, finding.Rule{Severity: 99})
	if err := writeHTML(io.Discard, r, Options{}); err == nil {
		t.Error("a severity out of range is written without an error")
	}
}

// smallDisk fails when it is full.
type smallDisk struct {
	room int
	full bool
}

func (d *smallDisk) Write(b []byte) (int, error) {
	if len(b) > d.room {
		d.full = true
		return 0, io.ErrShortWrite
	}
	d.room -= len(b)
	return len(b), nil
}

// BenchmarkHTML measures the report of 20,000 findings with fixes, in time,
// memory and bytes of the page.
func BenchmarkHTML(b *testing.B) {
	r := bigResult(20_000)
	b.ReportAllocs()
	for b.Loop() {
		var page bytes.Buffer
		if err := writeHTML(&page, r, Options{}); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(page.Len()))
	}
}
