package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Manager is the field manager of all changes.
const Manager = "bulkhead"

// Patch is a change of one object as an API server takes it.
type Patch struct {
	// Type is types.ApplyPatchType or types.JSONPatchType.
	Type types.PatchType
	// Configuration is what is applied; nil for a JSON Patch. It names the object by
	// its uid too, so that it makes no new one where the object is gone.
	Configuration map[string]any
	// Operations are the JSON Patch; nil for what is applied.
	Operations []Operation
	// Managers own fields that are changed, so that an apply conflicts with them.
	Managers []string
}

// Operation is one of a JSON Patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// MarshalJSON writes a value of a test, also where it is null.
func (o Operation) MarshalJSON() ([]byte, error) {
	m := map[string]any{"op": o.Op, "path": o.Path}
	if o.Op != "remove" {
		m["value"] = o.Value
	}
	return json.Marshal(m)
}

// Body is the patch as it is sent, with the version of the object that it is meant
// for, unless that is empty.
func (p *Patch) Body(resourceVersion string) ([]byte, error) {
	if p.Type == types.JSONPatchType {
		operations := p.Operations
		if resourceVersion != "" {
			operations = append([]Operation{{"test", "/metadata/resourceVersion", resourceVersion}}, operations...)
		}
		return json.Marshal(operations)
	}
	content := p.Configuration
	if resourceVersion != "" {
		content = (&unstructured.Unstructured{Object: content}).DeepCopy().Object
		content["metadata"].(map[string]any)["resourceVersion"] = resourceVersion
	}
	return json.Marshal(content)
}

// New makes the patch that turns an object, as the API server has it with its
// managedFields, into after. Edits are the same change. The
// converter may be nil, where the schema of the object is not known; then it is a
// JSON Patch.
func New(converter managedfields.TypeConverter, live, after map[string]any, edits []finding.Edit) (*Patch, error) {
	if converter != nil {
		others, own := managers(live)
		p, err := configuration(converter, live, after, others, own)
		if err != nil || p != nil {
			return p, err
		}
	}
	operations, err := tested(live, edits)
	if err != nil {
		return nil, err
	}
	return &Patch{Type: types.JSONPatchType, Operations: operations}, nil
}

// configuration is the least that is to be applied; nil where server-side apply
// cannot say the change.
func configuration(converter managedfields.TypeConverter, live, after map[string]any, others map[string]*fieldpath.Set, own *fieldpath.Set) (*Patch, error) {
	before, err := typedOf(converter, live)
	if err != nil {
		return nil, nil // the schema does not know the object as it is
	}
	wanted, err := typedOf(converter, after)
	if err != nil {
		return nil, fmt.Errorf("the change does not fit the API server's schema: %w", err)
	}
	difference, err := before.Compare(wanted)
	if err != nil {
		return nil, nil
	}
	if !onlyOwn(difference.Removed, others, own) {
		return nil, nil
	}
	changed := difference.Added.Union(difference.Modified)
	// What was applied before and is left out now would be taken back.
	extracted := wanted.ExtractItems(changed.Leaves().Union(own.Leaves()), typed.WithAppendKeyFields())
	if !says(before, extracted, wanted, difference.Removed) {
		return nil, nil
	}
	object, err := converter.TypedToObject(extracted)
	if err != nil {
		return nil, fmt.Errorf("the change cannot be applied: %w", err)
	}
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil, errors.New("the change is no object")
	}
	p := &Patch{Type: types.ApplyPatchType, Configuration: u.Object}
	identify(p.Configuration, live)
	for name, set := range others {
		if !set.Intersection(difference.Modified.Leaves()).Empty() {
			p.Managers = append(p.Managers, name)
		}
	}
	slices.Sort(p.Managers)
	return p, nil
}

// typedOf takes lists with the same key twice, which the API server keeps too.
func typedOf(converter managedfields.TypeConverter, content map[string]any) (*typed.TypedValue, error) {
	u := (&unstructured.Unstructured{Object: content}).DeepCopy()
	u.SetManagedFields(nil)
	return converter.ObjectToTyped(u, typed.AllowDuplicates)
}

// onlyOwn reports whether all that goes away was applied by this manager alone: to
// leave it out removes it.
func onlyOwn(removed *fieldpath.Set, others map[string]*fieldpath.Set, own *fieldpath.Set) bool {
	only := true
	removed.Leaves().Iterate(func(p fieldpath.Path) {
		only = only && own.Has(p)
		for _, set := range others {
			only = only && !set.Has(p)
		}
	})
	return only
}

// says reports whether to apply a configuration gives what is wanted.
func says(before, configuration, wanted *typed.TypedValue, removed *fieldpath.Set) bool {
	merged, err := before.RemoveItems(removed.Leaves()).Merge(configuration)
	if err != nil {
		return false
	}
	left, err := merged.Compare(wanted)
	return err == nil && left.IsSame()
}

// identify names the object that a configuration is for, and no other.
func identify(configuration, live map[string]any) {
	for _, field := range []string{"apiVersion", "kind"} {
		configuration[field] = live[field]
	}
	meta, _ := configuration["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		configuration["metadata"] = meta
	}
	for _, field := range []string{"name", "namespace", "uid"} {
		if v := model.Get(live, "metadata", field); v != nil {
			meta[field] = v
		}
	}
}

// managers are the fields that managers of an object own, but for its status and
// other subresources. Own are those that this program applied.
func managers(live map[string]any) (others map[string]*fieldpath.Set, own *fieldpath.Set) {
	others, own = map[string]*fieldpath.Set{}, fieldpath.NewSet()
	for _, entry := range (&unstructured.Unstructured{Object: live}).GetManagedFields() {
		if entry.FieldsV1 == nil || entry.Subresource != "" {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			continue
		}
		if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply {
			own = own.Union(set)
			continue
		}
		if known := others[entry.Manager]; known != nil {
			set = known.Union(set)
		}
		others[entry.Manager] = set
	}
	return others, own
}

// tested are edits as a JSON Patch, each after a test that what it takes away, and
// the item of a list that it is in, are still the same.
func tested(live map[string]any, edits []finding.Edit) ([]Operation, error) {
	operations := []Operation{{"test", "/metadata/uid", model.Get(live, "metadata", "uid")}}
	seen := map[string]bool{}
	at := live
	for _, e := range edits {
		tests, err := testsOf(at, e)
		if err != nil {
			return nil, err
		}
		for _, t := range tests {
			if !seen[t.Path] {
				seen[t.Path] = true
				operations = append(operations, t)
			}
		}
		if e.Op != "replace" {
			clear(seen) // items of a list may stand elsewhere now
		}
		operations = append(operations, Operation{e.Op, e.Path, e.Value})
		if at, err = finding.Apply(at, []finding.Edit{e}); err != nil {
			return nil, err
		}
	}
	return operations, nil
}

func testsOf(content map[string]any, e finding.Edit) ([]Operation, error) {
	tokens, err := finding.SplitPointer(e.Path)
	if err != nil {
		return nil, err
	}
	var tests []Operation
	var at any = content
	for i, t := range tokens {
		at = step(at, t)
		if _, err := strconv.Atoi(t); err != nil || i == len(tokens)-1 {
			continue
		}
		if name, ok := model.Get(at, "name").(string); ok {
			tests = append(tests, Operation{"test", finding.JoinPointer(tokens[:i+1]...) + "/name", name})
		}
	}
	if e.Op != "add" {
		tests = append(tests, Operation{"test", e.Path, at})
	}
	return tests, nil
}

// step follows one reference token; nil where it leads nowhere.
func step(v any, token string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
