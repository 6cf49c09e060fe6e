package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"bulkhead.dev/bulkhead/internal/check"
	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// NamespaceLevel is how a namespace stands with Pod Security: what it enforces,
// and what its pods would allow it to enforce.
type NamespaceLevel struct {
	// Policy is what the labels of the namespace say; privileged for modes that
	// have none.
	Policy psapi.Policy
	// Version is the minor version of Kubernetes 1 whose rules are enforced: that of
	// the label enforce-version, or that of the cluster where the label is missing,
	// says latest, or is newer.
	Version int
	// Possible is the strictest level that refuses nothing that was judged.
	Possible psapi.Level
	// Pods counts what was judged: pods, and templates that no other object in the
	// namespace controls.
	Pods int
	// Blocking is what the level above Possible would refuse, by name. It is empty
	// where Possible is restricted.
	Blocking []Blocker
	// Unknown says why there is no answer: a kind that could not be read, a pod that
	// the API server would refuse. Possible then means nothing.
	Unknown string
}

// Blocker is an object whose pods a level would refuse.
type Blocker struct {
	// Object is the outermost controller of the pods that is known: the Deployment
	// rather than its pods.
	Object finding.Ref
	// Reasons are what the API server would give, in its words.
	Reasons []string
}

// Next is the level above Possible, empty where there is none.
func (l *NamespaceLevel) Next() psapi.Level {
	switch l.Possible {
	case psapi.LevelPrivileged:
		return psapi.LevelBaseline
	case psapi.LevelBaseline:
		return psapi.LevelRestricted
	}
	return ""
}

// Levels returns how every namespace stands that World.Namespaces lists or that an
// object with a pod lives in, by name, for a minor version of Kubernetes 1. It is
// computed once for a world and version and must not be changed.
func Levels(w *model.World, version int) map[string]NamespaceLevel {
	l := levelsByVersion.Of(w)
	l.Lock()
	defer l.Unlock()
	if l.byVersion[version] == nil {
		l.byVersion[version] = namespaceLevels(w, version)
	}
	return l.byVersion[version]
}

type versionedLevels struct {
	sync.Mutex
	byVersion map[int]map[string]NamespaceLevel
}

var levelsByVersion = model.NewFact(func(*model.World) *versionedLevels {
	return &versionedLevels{byVersion: map[int]map[string]NamespaceLevel{}}
})

// podKinds are the kinds whose pods decide which level is possible.
func podKinds() []model.GroupKind {
	var out []model.GroupKind
	for _, t := range model.PodTemplates() {
		if t.Group != "extensions" { // no API server that knows Pod Security serves it
			out = append(out, t.GroupKind)
		}
	}
	return out
}

func namespaceLevels(w *model.World, version int) map[string]NamespaceLevel {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	surveys := map[string]*survey{}
	at := func(namespace string) *survey {
		s := surveys[namespace]
		if s == nil {
			s = newSurvey(w, namespace, version)
			if err != nil {
				s.Unknown = err.Error()
			}
			s.evaluator = evaluator
			surveys[namespace] = s
		}
		return s
	}
	for _, name := range w.Namespaces() {
		at(name)
	}
	owners := newOwnership(w)
	for _, o := range w.Objects {
		if o.Pod() != nil && o.Namespace != "" && !owners.speaksFor(o) && !o.Ended() {
			at(o.Namespace).add(o, owners)
		}
	}
	out := make(map[string]NamespaceLevel, len(surveys))
	for name, s := range surveys {
		out[name] = s.level()
	}
	return out
}

// survey gathers what each level would refuse in a namespace.
type survey struct {
	NamespaceLevel
	evaluator policy.Evaluator
	refused   map[psapi.Level]map[finding.Ref][]string
}

func newSurvey(w *model.World, namespace string, version int) *survey {
	s := &survey{refused: map[psapi.Level]map[finding.Ref][]string{psapi.LevelBaseline: {}, psapi.LevelRestricted: {}}}
	s.Policy, _ = podSecurityPolicy(w.Namespace(namespace))
	s.Version = version
	if v := s.Policy.Enforce.Version; !v.Latest() {
		s.Version = min(version, v.Minor())
	}
	for _, gk := range podKinds() {
		if reason := w.Unobserved(gk, namespace); reason != "" {
			s.Unknown = fmt.Sprintf("%s could not be read: %s", gk, reason)
		}
	}
	return s
}

func (s *survey) add(o *model.Object, owners ownership) {
	meta, spec, err := o.Pod().Decode()
	if err != nil {
		s.Unknown = fmt.Sprintf("the API server would refuse %s: %v", o.Ref(), err)
		return
	}
	s.Pods++
	in := check.PodInput{Pod: o.Pod(), Meta: meta, Spec: spec}
	in.Spec = withDefaultVolumes(in)
	in.Spec = withDefaultHostPorts(in)
	root := owners.outermost(o).Ref()
	for level, refused := range s.refused {
		for _, reason := range s.reasons(level, in.Meta, in.Spec) {
			if !slices.Contains(refused[root], reason) {
				refused[root] = append(refused[root], reason)
			}
		}
	}
}

func (s *survey) reasons(level psapi.Level, meta *metav1.ObjectMeta, spec *corev1.PodSpec) []string {
	lv := psapi.LevelVersion{Level: level, Version: psapi.MajorMinorVersion(1, s.Version)}
	return policy.AggregateCheckResults(s.evaluator.EvaluatePod(lv, meta, spec)).ForbiddenReasons
}

func (s *survey) level() NamespaceLevel {
	switch {
	case len(s.refused[psapi.LevelRestricted]) == 0:
		s.Possible = psapi.LevelRestricted
	case len(s.refused[psapi.LevelBaseline]) == 0:
		s.Possible = psapi.LevelBaseline
	default:
		s.Possible = psapi.LevelPrivileged
	}
	for object, reasons := range s.refused[s.Next()] {
		s.Blocking = append(s.Blocking, Blocker{object, reasons})
	}
	slices.SortFunc(s.Blocking, func(a, b Blocker) int {
		return cmp.Or(strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Object.Group, b.Object.Group))
	})
	return s.NamespaceLevel
}

// ownership finds the controllers of objects in a world.
type ownership map[model.ID]*model.Object

func newOwnership(w *model.World) ownership {
	out := ownership{}
	for _, o := range w.Objects {
		out[o.ID()] = o
	}
	return out
}

// controller returns the object that controls o, nil where none is known.
func (w ownership) controller(o *model.Object) *model.Object {
	by, _ := o.Controller()
	return w[by.ID]
}

// speaksFor reports whether another object's template stands for that of o: a
// Deployment's for those of its ReplicaSets, old ones among them. A pod speaks for
// itself, because it may be older than the template, or changed on its way in.
func (w ownership) speaksFor(o *model.Object) bool {
	if o.GroupKind == (model.GroupKind{Kind: "Pod"}) {
		return false
	}
	owner := w.controller(o)
	return owner != nil && owner != o && owner.Pod() != nil
}

// maxOwners bounds how far controllers are followed, should they form a ring.
const maxOwners = 8

func (w ownership) outermost(o *model.Object) *model.Object {
	for range maxOwners {
		owner := w.controller(o)
		if owner == nil {
			break
		}
		o = owner
	}
	return o
}
