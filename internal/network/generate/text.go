package generate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// maxWhy is how many reasons stand above a rule.
const maxWhy = 6

// WriteYAML writes policies with a comment at each that says why it is there, and one at
// each of their rules.
func WriteYAML(out *bytes.Buffer, policies []*Policy) error {
	for i, p := range policies {
		if i > 0 {
			out.WriteString("---\n")
		}
		for _, why := range p.Why {
			comment(out, "", why)
		}
		if err := p.write(out); err != nil {
			return fmt.Errorf("write policy %s: %w", nameOf(p.NetworkPolicy), err)
		}
	}
	return nil
}

func (p *Policy) write(out *bytes.Buffer) error {
	content, err := contentOf(p.NetworkPolicy)
	if err != nil {
		return err
	}
	spec, _ := content["spec"].(map[string]any)
	delete(spec, "ingress")
	delete(spec, "egress")
	// The parts in the order in which people write them.
	for _, part := range []map[string]any{{"apiVersion": content["apiVersion"]}, {"kind": content["kind"]}, {"metadata": content["metadata"]}} {
		if err := block(out, "", part); err != nil {
			return err
		}
	}
	out.WriteString("spec:\n")
	for _, field := range []string{"podSelector", "policyTypes"} {
		if err := block(out, "  ", map[string]any{field: spec[field]}); err != nil {
			return err
		}
	}
	if len(p.Spec.Ingress) > 0 {
		out.WriteString("  ingress:\n")
	}
	for i, r := range p.Spec.Ingress {
		if err := writeRule(out, p.Ingress[i], "from", r.From, r.Ports); err != nil {
			return err
		}
	}
	if len(p.Spec.Egress) > 0 {
		out.WriteString("  egress:\n")
	}
	for i, r := range p.Spec.Egress {
		if err := writeRule(out, p.Egress[i], "to", r.To, r.Ports); err != nil {
			return err
		}
	}
	return nil
}

func writeRule(out *bytes.Buffer, why []Evidence, field string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
	for i, e := range why {
		if i == maxWhy && len(why) > maxWhy+1 {
			comment(out, "  ", fmt.Sprintf("and %d reasons more", len(why)-maxWhy))
			break
		}
		comment(out, "  ", e.String())
	}
	var text bytes.Buffer
	if len(peers) > 0 {
		if err := block(&text, "", map[string]any{field: peers}); err != nil {
			return err
		}
	}
	if len(ports) > 0 {
		if err := block(&text, "", map[string]any{"ports": ports}); err != nil {
			return err
		}
	}
	if text.Len() == 0 {
		text.WriteString("{}\n")
	}
	indent := "  - "
	for line := range bytes.Lines(text.Bytes()) {
		out.WriteString(indent)
		out.Write(line)
		indent = "    "
	}
	return nil
}

// block writes a value as YAML, behind an indent.
func block(out *bytes.Buffer, indent string, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		out.WriteString(indent)
		out.Write(line)
	}
	return nil
}

// comment writes a line that is a comment whatever its text has in it.
func comment(out *bytes.Buffer, indent, text string) {
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxComment {
		text = string(runes[:maxComment]) + "..."
	}
	fmt.Fprintf(out, "%s# %s\n", indent, strings.TrimSpace(text))
}

// maxComment is how long a comment may be.
const maxComment = 300

// ReadYAML reads policies as kubectl does.
func ReadYAML(text []byte) (out []*networkingv1.NetworkPolicy, err error) {
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		p := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict(document, p); err != nil {
			return nil, fmt.Errorf("read back what was written: %w", err)
		}
		if p.Kind != "" {
			out = append(out, p)
		}
	}
	return slices.Clip(out), nil
}
