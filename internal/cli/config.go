package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// configName is the configuration file that is looked for in the working folder.
const configName = ".bulkhead.yaml"

// config is what an organisation settles once. Flags win over it.
type config struct {
	// Controls pins the control set: v0.1 runs no control that is newer.
	Controls          string        `yaml:"controls"`
	Profile           string        `yaml:"profile"`
	Skip              []string      `yaml:"skip"`
	FailOn            string        `yaml:"failOn"`
	KubernetesVersion string        `yaml:"kubernetesVersion"`
	Complete          bool          `yaml:"complete"`
	Baseline          string        `yaml:"baseline"`
	Waivers           waiverConfig  `yaml:"waivers"`
	PodTemplates      []podTemplate `yaml:"podTemplates"`
	overrides         `yaml:",inline"`
	Namespaces        []struct {
		Names     []string `yaml:"names"`
		overrides `yaml:",inline"`
	} `yaml:"namespaces"`
}

type overrides struct {
	Severities map[string]string         `yaml:"severities"`
	Parameters map[string]map[string]any `yaml:"parameters"`
}

// waiverConfig says where waivers come from. Annotations are written by those
// who are judged, so the platform can switch them off or limit them.
type waiverConfig struct {
	Files       []string `yaml:"files"`
	Annotations *bool    `yaml:"annotations"`
	// AnnotationNamespaces are patterns of namespaces whose annotations count: all
	// where it is left out, none where the list is empty.
	AnnotationNamespaces []string `yaml:"annotationNamespaces"`
}

// podTemplate names a custom resource that carries a pod template.
type podTemplate struct {
	Group string `yaml:"group"`
	Kind  string `yaml:"kind"`
	// Path leads to the map with the pod's metadata and spec: spec.template.
	Path string `yaml:"path"`
}

// readConfig reads the file that was named, or the one in the working folder if
// there is one.
func readConfig(path string) (*config, error) {
	named := path != ""
	if !named {
		path = configName
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return &config{}, nil
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("read the configuration: %w", err)}
	}
	c := &config{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && len(bytes.TrimSpace(data)) > 0 {
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return c, nil
}

// settings turns the configuration into what check.Run reads.
func (c *config) settings() (check.Settings, error) {
	top, err := c.overrides.parse()
	if err != nil {
		return check.Settings{}, err
	}
	s := check.Settings{Overrides: top}
	for _, n := range c.Namespaces {
		o, err := n.overrides.parse()
		if err != nil {
			return s, err
		}
		s.Namespaces = append(s.Namespaces, check.NamespaceSettings{Names: n.Names, Overrides: o})
	}
	return s, nil
}

func (o overrides) parse() (check.Overrides, error) {
	out := check.Overrides{Severities: map[string]finding.Severity{}, Parameters: map[string]map[string]any{}}
	for name, text := range o.Severities {
		s, err := finding.ParseSeverity(text)
		if err != nil {
			return out, usageError{fmt.Errorf("severities.%s: %w", name, err)}
		}
		out.Severities[name] = s
	}
	for name, values := range o.Parameters {
		out.Parameters[name] = map[string]any{}
		for p, v := range values {
			if i, ok := v.(int); ok {
				v = int64(i)
			}
			out.Parameters[name][p] = v
		}
	}
	return out, nil
}

func (c *config) templates() ([]model.PodTemplate, error) {
	var out []model.PodTemplate
	for _, t := range c.PodTemplates {
		path, err := model.ParsePath(t.Path)
		if err != nil {
			return nil, usageError{fmt.Errorf("podTemplates: %w", err)}
		}
		for _, s := range path {
			if s.Key == "" || strings.ContainsAny(s.Key, `."/~`) {
				return nil, usageError{fmt.Errorf("podTemplates: %s: the path must be plain keys joined by dots", t.Path)}
			}
		}
		out = append(out, model.PodTemplate{GroupKind: model.GroupKind{Group: t.Group, Kind: t.Kind}, Path: path})
	}
	return out, nil
}
