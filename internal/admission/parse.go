package admission

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	yaml "go.yaml.in/yaml/v4"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// controlFile is the form of a control on disk.
type controlFile struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Title      string   `yaml:"title"`
		Severity   string   `yaml:"severity"`
		Layer      string   `yaml:"layer"`
		Since      string   `yaml:"since"`
		Why        string   `yaml:"why"`
		Remedy     string   `yaml:"remedy"`
		Subsumes   []string `yaml:"subsumes"`
		Match      match    `yaml:"match"`
		Parameters []struct {
			Name        string `yaml:"name"`
			Description string `yaml:"description"`
			Default     any    `yaml:"default"`
		} `yaml:"parameters"`
		Variables []struct {
			Name       string `yaml:"name"`
			Expression string `yaml:"expression"`
		} `yaml:"variables"`
		Violations  string `yaml:"violations"`
		PodSecurity string `yaml:"podSecurity"`
		Fix         struct {
			Safety    string `yaml:"safety"`
			Note      string `yaml:"note"`
			JSONPatch string `yaml:"jsonPatch"`
		} `yaml:"fix"`
		Examples struct {
			Bad  []string `yaml:"bad"`
			Good []string `yaml:"good"`
		} `yaml:"examples"`
	} `yaml:"spec"`
}

type match struct {
	Pods  bool     `yaml:"pods"`
	OS    string   `yaml:"os"`
	Kinds []string `yaml:"kinds"`
}

// Judges are the ways to judge a pod that are written in Go, by the name that a
// control file gives in podSecurity.
type Judges map[string]func(check.PodInput) []check.Violation

// ParseControl reads one control. The error names what is wrong in the file.
func ParseControl(data []byte, judges Judges) (*check.Control, error) {
	var f controlFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if f.APIVersion != finding.APIVersion || f.Kind != "Control" {
		return nil, fmt.Errorf("is %s %s, want %s Control", f.APIVersion, f.Kind, finding.APIVersion)
	}
	s := f.Spec
	severity, err := finding.ParseSeverity(s.Severity)
	if err != nil {
		return nil, err
	}
	c := &check.Control{
		Rule: finding.Rule{Name: f.Metadata.Name, Title: s.Title, Severity: severity, Layer: finding.Layer(s.Layer),
			Why: trim(s.Why), Remedy: trim(s.Remedy), Since: s.Since, FixSafety: finding.FixSafety(s.Fix.Safety)},
		Subsumes: s.Subsumes,
		FixNote:  trim(s.Fix.Note),
		Examples: check.Examples{Bad: s.Examples.Bad, Good: s.Examples.Good},
		Object: &check.ObjectPolicy{Pods: s.Match.Pods, Linux: s.Match.OS == "linux",
			Violations: trim(s.Violations), Mutation: trim(s.Fix.JSONPatch)},
	}
	if s.Match.OS != "" && s.Match.OS != "linux" {
		return nil, fmt.Errorf("match.os is %q; only linux can be asked for", s.Match.OS)
	}
	for _, k := range s.Match.Kinds {
		gk := model.ParseGroupKind(k)
		if _, ok := model.BuiltinResource(gk); !ok {
			return nil, fmt.Errorf("match.kinds: %q is no kind that Kubernetes has", k)
		}
		c.Object.Kinds = append(c.Object.Kinds, gk)
	}
	for _, p := range s.Parameters {
		value, err := parameterValue(p.Default)
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", p.Name, err)
		}
		c.Parameters = append(c.Parameters, check.Parameter{Name: p.Name, Description: trim(p.Description), Default: value})
	}
	for _, v := range s.Variables {
		c.Object.Variables = append(c.Object.Variables, check.Variable{Name: v.Name, Expression: trim(v.Expression)})
	}
	if s.PodSecurity != "" {
		judge, ok := judges[s.PodSecurity]
		if !ok {
			return nil, fmt.Errorf("podSecurity: there is no check %q", s.PodSecurity)
		}
		c.Object.Judge = judge
	}
	return c, c.Validate()
}

func trim(s string) string { return string(bytes.TrimSpace([]byte(s))) }

// parameterValue gives a default from YAML the types of decoded JSON.
func parameterValue(v any) (any, error) {
	switch v := v.(type) {
	case string, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case []any:
		for _, e := range v {
			if _, ok := e.(string); !ok {
				return nil, errors.New("a list must be of strings")
			}
		}
		return v, nil
	}
	return nil, fmt.Errorf("a default must be a string, a bool, a whole number or a list of strings, not %T", v)
}

// ParseControls reads every control file of a folder, in order of name. The name
// of a file is that of its control.
func ParseControls(files fs.FS, judges Judges) ([]*check.Control, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var controls []*check.Control
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		c, err := ParseControl(data, judges)
		if err != nil {
			return nil, fmt.Errorf("control file %s: %w", name, err)
		}
		if c.Name+".yaml" != path.Base(name) {
			return nil, fmt.Errorf("control file %s holds control %q; give both one name", name, c.Name)
		}
		controls = append(controls, c)
	}
	return controls, nil
}
