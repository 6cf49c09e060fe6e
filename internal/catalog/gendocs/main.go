// Command gendocs writes the documentation of every control from the control
// itself: a page each and an index.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bulkhead.dev/bulkhead/internal/catalog"
	"bulkhead.dev/bulkhead/internal/check"
)

func main() {
	dir := flag.String("o", "docs/controls", "folder to write")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	controls, err := catalog.Controls()
	if err != nil {
		return err
	}
	// The folder holds nothing else, so a page of a control that is gone goes too.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var index strings.Builder
	fmt.Fprintf(&index, "# Controls\n\n%d controls. Made by `make generate` from the controls themselves.\n\n| control | severity | layer | fix | what it wants |\n|---|---|---|---|---|\n", len(controls))
	for _, c := range controls {
		fmt.Fprintf(&index, "| [%s](%s.md) | %s | %s | %s | %s |\n", c.Name, c.Name, c.Severity, c.Layer, c.FixSafety, c.Title)
		if err := os.WriteFile(filepath.Join(dir, c.Name+".md"), []byte(page(c)), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(index.String()), 0o644)
}

func page(c *check.Control) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n| severity | layer | since | fix |\n|---|---|---|---|\n| %s | %s | %s | %s |\n", c.Name, c.Title, c.Severity, c.Layer, c.Since, c.FixSafety)
	fmt.Fprintf(&b, "\n## Why\n\n%s\n\n## Remedy\n\n%s\n", c.Why, c.Remedy)
	if c.FixNote != "" {
		fmt.Fprintf(&b, "\nOf the fix: %s\n", c.FixNote)
	}
	if len(c.Parameters) > 0 {
		b.WriteString("\n## Parameters\n\n")
		for _, p := range c.Parameters {
			fmt.Fprintf(&b, "- `%s` (default `%v`): %s\n", p.Name, p.Default, p.Description)
		}
	}
	if len(c.Subsumes) > 0 {
		fmt.Fprintf(&b, "\nWhere it fails, these weaker controls are not reported beside it: %s.\n", strings.Join(c.Subsumes, ", "))
	}
	if len(c.References) > 0 {
		b.WriteString("\n## References\n\n")
		for _, r := range c.References {
			fmt.Fprintf(&b, "- %s %s\n", r.Framework, r.ID)
		}
	}
	b.WriteString("\n## Bad\n\nA finding points at each line marked `# want`.\n")
	examples(&b, c.Examples.Bad)
	b.WriteString("\n## Good\n")
	examples(&b, c.Examples.Good)
	return b.String()
}

func examples(b *strings.Builder, texts []string) {
	for _, text := range texts {
		fmt.Fprintf(b, "\n```yaml\n%s\n```\n", strings.TrimSpace(text))
	}
}
