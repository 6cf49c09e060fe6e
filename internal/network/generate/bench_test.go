package generate

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead.dev/bulkhead/internal/load/manifest"
	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// BenchmarkGenerate derives, writes and proves policies for 100 namespaces of 10
// deployments, each of which names two others.
func BenchmarkGenerate(b *testing.B) {
	var text strings.Builder
	var namespaces []string
	for ns := range 100 {
		name := fmt.Sprint("ns-", ns)
		namespaces = append(namespaces, name)
		for i := range 10 {
			one := app(fmt.Sprint("w", i), fmt.Sprintf(", env: [{name: A, value: 'w%d:80'}, {name: B, value: 'w%d.ns-%d:80'}]", (i+1)%10, (i+2)%10, (ns+1)%100)) + service(fmt.Sprint("w", i), "{port: 80, targetPort: 8080}")
			text.WriteString(strings.ReplaceAll(one, "namespace: shop", "namespace: "+name))
		}
	}
	file := manifest.NewDecoder().Decode(model.Source{File: "test.yaml"}, []byte(text.String()))
	w := model.NewWorld(file.Objects, model.WorldOptions{})
	for b.Loop() {
		c := reach.NewCluster(w, reach.Upstream)
		d := FromManifests(w, c, ManifestOptions{Namespaces: namespaces})
		d.Add(FromResolver(w, c, namespaces))
		set, err := Generate(&Request{Cluster: c, World: w, Namespaces: namespaces, Wants: d.Wants, Assumed: d.Assumed})
		if err != nil {
			b.Fatal(err)
		}
		proof, err := set.Prove()
		if err != nil || proof.Failed() || proof.Wanted != 2100 {
			b.Fatal(err, proof)
		}
	}
}
