package rbac

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
)

// defaultObjects are the roles and bindings that the API server of Kubernetes
// 1.37 makes by itself, one JSON object a line. A test makes the file anew from a
// real API server and compares.
//
//go:embed defaults.jsonl
var defaultObjects []byte

// defaultObject is a role or binding that every cluster has.
type defaultObject struct {
	Kind            string                  `json:"kind"`
	Namespace       string                  `json:"namespace,omitempty"`
	Name            string                  `json:"name"`
	Labels          map[string]string       `json:"labels,omitempty"`
	AggregationRule *rbacv1.AggregationRule `json:"aggregationRule,omitempty"`
	Rules           []rbacv1.PolicyRule     `json:"rules,omitempty"`
	RoleRef         *rbacv1.RoleRef         `json:"roleRef,omitempty"`
	Subjects        []rbacv1.Subject        `json:"subjects,omitempty"`
}

// defaults are what every cluster has, by kind.
type defaults struct {
	roles    map[roleKey]*defaultObject
	bindings map[roleKey]*defaultObject
	// granted says which subjects hold a role by default.
	granted map[roleKey]map[Subject]bool
}

// clusterInfo is the Role by which kubeadm lets a machine that joins, and knows
// nobody yet, read the cluster's public address and certificate.
var clusterInfo = roleKey{"kube-public", "kubeadm:bootstrap-signer-clusterinfo"}

var readDefaults = sync.OnceValues(func() (*defaults, error) {
	d := &defaults{roles: map[roleKey]*defaultObject{}, bindings: map[roleKey]*defaultObject{}, granted: map[roleKey]map[Subject]bool{}}
	d.grant(clusterInfo, Subject{Kind: rbacv1.UserKind, Name: "system:anonymous"})
	lines := bufio.NewScanner(bytes.NewReader(defaultObjects))
	lines.Buffer(nil, len(defaultObjects)+1)
	for lines.Scan() {
		o := &defaultObject{}
		if err := json.Unmarshal(lines.Bytes(), o); err != nil {
			return nil, fmt.Errorf("default roles of Kubernetes: %w", err)
		}
		key := roleKey{o.Namespace, o.Name}
		if o.RoleRef == nil {
			d.roles[key] = o
			continue
		}
		d.bindings[key] = o
		for _, s := range o.Subjects {
			d.grant(refKey(*o.RoleRef, o.Namespace), newSubject(s, o.Namespace))
		}
	}
	return d, lines.Err()
})

func (d *defaults) grant(role roleKey, s Subject) {
	if d.granted[role] == nil {
		d.granted[role] = map[Subject]bool{}
	}
	d.granted[role][s] = true
}
