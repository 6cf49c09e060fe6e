package text

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/finding"
)

// patient is far more than these tests take, and far less than they did when every
// impossible change was searched for by itself.
const patient = 10 * time.Second

// TestManyImpossible makes changes of one large document of which every second
// cannot be written: those are refused, each with its reason, and all others made.
func TestManyImpossible(t *testing.T) {
	var b strings.Builder
	var changes []Change
	b.WriteString("kind: List\nitems:\n")
	const n = 4000
	for i := range n {
		b.WriteString("- metadata: { # the name\n")
		if i%2 == 0 {
			fmt.Fprintf(&b, "    name: {x%d, # not removed from brackets\n    z}, uid: y }\n", i)
		} else {
			fmt.Fprintf(&b, "    name: {x%d,\n    z}, uid: y }\n", i)
		}
		fmt.Fprintf(&b, "  data:\n    text: %s\n", strings.Repeat("x", 150))
		changes = append(changes, Change{Line: 3 + 5*i, Column: 3, Edits: []finding.Edit{{Op: "remove", Path: "/metadata/name"}, {Op: "add", Path: "/data/more", Value: true}}})
	}
	start := time.Now()
	edited, refused, _ := Edit([]byte(b.String()), changes)
	took := time.Since(start)
	for i, err := range refused {
		if impossible := i%2 == 0; impossible != (err != nil) || impossible && !strings.Contains(err.Error(), fmt.Sprintf("line %d: a comment stands", 3+5*i)) {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if n := strings.Count(string(edited), "more: true"); n != len(changes)/2 {
		t.Errorf("%d changes were made", n)
	}
	if took > patient {
		t.Errorf("took %s", took)
	}
	t.Logf("%d bytes took %s", b.Len(), took)
}

// TestManyOfOneMap changes one large map many times.
func TestManyOfOneMap(t *testing.T) {
	var b strings.Builder
	var changes []Change
	const n = 4000
	for i := range n {
		fmt.Fprintf(&b, "k%d: %s\n", i, strings.Repeat("x", 150))
		changes = append(changes, Change{Edits: []finding.Edit{{Op: "replace", Path: fmt.Sprintf("/k%d", i), Value: "z"}, {Op: "add", Path: fmt.Sprintf("/l%d", i), Value: int64(i)}}})
	}
	start := time.Now()
	edited, refused, _ := Edit([]byte(b.String()), changes)
	took := time.Since(start)
	for i, err := range refused {
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if n := strings.Count(string(edited), ": z\n"); n != len(changes) {
		t.Errorf("%d changes were made", n)
	}
	if took > patient {
		t.Errorf("took %s", took)
	}
	t.Logf("%d bytes took %s", b.Len(), took)
}
