package persona

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	yaml "go.yaml.in/yaml/v4"
)

//go:embed catalogue.yaml
var catalogueText []byte

// Role is what a persona may do, wherever it is bound.
type Role struct {
	Name string
	// Namespaced holds in each namespace of the persona; Cluster, beside it, only where
	// the persona is one of the whole organisation.
	Namespaced, Cluster []Action
	// Powerful roles are meant to hold what others are refused.
	Powerful bool
	// GroupsOnly refuses users and service accounts.
	GroupsOnly bool
	// BoundTo is the ClusterRole of Kubernetes that is bound instead of one of our own.
	BoundTo string
	// team and organisation say where the role may be given.
	team, organisation bool
}

// Primitive is what lets its holder act as somebody else, or take what others have.
type Primitive struct {
	// May says in words what it is good for.
	May string
	// Namespaces are the only ones where it counts; none is everywhere.
	Namespaces []string
	Actions    []Action
}

// catalogue is what the embedded file says.
type catalogue struct {
	roles      []*Role
	primitives []Primitive
	everyone   scope
}

func (c *catalogue) role(name string) *Role {
	i := slices.IndexFunc(c.roles, func(r *Role) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return c.roles[i]
}

// names lists the roles that may be given to teams, or to the organisation.
func (c *catalogue) names(team bool) []string {
	var out []string
	for _, r := range c.roles {
		if team && r.team || !team && r.organisation {
			out = append(out, r.Name)
		}
	}
	return out
}

// catalogueYAML is the form of the file.
type catalogueYAML struct {
	Roles []struct {
		Name       string   `yaml:"name"`
		Scopes     []string `yaml:"scopes"`
		Includes   string   `yaml:"includes"`
		Powerful   bool     `yaml:"powerful"`
		GroupsOnly bool     `yaml:"groupsOnly"`
		BoundTo    string   `yaml:"boundTo"`
		Namespaced []string `yaml:"namespaced"`
		Cluster    []string `yaml:"cluster"`
	} `yaml:"roles"`
	Primitives []struct {
		May        string   `yaml:"may"`
		Namespaces []string `yaml:"namespaces"`
		Actions    []string `yaml:"actions"`
	} `yaml:"primitives"`
	Everyone []string `yaml:"everyone"`
}

var readCatalogue = sync.OnceValues(func() (*catalogue, error) {
	c, err := parseCatalogue(catalogueText)
	if err != nil {
		return nil, fmt.Errorf("catalogue of personas: %w", err)
	}
	return c, nil
})

// parseCatalogue refuses a role that is not powerful and has a star or a primitive.
func parseCatalogue(text []byte) (*catalogue, error) {
	var y catalogueYAML
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&y); err != nil {
		return nil, err
	}
	c := &catalogue{everyone: scope{}}
	for _, p := range y.Primitives {
		actions, err := parseActions(p.Actions)
		if err != nil {
			return nil, fmt.Errorf("primitive %q: %w", p.May, err)
		}
		c.primitives = append(c.primitives, Primitive{p.May, p.Namespaces, actions})
	}
	for _, r := range y.Roles {
		role := &Role{Name: r.Name, Powerful: r.Powerful, GroupsOnly: r.GroupsOnly, BoundTo: r.BoundTo,
			team: slices.Contains(r.Scopes, "team"), organisation: slices.Contains(r.Scopes, "organisation")}
		if base := c.role(r.Includes); base != nil {
			role.Namespaced, role.Cluster = slices.Clone(base.Namespaced), slices.Clone(base.Cluster)
		} else if r.Includes != "" {
			return nil, fmt.Errorf("%s includes %s, which is not above it", r.Name, r.Includes)
		}
		for list, texts := range map[*[]Action][]string{&role.Namespaced: r.Namespaced, &role.Cluster: r.Cluster} {
			actions, err := parseActions(texts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
			*list = append(*list, actions...)
		}
		if err := c.vet(role); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		c.roles = append(c.roles, role)
	}
	everyone, err := parseActions(y.Everyone)
	for _, a := range everyone {
		c.everyone.add(nil, a)
	}
	return c, err
}

func parseActions(texts []string) ([]Action, error) {
	out := make([]Action, 0, len(texts))
	for _, text := range texts {
		a, err := ParseAction(text)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (c *catalogue) vet(r *Role) error {
	for _, a := range slices.Concat(r.Namespaced, r.Cluster) {
		if a.star() {
			return fmt.Errorf("%q has a star: name what is meant", a)
		}
		if p := c.primitive(a, nil); p != nil && !r.Powerful {
			return fmt.Errorf("who may %q may %s", a, p.May)
		}
	}
	return nil
}

// star reports whether the action stands for what it does not name.
func (a Action) star() bool {
	return slices.ContainsFunc(a.things(), func(t thing) bool {
		return t.verb == "*" || strings.Contains(t.resource+t.group+t.url, "*")
	})
}

// primitive returns the first primitive that an action gives, whole or in part, in
// namespaces; none is the whole cluster. It is nil where it gives none.
func (c *catalogue) primitive(a Action, namespaces []string) *Primitive {
	for i := range c.primitives {
		p := &c.primitives[i]
		if len(p.Namespaces) > 0 && len(namespaces) > 0 && !slices.ContainsFunc(namespaces, func(ns string) bool { return slices.Contains(p.Namespaces, ns) }) {
			continue
		}
		for _, forbidden := range p.Actions {
			if a.overlaps(forbidden) {
				return p
			}
		}
	}
	return nil
}

// overlaps reports whether two actions have anything in common.
func (a Action) overlaps(b Action) bool {
	for _, p := range a.permissions() {
		if slices.ContainsFunc(b.things(), func(t thing) bool { return overlaps(&p, t) }) {
			return true
		}
	}
	return false
}
