package reach

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// FuturePrefix begins the name of a pod that does not exist yet: new:shop/app=web is one in
// namespace shop with that label and no other, new:{team=a}/app=web one in a namespace that
// does not exist yet either.
const FuturePrefix = "new:"

// madeUpName begins the name of a namespace of which no name is given.
const madeUpName = "new-"

// futureKind is what such a pod has in the place of the kind of its workload.
const futureKind = "new"

// WithFuture is the cluster in which a pod may be asked about that does not exist yet. It is
// the same but for its namespace, if that is new too.
func (c *Cluster) WithFuture(name string) (*Cluster, Side, error) {
	text := strings.TrimPrefix(name, FuturePrefix)
	where, own, inNew := "", "", strings.HasPrefix(text, "{")
	if inNew {
		end := strings.Index(text, "}")
		if end < 0 || end+1 < len(text) && text[end+1] != '/' {
			return nil, Side{}, fmt.Errorf("%q: write new:{LABELS}/LABELS, with the labels of the namespace in braces", name)
		}
		where, own = text[1:end], strings.TrimPrefix(text[end+1:], "/")
	} else {
		where, own, _ = strings.Cut(text, "/")
	}
	set, err := parseLabels(own)
	if err != nil {
		return nil, Side{}, fmt.Errorf("%q: %w", name, err)
	}
	if inNew {
		of, err := parseLabels(where)
		if err != nil {
			return nil, Side{}, fmt.Errorf("%q: %w", name, err)
		}
		if c, where, err = c.withNamespace(of); err != nil {
			return nil, Side{}, fmt.Errorf("%q: %w", name, err)
		}
	} else if c.Namespaces[where] == nil {
		return nil, Side{}, fmt.Errorf("there is no namespace %q: write new:{LABELS}/LABELS for a pod of one that does not exist yet", where)
	}
	return c, Side{Pod: c.futurePod(where, set)}, nil
}

func (c *Cluster) futurePod(namespace string, set map[string]string) *Pod {
	name := labels.Set(set).String()
	if name == "" {
		name = "without labels"
	}
	return &Pod{Namespace: namespace, Kind: futureKind, Name: name, Labels: set, Named: map[NamedPort]uint16{}}
}

func parseLabels(text string) (map[string]string, error) {
	set, err := labels.ConvertSelectorToLabelsMap(text)
	if err != nil {
		return nil, fmt.Errorf("%q are no labels, such as app=web,tier=front: %w", text, err)
	}
	return set, nil
}

// withNamespace adds a namespace. Its name is that of its label, or one that nobody has.
func (c *Cluster) withNamespace(set map[string]string) (*Cluster, string, error) {
	name := set[corev1.LabelMetadataName]
	if c.Namespaces[name] != nil {
		return nil, "", fmt.Errorf("there is a namespace %s: write new:%s/LABELS", name, name)
	}
	for i := 1; name == "" || set[corev1.LabelMetadataName] == "" && c.Namespaces[name] != nil; i++ {
		name = fmt.Sprint(madeUpName, i)
	}
	out := *c
	out.Namespaces = maps.Clone(c.Namespaces)
	set = maps.Clone(set)
	set[corev1.LabelMetadataName] = name
	out.Namespaces[name] = &Namespace{Name: name, Labels: set, Seen: true}
	return &out, name, nil
}
