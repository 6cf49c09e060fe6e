package text

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
)

const workload = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%d
  labels:
    app: app-%d # the app
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: app-%d}
    spec:
      # one container
      containers:
      - name: app
        image: "registry.example/app:1.%d"
        ports:
        - containerPort: 8080
          name: http
        resources:
          limits: {cpu: 100m, memory: 64Mi}
      - name: helper
        image: registry.example/helper:2
`

// documentsFile is a file of n documents, and k edits of each.
func documentsFile(n, k int) ([]byte, []Change) {
	var b strings.Builder
	var changes []Change
	line := 1
	for i := range n {
		b.WriteString("---\n")
		text := fmt.Sprintf(workload, i, i, i, i)
		changes = append(changes, changesFor(line+1, 1, k)...)
		b.WriteString(text)
		line += 1 + strings.Count(text, "\n")
	}
	return []byte(b.String()), changes
}

// listFile is the same as one List.
func listFile(n, k int) ([]byte, []Change) {
	var b strings.Builder
	var changes []Change
	b.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	line := 4
	for i := range n {
		text := fmt.Sprintf(workload, i, i, i, i)
		changes = append(changes, changesFor(line, 3, k)...)
		line += strings.Count(text, "\n")
		b.WriteString("- " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n  "), "  "))
	}
	return []byte(b.String()), changes
}

func changesFor(line, column, k int) []Change {
	fields := []string{"runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "privileged"}
	var out []Change
	for i := range k {
		path := fmt.Sprintf("/spec/template/spec/containers/%d/securityContext", i%2)
		e := finding.Edit{Op: "add", Path: path, Value: map[string]any{}}
		set := finding.Edit{Op: "add", Path: path + "/" + fields[i/2%4], Value: true}
		c := Change{Line: line, Column: column, Edits: []finding.Edit{set}}
		if i < 2 {
			c.Edits = []finding.Edit{e, set}
		}
		if i >= 8 {
			c.Edits = []finding.Edit{{Op: "add", Path: fmt.Sprintf("/metadata/labels/l%d", i), Value: fmt.Sprint("v", i)}}
		}
		out = append(out, c)
	}
	return out
}

func benchmark(b *testing.B, files int, data []byte, changes []Change) {
	b.SetBytes(int64(files * len(data)))
	for b.Loop() {
		for range files {
			_, refused, _ := Edit(data, changes)
			for _, err := range refused {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(files*len(changes)), "changes/op")
}

// BenchmarkFiles measures 200 files of one object with 50 changes each.
func BenchmarkFiles(b *testing.B) {
	data, changes := documentsFile(1, 50)
	benchmark(b, 200, data, changes)
}

// BenchmarkDocuments measures one file of many documents with three changes for
// every two of them: time must grow as the number of documents does.
func BenchmarkDocuments(b *testing.B) {
	for _, n := range []int{1750, 3500, 7000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data, changes := documentsFile(n, 2)
			benchmark(b, 1, data, changes[:n*3/2])
		})
	}
}

// BenchmarkList measures the same objects as items of one List.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1750, 3500, 7000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data, changes := listFile(n, 2)
			benchmark(b, 1, data, changes[:n*3/2])
		})
	}
}
