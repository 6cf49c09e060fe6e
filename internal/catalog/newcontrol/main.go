// Command newcontrol starts a control: it writes the file with everything that a
// control needs, its fixtures included, for a person to fill in.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

const scaffold = `apiVersion: bulkhead.dev/v1
kind: Control
metadata:
  name: %[1]s
spec:
  title: What it wants, in a few words
  severity: medium # low, medium, high or critical
  layer: workload
  since: v0.1
  why: >-
    What an attacker does where this is missing.
  remedy: >-
    What to write instead.
  match:
    pods: true # every kind that is or makes a pod; or kinds: [Service, networking.k8s.io/Ingress]
    os: linux # leave out where pods of other systems are concerned too
  violations: |-
    variables.containers.filter(k, k.c.?securityContext.?example.orValue(false) != true).map(k, {
      "path": k.path + ".securityContext.example",
      "container": string(k.name),
      "detail": "container " + k.name + " says no example"
    })
  fix:
    safety: risky # safe, risky (note says what may break) or manual (note says what to decide)
    note: What may break.
    jsonPatch: |-
      variables.containers.filter(k, !has(k.c.securityContext)).map(k,
        JSONPatch{op: "add", path: k.pointer + "/securityContext", value: {}}) +
      variables.containers.filter(k, k.c.?securityContext.?example.orValue(false) != true).map(k,
        JSONPatch{op: "add", path: k.pointer + "/securityContext/example", value: true})
  examples:
    bad: # a finding must point at each line that ends in the comment, and at no other
      - |
        apiVersion: v1
        kind: Pod
        metadata:
          name: bad
        spec:
          containers:
            - name: web # want
              image: example.com/web:1
    good:
      - |
        apiVersion: v1
        kind: Pod
        metadata:
          name: good
        spec:
          containers:
            - name: web
              image: example.com/web:1
              securityContext: {example: true}
`

func main() {
	domain := flag.String("domain", "workload", "package of the control: workload, image, network, rbac, controlplane")
	flag.Parse()
	if err := run(*domain, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "newcontrol:", err)
		os.Exit(1)
	}
}

var names = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func run(domain, name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%q is no control name: lower-case words joined by dashes that say what it wants", name)
	}
	dir := filepath.Join("internal", domain, "controls")
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("domain %q has no folder for control files: %w", domain, err)
	}
	path := filepath.Join(dir, name+".yaml")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, scaffold, name); err != nil {
		return err
	}
	fmt.Printf("wrote %s\nFill it in, then: go test ./internal/catalog -run TestExamples/%s\n", path, name)
	return nil
}
