package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"unicode"

	"bulkhead.dev/bulkhead/internal/finding"
)

// The page comes in parts: a template for what needs no script, and scripts
// that share one module, so that a name in one is known in the next.
var (
	//go:embed page/page.html
	htmlPage string
	//go:embed page/page.css
	htmlPageStyle string
	//go:embed page/list.css
	htmlListStyle string
	//go:embed page/dom.js
	htmlDOM string
	//go:embed page/model.js
	htmlModel string
	//go:embed page/detail.js
	htmlDetail string
	//go:embed page/list.js
	htmlList string
	//go:embed page/heatmap.js
	htmlHeatMap string
	//go:embed page/page.js
	htmlPageScript string

	htmlStyle    = htmlPageStyle + htmlListStyle
	htmlScript   = htmlDOM + htmlModel + htmlDetail + htmlList + htmlHeatMap + htmlPageScript
	htmlTemplate = template.Must(template.New("page").Funcs(htmlFuncs).Parse(htmlPage))
)

// writeHTML writes one self-contained page: a summary that needs no script,
// the findings as JSON, and the script that browses them. The page loads
// nothing and sends nothing, and its policy lets a browser run nothing but the
// style and the script that are hashed here.
func writeHTML(w io.Writer, r *finding.Result, _ Options) error {
	sorted := worstFirst(r.Findings)
	var page bytes.Buffer
	if err := htmlTemplate.Execute(&page, newHTMLPage(r, sorted)); err != nil {
		return err
	}
	if _, err := io.WriteString(w, visibleText(page.String())); err != nil {
		return err
	}
	if err := writeHTMLData(w, r, sorted); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "<script type=\"module\">%s</script>\n</body>\n</html>\n", htmlScript)
	return err
}

// writeHTMLData writes what the script reads, one finding at a time, so that
// memory does not grow with the report. encoding/json writes <, >, & and the
// line separators as escapes, so nothing in it ends the script element.
func writeHTMLData(w io.Writer, r *finding.Result, sorted []finding.Finding) error {
	if err := writeHTMLList(w, `<script type="application/json" id="report-data">{"rules":[`, r.Rules); err != nil {
		return err
	}
	if err := writeHTMLList(w, `],"findings":[`, sorted); err != nil {
		return err
	}
	if err := writeHTMLList(w, `],"passes":[`, r.Passes); err != nil {
		return err
	}
	_, err := io.WriteString(w, "]}</script>\n")
	return err
}

func writeHTMLList[E any](w io.Writer, lead string, list []E) error {
	for i := range list {
		b, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", lead, escapeInvisible(b)); err != nil {
			return err
		}
		lead = ",\n"
	}
	if len(list) > 0 {
		return nil
	}
	_, err := io.WriteString(w, lead)
	return err
}

// visibleText is printable for text of several lines.
func visibleText(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(printable(string(r)))
	}
	return b.String()
}
