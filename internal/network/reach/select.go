package reach

import (
	"maps"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// fewClasses is how many are looked at one by one: for more, the lists of each label
// are joined.
const fewClasses = 32

// pods are the classes that selectors choose: of a namespace, or of those that
// namespaces chooses. Pods in the network of their node are among them only if hosts is true.
func (b *builder) pods(own string, namespaces, pods labels.Selector, hosts bool) *roaring.Bitmap {
	key := "own\x00" + own
	if namespaces != nil {
		key = "all\x00" + namespaces.String()
	}
	key += "\x00" + pods.String() + "\x00" + strconv.FormatBool(hosts)
	if known := b.selected[key]; known != nil {
		return known
	}
	out := roaring.New()
	var in [][2]uint32
	count := uint32(0)
	for _, ns := range b.chosen(own, namespaces) {
		if bounds, ok := b.in[ns]; ok {
			in = append(in, bounds)
			count += bounds[1] - bounds[0]
		}
	}
	requirements, selectable := pods.Requirements()
	switch {
	case !selectable:
	case len(requirements) == 0:
		for _, bounds := range in {
			out.AddRange(uint64(bounds[0]), uint64(bounds[1]))
		}
	case count <= fewClasses || len(in) == 1 && count <= 8*fewClasses:
		for _, bounds := range in {
			for i := bounds[0]; i < bounds[1]; i++ {
				if pods.Matches(b.classes[i].labels) {
					out.Add(i)
				}
			}
		}
	default:
		for _, bounds := range in {
			out.AddRange(uint64(bounds[0]), uint64(bounds[1]))
		}
		for _, r := range requirements {
			b.require(out, r)
		}
	}
	if !hosts {
		out.AndNot(b.hosts)
	}
	b.selected[key] = out
	return out
}

// chosen are the namespaces that a selector chooses.
func (b *builder) chosen(own string, namespaces labels.Selector) []string {
	if namespaces == nil {
		return []string{own}
	}
	key := namespaces.String()
	known, ok := b.namespaces[key]
	if !ok {
		for _, name := range b.candidates(namespaces) {
			if namespaces.Matches(labels.Set(b.cluster.Namespaces[name].Labels)) {
				known = append(known, name)
			}
		}
		b.namespaces[key] = known
	}
	return known
}

// candidates are the namespaces that a selector may choose: of the labels that it asks for
// by value, those with the one that fewest have. Many policies name one namespace.
func (b *builder) candidates(namespaces labels.Selector) []string {
	if b.namesBy == nil {
		b.namesBy = map[[2]string][]string{}
		for _, name := range b.names {
			for k, v := range b.cluster.Namespaces[name].Labels {
				b.namesBy[[2]string{k, v}] = append(b.namesBy[[2]string{k, v}], name)
			}
		}
	}
	fewest := b.names
	requirements, _ := namespaces.Requirements()
	for _, r := range requirements {
		if op := r.Operator(); op != selection.In && op != selection.Equals && op != selection.DoubleEquals {
			continue
		}
		var with []string
		for v := range r.Values() {
			with = append(with, b.namesBy[[2]string{r.Key(), v}]...)
		}
		if len(with) < len(fewest) {
			fewest = with
		}
	}
	return fewest
}

// require keeps what meets a requirement.
func (b *builder) require(of *roaring.Bitmap, r labels.Requirement) {
	values := b.byLabel()[r.Key()]
	switch r.Operator() {
	case selection.Exists:
		of.And(values.any())
	case selection.DoesNotExist:
		of.AndNot(values.any())
	case selection.NotIn, selection.NotEquals:
		for v := range r.Values() {
			if has := values[v]; has != nil {
				of.AndNot(has)
			}
		}
	default:
		meet := roaring.New()
		for v := range r.Values() {
			if has := values[v]; has != nil {
				meet.Or(has)
			}
		}
		of.And(meet)
	}
}

// labelled are the classes that have a label, by its value.
type labelled map[string]*roaring.Bitmap

func (l labelled) any() *roaring.Bitmap {
	return roaring.FastOr(slices.Collect(maps.Values(l))...)
}

// byLabel lists the classes by the labels that are asked for.
func (b *builder) byLabel() map[string]labelled {
	if b.labelled != nil {
		return b.labelled
	}
	b.labelled = map[string]labelled{}
	keys, _ := b.asked()
	for _, k := range keys {
		b.labelled[k] = labelled{}
	}
	for i, c := range b.classes {
		for k, values := range b.labelled {
			if v, ok := c.labels[k]; ok {
				if values[v] == nil {
					values[v] = roaring.New()
				}
				values[v].Add(uint32(i))
			}
		}
	}
	return b.labelled
}
