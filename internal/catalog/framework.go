package catalog

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
)

// Framework is a published set of requirements with all that it requires, also
// what no control can judge: a score counts those as well.
type Framework struct {
	Name         string        `yaml:"name"`
	Title        string        `yaml:"title"`
	Version      string        `yaml:"version"`
	URL          string        `yaml:"url"`
	Requirements []Requirement `yaml:"requirements"`
}

// Requirement is one requirement of a framework, in our own words, and the
// controls that judge it; none where nothing in a cluster's objects shows it.
type Requirement struct {
	ID       string   `yaml:"id"`
	Title    string   `yaml:"title"`
	URL      string   `yaml:"url"`
	Controls []string `yaml:"controls"`
}

//go:embed frameworks/*.yaml
var frameworkFiles embed.FS

// frameworkNames are the frameworks in the order that reports show them.
var frameworkNames = []string{"pss-baseline", "pss-restricted", "nsa-cisa", "cis-1.12", "mitre", "pci-dss"}

var frameworks = sync.OnceValues(func() ([]Framework, error) { return parseFrameworks(frameworkFiles) })

// Frameworks returns every framework. The caller must not change them.
func Frameworks() ([]Framework, error) { return frameworks() }

func parseFrameworks(files fs.FS) ([]Framework, error) {
	var out []Framework
	for _, name := range frameworkNames {
		file := "frameworks/" + name + ".yaml"
		var f Framework
		if err := decodeStrictly(files, file, &f); err != nil {
			return nil, err
		}
		if err := f.validate(name); err != nil {
			return nil, fmt.Errorf("framework file %s: %w", file, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// decodeStrictly reads a file of one YAML document with no unknown field.
func decodeStrictly(files fs.FS, file string, into any) error {
	data, err := fs.ReadFile(files, file)
	if err != nil {
		return fmt.Errorf("read a file of the catalogue: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("catalogue file %s: %w", file, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("catalogue file %s holds more than one document", file)
	}
	return nil
}

var (
	requirementID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	controlName   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

func (f *Framework) validate(name string) error {
	switch {
	case f.Name != name:
		return fmt.Errorf("holds framework %q; give both one name", f.Name)
	case f.Title == "" || f.Version == "":
		return errors.New("needs a title and a version")
	case !strings.HasPrefix(f.URL, "https://"):
		return errors.New("needs an https URL")
	case len(f.Requirements) == 0:
		return errors.New("has no requirements")
	}
	ids := map[string]bool{}
	for _, r := range f.Requirements {
		switch {
		case !requirementID.MatchString(r.ID):
			return fmt.Errorf("requirement %q needs an id of letters, digits and . _ / -", r.ID)
		case ids[r.ID]:
			return fmt.Errorf("requirement %s is there twice", r.ID)
		case r.Title == "" || strings.HasSuffix(r.Title, "."):
			return fmt.Errorf("requirement %s needs a title without a full stop", r.ID)
		case r.URL != "" && !strings.HasPrefix(r.URL, "https://"):
			return fmt.Errorf("requirement %s: the URL is not https", r.ID)
		}
		ids[r.ID] = true
		for i, c := range r.Controls {
			if !controlName.MatchString(c) || slices.Contains(r.Controls[:i], c) {
				return fmt.Errorf("requirement %s: %q is no name of a control, or is there twice", r.ID, c)
			}
		}
	}
	return nil
}

// Attach writes into each control which requirements of which frameworks it
// serves, in place of what was there.
func Attach(controls []*check.Control) error {
	all, err := Frameworks()
	if err != nil {
		return err
	}
	references := map[string][]finding.Reference{}
	for _, f := range all {
		for _, r := range f.Requirements {
			url := r.URL
			if url == "" {
				url = f.URL
			}
			for _, c := range r.Controls {
				references[c] = append(references[c], finding.Reference{Framework: f.Name, ID: r.ID, URL: url})
			}
		}
	}
	for _, c := range controls {
		c.References = references[c.Name]
	}
	return nil
}
