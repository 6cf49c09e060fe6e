package kustomize

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// parseNodes returns the documents of a YAML file with their lines.
func parseNodes(data []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var documents []*yaml.Node
	for {
		var n yaml.Node
		err := decoder.Decode(&n)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			documents = append(documents, n.Content[0])
		}
	}
}

// field returns the value of a mapping's field, and its key; nil where there is
// none. kustomize takes the names of fields in any case.
func field(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, name) {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// lineOf returns the line of the scalar in a field of a kustomization that is
// or ends in value, or the field's own, or 0.
func lineOf(root *yaml.Node, name, value string) int {
	key, inside := field(root, name)
	if key == nil {
		return 0
	}
	if line := scalarLine(inside, value); line > 0 {
		return line
	}
	return key.Line
}

func scalarLine(n *yaml.Node, value string) int {
	if n.Kind == yaml.ScalarNode && (n.Value == value || strings.HasSuffix(n.Value, "="+value)) {
		return n.Line
	}
	for _, c := range n.Content { // an alias has none: no loops
		if line := scalarLine(c, value); line > 0 {
			return line
		}
	}
	return 0
}

// text returns the scalar value of a mapping's field, or "".
func text(n *yaml.Node, name string) string {
	if _, v := field(n, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}
