package chart

import (
	"path/filepath"
	"regexp"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
)

// valueReference is a value with the brackets that guard against what is not
// there: ((.Values.a).b).c.
var valueReference = regexp.MustCompile(`\.Values((?:\)*\.[A-Za-z_][A-Za-z0-9_]*)+)`)

// maxReferenced bounds the values that templates read and nobody gives.
const maxReferenced = 500

// referenced lists the values that are not there and that the templates of the
// fields read, in order. What a template reads in another way is not seen; whether
// a value does anything is for the rendering to tell.
func (p *Planner) referenced(g *goal) []node {
	if p.chart.Template == nil {
		return nil
	}
	files := []string{filepath.Join(p.chart.Path, "templates", "_helpers.tpl")}
	for _, f := range g.open() {
		if at := f.object.Locate(nil); at != nil {
			files = append(files, at.File)
		}
	}
	var out []node
	seen := map[string]bool{}
	for _, file := range files {
		if seen[file] {
			continue
		}
		seen[file] = true
		text, err := p.chart.Template(file)
		if err != nil {
			continue // there need be no helpers
		}
		for _, m := range valueReference.FindAllSubmatch(text, -1) {
			path := p.subchart(file).Keys(strings.Split(strings.ReplaceAll(string(m[1][1:]), ")", ""), ".")...)
			if key := path.Pointer(); !seen[key] && p.absent(path) && len(out) < maxReferenced {
				seen[key] = true
				out = append(out, node{path: path})
			}
		}
	}
	return out
}

// subchart is the path of the values that a template reads as its own.
func (p *Planner) subchart(file string) model.Path {
	var path model.Path
	rel, err := filepath.Rel(p.chart.Path, file)
	if err != nil {
		return nil
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	for len(parts) > 2 && parts[0] == "charts" {
		path, parts = path.Keys(parts[1]), parts[2:]
	}
	return path
}

// absent reports whether a value is not there, and may be: all around it that is
// there are maps.
func (p *Planner) absent(path model.Path) bool {
	for i := range path {
		v, ok := path[:i+1].Lookup(p.chart.Effective)
		if !ok || v == nil {
			return true
		}
		if _, isMap := v.(map[string]any); !isMap {
			return false
		}
	}
	return false
}
