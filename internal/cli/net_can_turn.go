package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/report"
)

// netTurnJSON is a change that would turn an answer.
type netTurnJSON struct {
	// Objects is how many objects change.
	Objects int `json:"objects"`
	// Opens and Closes count other pairs of workloads whose connections change.
	Opens  int `json:"opens"`
	Closes int `json:"closes"`
	// AtLeast says that not all pairs were looked at.
	AtLeast  bool          `json:"atLeast,omitempty"`
	Examples []string      `json:"examples,omitempty"`
	Edits    []netEditJSON `json:"edits"`
}

// netEditJSON is one edit: of JSON Patch, or of a whole object that is created.
type netEditJSON struct {
	Text      string            `json:"text"`
	Operation reach.Operation   `json:"op"`
	Object    string            `json:"object"`
	Location  *finding.Location `json:"location,omitempty"`
	Path      string            `json:"path,omitempty"`
	Value     any               `json:"value,omitempty"`
}

// maxTurnsShown is how many changes a table tells; JSON has more.
const maxTurnsShown = 3

func newTurns(of []reach.Turn) (out []netTurnJSON) {
	for _, t := range of {
		one := netTurnJSON{Objects: t.Objects, Opens: t.Gained, Closes: t.Lost, AtLeast: t.Bounded, Examples: t.Examples}
		for _, e := range t.Edits {
			edit := netEditJSON{Text: e.Text, Operation: e.Operation, Object: e.Object.Ref().String(), Path: e.Path.Pointer(), Value: e.Value}
			if e.Operation == reach.Create {
				edit.Path, edit.Value = "", e.Object.Content
			} else {
				edit.Location = e.Object.Locate(e.Path)
			}
			one.Edits = append(one.Edits, edit)
		}
		out = append(out, one)
	}
	return out
}

// effect says what else a change does.
func (t netTurnJSON) effect() string {
	least := ""
	if t.AtLeast {
		least = "at least "
	}
	var parts []string
	if t.Opens > 0 {
		parts = append(parts, "opens "+least+plural(t.Opens, "other connection", "other connections"))
	}
	if t.Closes > 0 {
		parts = append(parts, "closes "+least+plural(t.Closes, "other connection", "other connections"))
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, " and ")
	case t.AtLeast:
		return "nothing else is seen to change, and not all was looked at"
	}
	return "changes nothing else"
}

// writeTurns tells changes: each in a line, and with wide as text to write. Where several
// pairs were asked about, they are for one of them.
func writeTurns(out *strings.Builder, of []netTurnJSON, allowed, several, wide bool) {
	if len(of) == 0 {
		return
	}
	verb, what := "allow", "it"
	if allowed {
		verb = "stop"
	}
	if several {
		what = "this pair"
	}
	fmt.Fprintf(out, "  to %s %s:\n", verb, what)
	for i, t := range of {
		if i == maxTurnsShown && !wide {
			break
		}
		var texts []string
		for _, e := range t.Edits {
			texts = append(texts, e.Text+checkedAt(e.Location))
		}
		fmt.Fprintf(out, "    %s: %s\n", report.Printable(strings.Join(texts, ", and ")), t.effect())
		if !wide {
			continue
		}
		for _, x := range t.Examples {
			fmt.Fprintf(out, "      %s\n", report.Printable(x))
		}
		for _, e := range t.Edits {
			out.WriteString(e.manifest("      "))
		}
	}
}

// manifest is what an edit writes, as YAML: a whole object, or a path and the value there.
func (e netEditJSON) manifest(indent string) string {
	var out strings.Builder
	lines := func(indent string, v any) {
		// JSON in between has the numbers and maps in one form, whoever made them.
		text, err := json.Marshal(v)
		if err == nil {
			text, err = yaml.JSONToYAML(text)
		}
		if err != nil {
			fmt.Fprintf(&out, "%s# %s\n", indent, report.Printable(err.Error()))
			return
		}
		for line := range strings.Lines(string(text)) {
			out.WriteString(indent + report.Printable(strings.TrimSuffix(line, "\n")) + "\n")
		}
	}
	if e.Operation == reach.Create {
		lines(indent, e.Value)
		return out.String()
	}
	fmt.Fprintf(&out, "%s# %s %s of %s\n", indent, e.Operation, report.Printable(e.Path), report.Printable(e.Object))
	if e.Operation != reach.Remove {
		lines(indent, e.Value)
	}
	return out.String()
}
