package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Names are a set of names: those that are listed, or where All is set all but those.
// Names that nobody has thought of yet count among all.
type Names struct {
	All bool
	// List is sorted, and each name is in it once.
	List []string
}

func newNames(list []string) Names {
	list = slices.Sorted(slices.Values(list))
	return Names{List: slices.Compact(list)}
}

// namesOrAll reads a list in which * is everything.
func namesOrAll(list []string) Names {
	if slices.Contains(list, "*") {
		return Names{All: true}
	}
	return newNames(list)
}

func (n Names) empty() bool { return !n.All && len(n.List) == 0 }

// Has reports whether a name is in the set.
func (n Names) Has(name string) bool {
	_, listed := slices.BinarySearch(n.List, name)
	return listed != n.All
}

func (n Names) and(m Names) Names {
	switch {
	case n.All && m.All:
		return Names{true, merged(n.List, m.List)}
	case n.All:
		return Names{List: without(m.List, n.List)}
	case m.All:
		return Names{List: without(n.List, m.List)}
	}
	return Names{List: without(n.List, without(n.List, m.List))}
}

func (n Names) minus(m Names) Names { return n.and(Names{!m.All, m.List}) }

func merged(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	return newNames(slices.Concat(a, b)).List
}

// without lists what is in a and not in b; both are sorted.
func without(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	var out []string
	for _, x := range a {
		if _, in := slices.BinarySearch(b, x); !in {
			out = append(out, x)
		}
	}
	return out
}

// The dimensions of an area, in the order in which it is cut: what differs in verbs
// alone stays in one piece.
const (
	byVerb = iota
	byGroup
	byResource
	bySubresource
	byName
	byNamespace
	dimensions
)

// area is a set of requests. Those to resources are all combinations of its
// dimensions; of those to URLs only the verbs count.
type area struct {
	in [dimensions]Names
	// url is nil for resources.
	url *urlPattern
	// but are URLs that are not in it.
	but []urlPattern
}

// urlPattern is a URL of a rule: a path, or where prefix is set all that start so.
type urlPattern struct {
	text   string
	prefix bool
}

func newURLPattern(text string) urlPattern {
	if bare := strings.TrimRight(text, "*"); bare != text {
		return urlPattern{bare, true}
	}
	return urlPattern{text, false}
}

func (p urlPattern) String() string {
	if p.prefix {
		return p.text + "*"
	}
	return p.text
}

func (p urlPattern) covers(q urlPattern) bool {
	if p.prefix {
		return strings.HasPrefix(q.text, p.text)
	}
	return p == q
}

// areasOf are the requests that a rule allows, wherever it is bound: one area for the
// resources, one for each subresource, and one for each URL.
func areasOf(r *rbacv1.PolicyRule) []area {
	verbs := namesOrAll(r.Verbs)
	if verbs.empty() {
		return nil
	}
	var out []area
	groups, names := namesOrAll(r.APIGroups), newNames(r.ResourceNames)
	if len(r.ResourceNames) == 0 {
		names = Names{All: true}
	}
	if !groups.empty() {
		for _, of := range bySubresources(r.Resources) {
			out = append(out, area{in: [dimensions]Names{byVerb: verbs, byGroup: groups, byResource: of.resources,
				bySubresource: of.subresources, byName: names, byNamespace: {All: true}}})
		}
	}
	for _, url := range r.NonResourceURLs {
		p := newURLPattern(url)
		out = append(out, area{in: [dimensions]Names{byVerb: verbs}, url: &p})
	}
	return out
}

type resourceSets struct{ resources, subresources Names }

// bySubresources sorts resources as rules name them by their subresource, which is
// empty for the resource itself.
func bySubresources(resources []string) []resourceSets {
	if slices.Contains(resources, rbacv1.ResourceAll) {
		return []resourceSets{{Names{All: true}, Names{All: true}}}
	}
	bySub := map[string][]string{}
	var order []string
	for _, text := range resources {
		name, sub, hasSub := strings.Cut(text, "/")
		if hasSub && sub == "" {
			continue // no request has an empty subresource
		}
		if bySub[sub] == nil {
			order = append(order, sub)
		}
		bySub[sub] = append(bySub[sub], name)
	}
	out := make([]resourceSets, 0, len(order))
	for _, sub := range order {
		out = append(out, resourceSets{namesOrAll(bySub[sub]), Names{List: []string{sub}}})
	}
	return out
}

// within is the part of an area that a binding in a namespace grants. URLs are granted
// in the whole cluster only.
func (a area) within(namespace string) (area, bool) {
	if namespace == "" {
		return a, true
	}
	a.in[byNamespace] = Names{List: []string{namespace}}
	return a, a.url == nil
}

// has reports whether a request is in the area.
func (a *area) has(r *Request) bool {
	if !a.in[byVerb].Has(r.Verb) || (a.url != nil) != (r.URL != "") {
		return false
	}
	if a.url != nil {
		path := urlPattern{text: r.URL}
		return a.url.covers(path) && !slices.ContainsFunc(a.but, func(p urlPattern) bool { return p.covers(path) })
	}
	return a.in[byGroup].Has(r.Group) && a.in[byResource].Has(r.Resource) && a.in[bySubresource].Has(r.Subresource) &&
		a.in[byName].Has(r.Name) && a.in[byNamespace].Has(r.Namespace)
}

// minus is what is left of an area without another one, in pieces that do not overlap.
func (a area) minus(b *area) []area {
	if a.url != nil || b.url != nil {
		return a.minusURL(b)
	}
	var both [dimensions]Names
	for d := range both {
		if both[d] = a.in[d].and(b.in[d]); both[d].empty() {
			return []area{a}
		}
	}
	var out []area
	for d := range both {
		if rest := a.in[d].minus(b.in[d]); !rest.empty() {
			piece := a
			copy(piece.in[:d], both[:d])
			piece.in[d] = rest
			out = append(out, piece)
		}
	}
	return out
}

func (a area) minusURL(b *area) []area {
	verbs := a.in[byVerb].and(b.in[byVerb])
	if a.url == nil || b.url == nil || verbs.empty() || !a.url.covers(*b.url) && !b.url.covers(*a.url) {
		return []area{a}
	}
	if slices.ContainsFunc(a.but, func(p urlPattern) bool { return p.covers(*b.url) }) {
		return []area{a} // b is not in it
	}
	var out []area
	if rest := a.in[byVerb].minus(b.in[byVerb]); !rest.empty() {
		piece := a
		piece.in[byVerb] = rest
		out = append(out, piece)
	}
	if !b.url.covers(*a.url) {
		piece := a
		piece.in[byVerb] = verbs
		piece.but = append(slices.Clone(a.but), *b.url)
		out = append(out, piece)
	}
	return out
}

// overlaps reports whether some request is in both areas, as far as it can be told
// without their exceptions of URLs.
func (a *area) overlaps(b *area) bool {
	if (a.url != nil) != (b.url != nil) || a.in[byVerb].and(b.in[byVerb]).empty() {
		return false
	}
	if a.url != nil {
		return a.url.covers(*b.url) || b.url.covers(*a.url)
	}
	for d := byGroup; d < dimensions; d++ {
		if a.in[d].and(b.in[d]).empty() {
			return false
		}
	}
	return true
}

// maxPieces bounds the pieces that are kept while areas are taken away from one.
const maxPieces = 256

// left is what is left of an area without some others; whole is true where that comes
// in too many pieces, and is something.
func (a area) left(others []*area) (pieces []area, whole bool) {
	pieces = []area{a}
	for _, b := range others {
		var next []area
		for _, p := range pieces {
			next = append(next, p.minus(b)...)
		}
		if pieces = next; len(pieces) > maxPieces {
			steps := maxLeftSteps
			return nil, a.somethingLeft(others, &steps)
		}
	}
	return pieces, false
}

// maxLeftSteps bounds the search for a request that is left. Where it ends, there is
// taken to be one.
const maxLeftSteps = 200_000

func (a area) somethingLeft(others []*area, steps *int) bool {
	for i, b := range others {
		if *steps--; *steps < 0 {
			return true
		}
		if !a.overlaps(b) {
			continue
		}
		return slices.ContainsFunc(a.minus(b), func(p area) bool { return p.somethingLeft(others[i+1:], steps) })
	}
	return true
}
