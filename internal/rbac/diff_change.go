package rbac

import (
	"fmt"
	"slices"
	"strings"
)

// Change is a set of requests that a subject may make in one of two worlds, and in the
// other may not.
type Change struct {
	area
	// had are what of it the subject may do in both, where that is more than can be told
	// piece by piece.
	had []*area
	// Grants are all that give it, in the world in which it is allowed.
	Grants []Grant
}

// Covers reports whether a request is in the change.
func (c *Change) Covers(r Request) bool {
	return c.has(&r) && !slices.ContainsFunc(c.had, func(a *area) bool { return a.has(&r) })
}

// covers reports whether all of another change is in this one.
func (c *Change) covers(d *Change) bool {
	return len(c.had) == 0 && len(d.area.minus(&c.area)) == 0
}

// key is equal for changes of the same requests.
func (c *Change) key() string {
	var b strings.Builder
	for _, n := range c.in {
		fmt.Fprintf(&b, "%t %q ", n.All, n.List)
	}
	if c.url != nil {
		fmt.Fprintf(&b, "%s %v", c.url, c.but)
	}
	for _, a := range c.had {
		b.WriteString((&Change{area: *a}).key())
	}
	return b.String()
}

// Verbs are one dimension of the change, as those below are; a request is in it where all
// of its are. Those of resources are empty where it is about a URL.
func (c *Change) Verbs() Names { return c.in[byVerb] }

// Groups are API groups.
func (c *Change) Groups() Names { return c.in[byGroup] }

// Resources are plurals, without their subresources.
func (c *Change) Resources() Names { return c.in[byResource] }

// Subresources are those of all Resources; the empty one is the resource itself.
func (c *Change) Subresources() Names { return c.in[bySubresource] }

// ResourceNames are those of objects. All but some include requests about no single
// object.
func (c *Change) ResourceNames() Names { return c.in[byName] }

// Namespaces are where it holds: all is the whole cluster.
func (c *Change) Namespaces() Names { return c.in[byNamespace] }

// URL is a path, or ends in * where it is a prefix; empty for resources. The second
// result are those that are not in it.
func (c *Change) URL() (url string, but []string) {
	if c.url == nil {
		return "", nil
	}
	for _, p := range c.but {
		but = append(but, p.String())
	}
	return c.url.String(), but
}

// Had are what of the change may be done in both worlds, a line each, where that is too
// much to leave out.
func (c *Change) Had() []string {
	var out []string
	for _, a := range c.had {
		in := &Change{area: *a}
		out = append(out, strings.TrimSpace(in.text().String()+" "+in.Where()))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ChangeLine tells changes in a line: those that differ in their resources alone, and
// are granted by the same.
type ChangeLine struct {
	// What may be done: "get, list secrets, pods/log web". What of a * could be done in
	// both worlds stands behind it: "* pods (but for get, list)".
	What string
	// Where it holds: "in shop", "in the whole cluster"; empty for URLs.
	Where  string
	Grants []Grant
}

func (l ChangeLine) String() string { return strings.TrimSpace(l.What + " " + l.Where) }

// Lines tells the changes of a subject, in order.
func Lines(changes []Change) []ChangeLine {
	var parts []changeText
	var lines []ChangeLine
	byKey := map[string]int{}
	for i := range changes {
		c := &changes[i]
		text := c.text()
		key := fmt.Sprintf("%s\x00%s\x00%q\x00%s\x00%t", text.verbs, text.names, text.but, c.Where(), c.url != nil)
		for _, g := range c.Grants {
			key += fmt.Sprintf("\x00%p %p %d", g.Binding, g.Written, g.Rule)
		}
		if at, ok := byKey[key]; ok {
			parts[at].of = append(parts[at].of, text.of...)
			continue
		}
		byKey[key] = len(parts)
		parts = append(parts, text)
		lines = append(lines, ChangeLine{Where: c.Where(), Grants: c.Grants})
	}
	for i := range lines {
		slices.Sort(parts[i].of)
		lines[i].What = parts[i].String()
	}
	return lines
}

// changeText are the parts of a line.
type changeText struct {
	verbs, names string
	of, but      []string
}

func (t changeText) String() string {
	out := t.verbs + " " + strings.Join(fewOf(t.of), ", ")
	if t.names != "" {
		out += " " + t.names
	}
	return out + butFor(t.but)
}

// maxHad is how much of what is in both worlds is told with a change.
const maxHad = 3

func (c *Change) text() changeText {
	var t changeText
	list := func(n Names, what string) string {
		if !n.All {
			return strings.Join(n.List, ", ")
		}
		if len(n.List) > 0 {
			t.but = append(t.but, what+strings.Join(fewOf(n.List), ", "))
		}
		return "*"
	}
	t.verbs = list(c.Verbs(), "")
	if c.url != nil {
		url, but := c.URL()
		if url == "*" {
			url = "URL *" // * alone is every resource
		}
		t.of = []string{url}
		if more := len(but) - maxHad; more > 1 {
			but = append(but[:maxHad:maxHad], fmt.Sprintf("%d more", more))
		}
		t.but = append(t.but, but...)
		return t
	}
	t.of = c.resourceTexts(&t.but)
	if names := c.ResourceNames(); names.All {
		list(names, "the names ")
	} else {
		t.names = strings.Join(fewOf(quoteEmpty(names.List)), ", ")
	}
	switch had := c.Had(); {
	case len(had) > maxHad:
		t.but = append(t.but, fmt.Sprintf("%d permissions that are in both", len(had)))
	default:
		for _, text := range had {
			t.but = append(t.but, strings.TrimSuffix(text, " "+c.Where()))
		}
	}
	return t
}

func butFor(but []string) string {
	if len(but) == 0 {
		return ""
	}
	return " (but for " + strings.Join(but, "; ") + ")"
}

// resourceTexts are the resources as kubectl writes them.
func (c *Change) resourceTexts(but *[]string) []string {
	groups, resources, subs := c.Groups(), c.Resources(), c.Subresources()
	groupNames, names, suffixes := groups.List, resources.List, subs.List
	if groups.All {
		groupNames = []string{"*"}
		if len(groups.List) > 0 {
			*but = append(*but, "group "+strings.Join(fewOf(quoteEmpty(groups.List)), ", "))
		}
	}
	if resources.All {
		names = []string{"*"}
		if len(resources.List) > 0 {
			*but = append(*but, strings.Join(fewOf(resources.List), ", "))
		}
	}
	if subs.All {
		suffixes = []string{"*"}
		switch {
		case resources.All && len(subs.List) == 0 && len(resources.List) == 0:
			suffixes = []string{""} // * is every resource with its subresources
		case len(subs.List) == 1 && subs.List[0] == "": // each /* is a subresource
		case len(subs.List) > 0:
			*but = append(*but, "/"+strings.Join(fewOf(subs.List), ", /"))
		default:
			suffixes = []string{"", "*"}
		}
	}
	var out []string
	for _, group := range groupNames {
		for _, name := range names {
			for _, suffix := range suffixes {
				if suffix != "" {
					suffix = "/" + suffix
				}
				out = append(out, Qualified(group, name+suffix))
			}
		}
	}
	return out
}

func quoteEmpty(list []string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		if s == "" {
			out[i] = `""`
		}
	}
	return out
}

// maxListed is how many names of a list are told.
const maxListed = 12

func fewOf(list []string) []string {
	if len(list) <= maxListed {
		return list
	}
	return append(slices.Clone(list[:maxListed]), fmt.Sprintf("%d more", len(list)-maxListed))
}

// Where says where it holds: "in shop", "in the whole cluster". Namespaces in which it
// held in both worlds stand behind it.
func (c *Change) Where() string {
	n := c.Namespaces()
	switch {
	case c.url != nil:
		return ""
	case n.All && len(n.List) == 0:
		return "in the whole cluster"
	case n.All:
		return "in the whole cluster (but for " + strings.Join(fewOf(n.List), ", ") + ")"
	}
	return "in " + strings.Join(fewOf(n.List), ", ")
}
