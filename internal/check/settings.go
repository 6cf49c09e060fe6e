package check

import (
	"fmt"
	"path"
	"slices"

	"bulkhead.dev/bulkhead/internal/finding"
)

// Settings are what an organisation says about controls: for all namespaces,
// and for some.
type Settings struct {
	Overrides
	Namespaces []NamespaceSettings
}

// NamespaceSettings apply to namespaces whose name matches one of the patterns
// (path.Match). Later ones win over earlier ones.
type NamespaceSettings struct {
	Names []string
	Overrides
}

// Overrides change severities and parameters of controls, by control name.
type Overrides struct {
	Severities map[string]finding.Severity
	Parameters map[string]map[string]any
}

// Validate reports settings that name no control or parameter, or that have the
// wrong type.
func (s *Settings) Validate(controls []*Control) error {
	byName := map[string]*Control{}
	for _, c := range controls {
		byName[c.Name] = c
	}
	all := []Overrides{s.Overrides}
	for _, n := range s.Namespaces {
		for _, pattern := range n.Names {
			if _, err := path.Match(pattern, ""); err != nil {
				return fmt.Errorf("namespace pattern %q: %w", pattern, err)
			}
		}
		all = append(all, n.Overrides)
	}
	for _, o := range all {
		for name := range o.Severities {
			if byName[name] == nil {
				return fmt.Errorf("severities: there is no control %q; see bulkhead controls", name)
			}
		}
		for name, parameters := range o.Parameters {
			c := byName[name]
			if c == nil {
				return fmt.Errorf("parameters: there is no control %q; see bulkhead controls", name)
			}
			for p, v := range parameters {
				if err := c.checkParameter(p, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *Control) checkParameter(name string, value any) error {
	i := slices.IndexFunc(c.Parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return fmt.Errorf("control %q has no parameter %q; see bulkhead explain %s", c.Name, name, c.Name)
	}
	if want, got := fmt.Sprintf("%T", c.Parameters[i].Default), fmt.Sprintf("%T", value); want != got {
		return fmt.Errorf("control %q: parameter %q must be %s, like %v", c.Name, name, typeName(c.Parameters[i].Default), c.Parameters[i].Default)
	}
	if list, ok := value.([]any); ok {
		for _, e := range list {
			if _, ok := e.(string); !ok {
				return fmt.Errorf("control %q: parameter %q must be a list of strings", c.Name, name)
			}
		}
	}
	return nil
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64:
		return "a whole number"
	default:
		return "a list of strings"
	}
}

// scope is what settings say for a set of namespaces. Namespaces to which the
// same overrides apply share one scope, and so one compiled evaluator.
type scope struct {
	severities map[string]finding.Severity
	parameters Parameters
}

// Parameters are the values of all parameters, by control and name.
type Parameters map[string]map[string]any

// Defaults returns the parameters as the controls define them.
func Defaults(controls []*Control) Parameters {
	out := Parameters{}
	for _, c := range controls {
		if len(c.Parameters) == 0 {
			continue
		}
		values := map[string]any{}
		for _, p := range c.Parameters {
			values[p.Name] = p.Default
		}
		out[c.Name] = values
	}
	return out
}

// ParametersFor returns the parameters that apply in a namespace, and a key that
// is the same for all namespaces with the same ones.
func (s *Settings) ParametersFor(namespace string, controls []*Control) (key string, p Parameters) {
	key = s.scopeKey(namespace)
	return key, s.scope(key, controls).parameters
}

// scopeKey says which namespace settings apply: one byte for each.
func (s *Settings) scopeKey(namespace string) string {
	key := make([]byte, len(s.Namespaces))
	for i, n := range s.Namespaces {
		key[i] = '0'
		if namespace != "" && slices.ContainsFunc(n.Names, func(p string) bool { ok, _ := path.Match(p, namespace); return ok }) {
			key[i] = '1'
		}
	}
	return string(key)
}

func (s *Settings) scope(key string, controls []*Control) *scope {
	sc := &scope{severities: map[string]finding.Severity{}, parameters: Defaults(controls)}
	sc.apply(s.Overrides)
	for i, n := range s.Namespaces {
		if key[i] == '1' {
			sc.apply(n.Overrides)
		}
	}
	return sc
}

func (sc *scope) apply(o Overrides) {
	for name, severity := range o.Severities {
		sc.severities[name] = severity
	}
	for name, values := range o.Parameters {
		if sc.parameters[name] == nil {
			continue // the control was not selected for this run
		}
		for p, v := range values {
			sc.parameters[name][p] = v
		}
	}
}
