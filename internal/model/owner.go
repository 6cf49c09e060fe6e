package model

import "strings"

// ID names an object within a world.
type ID struct {
	GroupKind
	Namespace, Name string
}

// ID is the object's own.
func (o *Object) ID() ID { return ID{o.GroupKind, o.Namespace, o.Name} }

// Owner is what an object says manages it. Anyone can write so.
type Owner struct {
	// ID has the namespace of the object: what manages objects of namespaces is in
	// theirs, but for what belongs to the whole cluster, such as a Node.
	ID
	UID string
}

// Controller is the owner of an object that manages it: the ReplicaSet of a Pod. It
// reports false where the object names none.
func (o *Object) Controller() (Owner, bool) {
	for _, r := range o.List("metadata", "ownerReferences") {
		if Get(r, "controller") != true {
			continue
		}
		text := func(field string) string { s, _ := Get(r, field).(string); return s }
		group, _, grouped := strings.Cut(text("apiVersion"), "/")
		if !grouped {
			group = ""
		}
		return Owner{ID{GroupKind{group, text("kind")}, o.Namespace, text("name")}, text("uid")}, true
	}
	return Owner{}, false
}
