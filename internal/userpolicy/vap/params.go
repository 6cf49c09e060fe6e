package vap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/userpolicy/creation"
)

// parameters are the objects of one kind that bindings may refer to: those that were
// given with the policies, and those of the world.
type parameters struct {
	kind     model.GroupKind
	scope    meta.RESTScope
	store    informer
	redacted map[string]bool
	err      error
}

// parametersOf collects them. Where both have one of the same name, the given one counts.
func parametersOf(w *model.World, kind *v1.ParamKind, given []*model.Object, definitions map[model.GroupKind]*model.Object) *parameters {
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return &parameters{err: fmt.Errorf("spec.paramKind: %w", err)}
	}
	p := &parameters{kind: model.GroupKind{Group: gv.Group, Kind: kind.Kind}, redacted: map[string]bool{}}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	p.store = informer{lister: cache.NewGenericLister(indexer, schema.GroupResource{Group: gv.Group, Resource: kind.Kind})}
	p.scope = p.scopeIn(w, given, definitions)
	for _, source := range []struct {
		objects  []*model.Object
		redacted map[*model.Object]bool
	}{{w.Kind(p.kind), redactedIn(w)}, {given, nil}} {
		for _, o := range source.objects {
			if o.GroupKind != p.kind {
				continue
			}
			u, err := creation.AsParameter(o)
			if err == nil {
				err = indexer.Add(u)
			}
			if err != nil {
				p.err = errors.Join(p.err, err)
				continue
			}
			p.redacted[paramKey(u.GetNamespace(), u.GetName())] = source.redacted[o]
		}
	}
	return p
}

func redactedIn(w *model.World) map[*model.Object]bool {
	if r := w.Record(); r != nil {
		return r.Redacted
	}
	return nil
}

// scopeIn is whether the parameters live in namespaces: of a custom kind whose
// definition was not seen, if one of them does.
func (p *parameters) scopeIn(w *model.World, given []*model.Object, definitions map[model.GroupKind]*model.Object) meta.RESTScope {
	namespaced := false
	if r, ok := model.BuiltinResource(p.kind); ok {
		namespaced = r.Namespaced
	} else if d := creation.Definition(w, p.kind, definitions); d != nil {
		namespaced = d.Text("spec", "scope") != "Cluster"
	} else {
		for _, objects := range [][]*model.Object{w.Kind(p.kind), given} {
			for _, o := range objects {
				namespaced = namespaced || o.GroupKind == p.kind && o.Namespace != ""
			}
		}
	}
	if namespaced {
		return meta.RESTScopeNamespace
	}
	return meta.RESTScopeRoot
}

// of collects the parameters of a binding for a request. Unknown says why they are not
// known; an error is one for which the API server applies the policy's failurePolicy.
func (p *parameters) of(r *creation.Request, kind *v1.ParamKind, ref *v1.ParamRef, namespace string) (params []runtime.Object, unknown string, err error) {
	if ref == nil {
		return []runtime.Object{nil}, "", nil
	}
	if p.err != nil {
		return nil, p.err.Error(), nil
	}
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	if p.scope == meta.RESTScopeRoot {
		namespace = ""
	}
	// Whether some are missing is asked apart from what is done about it.
	allow := *ref
	allow.ParameterNotFoundAction = new(v1.ParameterNotFoundActionType)
	*allow.ParameterNotFoundAction = v1.AllowAction
	params, err = generic.CollectParams(kind, p.store, p.scope, &allow, namespace, nil, nil)
	if err != nil {
		return nil, "", err
	}
	reason := r.World.Unobserved(p.kind, namespace)
	switch {
	case len(params) == 0 && reason != "", ref.Selector != nil && reason != "":
		return nil, fmt.Sprintf("its parameters, %s, could not be read: %s", p.describe(ref, namespace), reason), nil
	case len(params) == 0 && (!r.World.Closed(namespace) || r.World.Live && namespace != "" && r.World.Namespace(namespace) == nil):
		return nil, fmt.Sprintf("its parameters, %s, are neither among the policies nor in what is scanned", p.describe(ref, namespace)), nil
	case len(params) == 0 && *ref.ParameterNotFoundAction == v1.DenyAction:
		return nil, "", errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	for _, param := range params {
		if m, err := meta.Accessor(param); err == nil && p.redacted[paramKey(m.GetNamespace(), m.GetName())] {
			return nil, fmt.Sprintf("the snapshot leaves out the values of its parameters, %s %s", p.kind, m.GetName()), nil
		}
	}
	slices.SortFunc(params, func(a, b runtime.Object) int {
		x, y := a.(*unstructured.Unstructured), b.(*unstructured.Unstructured)
		return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName()))
	})
	return params, "", nil
}

func paramKey(namespace, name string) string { return namespace + "/" + name }

func (p *parameters) describe(ref *v1.ParamRef, namespace string) string {
	what := p.kind.String() + " " + ref.Name
	if ref.Selector != nil {
		what = p.kind.String() + " with labels " + metav1.FormatLabelSelector(ref.Selector)
	}
	if namespace != "" {
		what += " in namespace " + namespace
	}
	return what
}

// informer is a store that is filled already, in the form in which the API server's
// collector of parameters wants it.
type informer struct {
	informers.GenericInformer
	lister cache.GenericLister
}

func (i informer) Lister() cache.GenericLister         { return i.lister }
func (i informer) Informer() cache.SharedIndexInformer { return synced{} }

type synced struct{ cache.SharedIndexInformer }

func (synced) HasSynced() bool { return true }
