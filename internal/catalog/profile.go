package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"bulkhead.dev/bulkhead/internal/check"
)

// Profile is a choice of controls. A profile of a framework has the controls
// that serve one of its requirements.
type Profile struct {
	Name  string
	Title string
	// Controls are names, sorted.
	Controls []string
}

// ProfileNames lists the profiles: default, all, and one for each framework.
func ProfileNames() []string { return append([]string{"default", "all"}, frameworkNames...) }

//go:embed profiles/default.yaml
var profileFiles embed.FS

// curated is a profile that is a list: every control is either in it, or left
// out for a reason.
type curated struct {
	Title    string            `yaml:"title"`
	Controls []string          `yaml:"controls"`
	LeftOut  map[string]string `yaml:"leftOut"`
}

var defaultProfile = sync.OnceValues(func() (*curated, error) { return parseCurated(profileFiles, "profiles/default.yaml") })

func parseCurated(files fs.FS, file string) (*curated, error) {
	p := &curated{}
	if err := decodeStrictly(files, file, p); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("profile file %s: %w", file, err)
	}
	return p, nil
}

func (p *curated) validate() error {
	if p.Title == "" || len(p.Controls) == 0 {
		return errors.New("needs a title and controls")
	}
	for i, c := range p.Controls {
		if _, left := p.LeftOut[c]; left || slices.Contains(p.Controls[:i], c) {
			return fmt.Errorf("control %q is there twice", c)
		}
	}
	for c, why := range p.LeftOut {
		if strings.TrimSpace(why) == "" {
			return fmt.Errorf("control %q is left out without a reason", c)
		}
	}
	return nil
}

// Profiles returns every profile, of the controls that are given.
func Profiles(controls []*check.Control) ([]Profile, error) {
	all, err := Frameworks()
	if err != nil {
		return nil, err
	}
	chosen, err := defaultProfile()
	if err != nil {
		return nil, err
	}
	profiles := []Profile{
		newProfile("default", chosen.Title, controls, func(name string) bool { return slices.Contains(chosen.Controls, name) }),
		newProfile("all", "Every control", controls, func(string) bool { return true }),
	}
	for _, f := range all {
		profiles = append(profiles, newProfile(f.Name, f.Title, controls, f.names))
	}
	return profiles, nil
}

// names reports whether a control serves a requirement of the framework.
func (f *Framework) names(control string) bool {
	return slices.ContainsFunc(f.Requirements, func(r Requirement) bool { return slices.Contains(r.Controls, control) })
}

func newProfile(name, title string, controls []*check.Control, has func(string) bool) Profile {
	p := Profile{Name: name, Title: title}
	for _, c := range controls {
		if has(c.Name) {
			p.Controls = append(p.Controls, c.Name)
		}
	}
	slices.Sort(p.Controls)
	return p
}
