// Command cyclonus answers with the matcher of github.com/mattfenwick/cyclonus who may talk
// to whom under NetworkPolicies, for the tests of internal/network/reach: a second opinion.
// It is a module of its own, because the matcher needs libraries that nothing else does.
//
// It reads clusters from stdin as JSON, one after the other, and writes the answers to each
// as a list of booleans.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// cluster is what is asked. Policies have policyTypes, and are ones that an API server takes.
type cluster struct {
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	Sides    []side                        `json:"sides"`
	Asked    []traffic                     `json:"asked"`
}

// side is a pod, or an address outside, which has no namespace.
type side struct {
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
	Address         string            `json:"address"`
}

// traffic is from one side to another, by their numbers. Name is that of the port.
type traffic struct {
	From     int             `json:"from"`
	To       int             `json:"to"`
	Port     int             `json:"port"`
	Name     string          `json:"name"`
	Protocol corev1.Protocol `json:"protocol"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cyclonus:", err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c cluster
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a cluster from stdin: %w", err)
		}
		policy := matcher.BuildNetworkPolicies(false, c.Policies)
		answers := make([]bool, len(c.Asked))
		for i, t := range c.Asked {
			answers[i] = policy.IsTrafficAllowed(&matcher.Traffic{Source: c.Sides[t.From].peer(), Destination: c.Sides[t.To].peer(),
				ResolvedPort: t.Port, ResolvedPortName: t.Name, Protocol: t.Protocol}).IsAllowed()
		}
		if err := encoder.Encode(answers); err != nil {
			return fmt.Errorf("writing answers to stdout: %w", err)
		}
	}
}

func (s side) peer() *matcher.TrafficPeer {
	p := &matcher.TrafficPeer{IP: s.Address}
	if s.Namespace != "" {
		p.Internal = &matcher.InternalPeer{PodLabels: s.Labels, NamespaceLabels: s.NamespaceLabels, Namespace: s.Namespace}
	}
	return p
}
