package controlplane

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/model"
)

//go:embed lifecycles.txt
var lifecycleTable string

// lifecycle is when Kubernetes deprecated and removed a version of a kind. Minor
// versions of Kubernetes 1; 0 is never.
type lifecycle struct {
	deprecated, removed int
	// instead is the group and version to use; empty where nothing does the same.
	instead string
	// since is the first version that serves it, 0 where that does not matter.
	since int
}

// versionedKind is what an object says it is.
type versionedKind struct{ apiVersion, kind string }

// lifecycles are the rows of the table.
type lifecycles struct {
	of map[versionedKind]lifecycle
	// kinds are those that the table, or Kubernetes today, has.
	kinds map[model.GroupKind]bool
}

var readLifecycles = sync.OnceValues(func() (*lifecycles, error) {
	t := &lifecycles{of: map[versionedKind]lifecycle{}, kinds: map[model.GroupKind]bool{}}
	for _, r := range model.BuiltinResources() {
		t.kinds[r.GroupKind] = true
	}
	for line := range strings.Lines(lifecycleTable) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 5 {
			return nil, fmt.Errorf("lifecycles.txt: %q has too few columns", line)
		}
		instead, since, _ := strings.Cut(strings.TrimPrefix(fields[3], "-"), "@")
		numbers, err := minorVersions(fields[1], fields[2], since)
		if err != nil {
			return nil, fmt.Errorf("lifecycles.txt: %q: %w", line, err)
		}
		l := lifecycle{numbers[0], numbers[1], instead, numbers[2]}
		for _, kind := range fields[4:] {
			t.of[versionedKind{fields[0], kind}] = l
			t.kinds[groupKind(fields[0], kind)] = true
		}
	}
	return t, nil
})

// minorVersions reads numbers, of which - and nothing are 0.
func minorVersions(texts ...string) ([]int, error) {
	out := make([]int, len(texts))
	for i, text := range texts {
		if text == "-" || text == "" {
			continue
		}
		var err error
		if out[i], err = strconv.Atoi(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func groupKind(apiVersion, kind string) model.GroupKind {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group = ""
	}
	return model.GroupKind{Group: group, Kind: kind}
}

// advice says what to do about a version that is gone or will go.
func (l lifecycle) advice(kind string, version int) string {
	switch {
	case kind == "PodSecurityPolicy":
		return "use the labels of Pod Security on namespaces, and admission policies for what they do not cover"
	case kind == "Endpoints":
		return "use EndpointSlice of discovery.k8s.io/v1"
	case kind == "ComponentStatus":
		return "ask the health endpoints of the components"
	case kind == "PodPreset":
		return "use a mutating admission policy"
	case l.instead == "":
		return "nothing replaces it"
	case l.since > version:
		return fmt.Sprintf("use %s, from Kubernetes 1.%d on", l.instead, l.since)
	}
	return "use " + l.instead
}

// usedVersion is the version of its API that whoever wrote an object used.
type usedVersion struct {
	versionedKind
	path model.Path
}

// versionUsed reports false where that is not known: on a cluster an object is
// served in whichever version one asks for, and only the manifest that kubectl
// remembers tells.
func versionUsed(w *model.World, o *model.Object) (usedVersion, bool) {
	if !w.Live {
		apiVersion, _ := o.Content["apiVersion"].(string)
		return usedVersion{versionedKind{apiVersion, o.Kind}, model.Path(nil).Keys("apiVersion")}, true
	}
	apiVersion, kind := model.AppliedVersion(o.Annotations()[model.LastApplied])
	return usedVersion{versionedKind{apiVersion, kind}, model.Path(nil).Keys("metadata", "annotations", model.LastApplied)}, apiVersion != ""
}

// judgeVersions judges every object of Kubernetes' own kinds by the version of its
// API; detail says what is wrong with one, empty is nothing.
func judgeVersions(detail func(lifecycle, versionedKind, int) string) func(*check.Input) []check.Judgement {
	return func(in *check.Input) []check.Judgement {
		table, err := readLifecycles()
		if err != nil {
			return nil // Controls has refused to run
		}
		out := make([]check.Judgement, 0, len(in.World.Objects))
		for _, o := range in.World.Objects {
			if !table.kinds[o.GroupKind] {
				continue
			}
			used, known := versionUsed(in.World, o)
			l, listed := table.of[used.versionedKind]
			switch d := detail(l, used.versionedKind, in.Version); {
			case !known:
				out = append(out, check.Inapplicable(o))
			case listed && d != "":
				out = append(out, check.Failed(o, check.Violation{Path: used.path, Detail: d}))
			default:
				out = append(out, check.Passed(o))
			}
		}
		return out
	}
}
