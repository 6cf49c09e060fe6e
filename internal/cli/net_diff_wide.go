package cli

import (
	"strings"

	"bulkhead.dev/bulkhead/internal/network/reach"
)

// maxToldWide bounds how many changes the wide form tells and explains; where there are
// more, it says so, and -o csv has a line for each pair.
const maxToldWide = 10_000

// everyOne makes the text name all workloads and blocks of addresses of a change, and
// explain each.
func (d *netDiff) everyOne() *netDiff {
	d.wide = true
	for _, n := range d.names {
		n.every = true
	}
	return d
}

// mostTold is how many changes the text tells, and mostExplained how many it explains.
func (d *netDiff) mostTold() int {
	if d.wide {
		return maxToldWide
	}
	return maxTold
}

func (d *netDiff) mostExplained() int {
	if d.wide {
		return maxToldWide
	}
	return maxDiffExplained
}

// everyName names all of a set.
func everyName(s reach.Set) string {
	var out []string
	eachEnd(s, func(name string) bool {
		out = append(out, name)
		return true
	})
	return strings.Join(out, ", ")
}
