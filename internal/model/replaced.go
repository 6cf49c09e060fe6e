package model

import "maps"

// Replaced is the world with other objects in the place of some, which it shares
// with w but for those. Nothing of what w knows as a fact is taken over.
func (w *World) Replaced(by map[*Object]*Object) *World {
	out := &World{Root: w.Root, Live: w.Live, Complete: w.Complete, Objects: make([]*Object, len(w.Objects)),
		byKind: make(map[GroupKind][]*Object, len(w.byKind)), namespaces: maps.Clone(w.namespaces), coverage: w.coverage, record: w.record}
	for i, o := range w.Objects {
		if changed := by[o]; changed != nil {
			o = changed
			if o.GroupKind == (GroupKind{Kind: "Namespace"}) {
				out.namespaces[o.Name] = o
			}
		}
		out.Objects[i] = o
		out.byKind[o.GroupKind] = append(out.byKind[o.GroupKind], o)
	}
	return out
}
