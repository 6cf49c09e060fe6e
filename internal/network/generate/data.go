package generate

import (
	"encoding/base64"

	"bulkhead.dev/bulkhead/internal/model"
)

// data are the texts of a ConfigMap or a Secret. Those of Secrets are looked through for
// names of Services, and never told.
func (m *manifests) data(kind, namespace, name string) map[string]string {
	if name == "" {
		return nil
	}
	id := model.ID{GroupKind: model.GroupKind{Kind: kind}, Namespace: namespace, Name: name}
	if m.contents == nil {
		m.readData()
	}
	return m.contents[id]
}

// readData reads all ConfigMaps and Secrets.
func (m *manifests) readData() {
	m.contents = map[model.ID]map[string]string{}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		for _, o := range m.world.Kind(model.GroupKind{Kind: kind}) {
			m.contents[o.ID()] = dataOf(kind, o)
		}
	}
}

func dataOf(kind string, o *model.Object) map[string]string {
	out := map[string]string{}
	for key, value := range model.StringMap(o.Get("data")) {
		if kind == "Secret" {
			decoded, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				continue
			}
			value = string(decoded)
		}
		out[key] = value
	}
	for key, value := range model.StringMap(o.Get("stringData")) {
		out[key] = value
	}
	return out
}
