package psp

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

// Policy is a PodSecurityPolicy that Kubernetes 1.24 would have stored.
type Policy struct {
	Name string
	Spec Spec

	seccomp, appArmor profiles
	// Unusable says why 1.24 stored the policy and then admitted nothing by it; empty
	// for one that it used.
	Unusable string
}

// profiles are what annotations of a policy say of seccomp or AppArmor profiles, in
// the words of annotations: runtime/default, unconfined, localhost/NAME.
type profiles struct {
	// fill is given to what has no profile; empty for none.
	fill string
	// listed says whether a list of what is allowed was given, allowed what is in it.
	listed  bool
	allowed []string
}

// Groups of API in which PodSecurityPolicies were served.
const (
	policyGroup     = "policy"
	extensionsGroup = "extensions"
)

// IsPolicy reports whether an object is a PodSecurityPolicy.
func IsPolicy(o *model.Object) bool {
	return o.Kind == "PodSecurityPolicy" && (o.Group == policyGroup || o.Group == extensionsGroup)
}

// Parse reads a PodSecurityPolicy. Whatever 1.24 would not have stored is a problem,
// and so is a field that it did not know, with the place in the file; the policy is
// nil then.
func Parse(o *model.Object) (*Policy, []finding.Problem) {
	var problems []finding.Problem
	fail := func(path, message string) {
		problem := finding.Problem{Message: fmt.Sprintf("PodSecurityPolicy %s: %s", o.Name, message)}
		if path != "" {
			problem.Message = fmt.Sprintf("PodSecurityPolicy %s: %s: %s", o.Name, path, message)
		}
		if parsed, err := model.ParsePath(path); err == nil {
			if l := o.Locate(parsed); l != nil {
				problem.Location = *l
			}
		}
		problems = append(problems, problem)
	}
	if o.Version != "v1beta1" {
		fail("apiVersion", fmt.Sprintf("%s/%s never had PodSecurityPolicies: use policy/v1beta1", o.Group, o.Version))
		return nil, problems
	}
	data, err := json.Marshal(o.Content)
	if err != nil {
		fail("", err.Error())
		return nil, problems
	}
	var m Manifest
	unknown, err := kjson.UnmarshalStrict(data, &m)
	if err != nil {
		path, message := "", strings.TrimPrefix(err.Error(), "json: ")
		if m := wrongType.FindStringSubmatch(message); m != nil {
			path, message = m[2], fmt.Sprintf("%s is no %s", m[1], m[3])
		}
		fail(path, message)
		return nil, problems
	}
	for _, u := range unknown {
		path := ""
		var f kjson.FieldError
		if errors.As(u, &f) {
			path = f.FieldPath()
		}
		fail(path, "is no field of a PodSecurityPolicy")
	}
	for _, e := range validate(&m) {
		fail(e.Field, e.ErrorBody())
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return newPolicy(&m), nil
}

// wrongType takes apart what the decoder says of a value of another type: the value,
// the path of its field, and the type.
var wrongType = regexp.MustCompile(`^cannot unmarshal (.*) into Go struct field \w+\.(\S+) of type (\S+)$`)

// newPolicy makes a policy of what has been validated.
func newPolicy(m *Manifest) *Policy {
	p := &Policy{Name: m.Name, Spec: m.Spec, Unusable: unusable(&m.Spec),
		seccomp:  profilesOf(m.Annotations, seccompDefault, seccompAllowed),
		appArmor: profilesOf(m.Annotations, appArmorDefault, appArmorAllowed)}
	// The field of a pod has one name for what annotations had two for.
	p.seccomp.fill = modernSeccomp(p.seccomp.fill)
	for i, name := range p.seccomp.allowed {
		p.seccomp.allowed[i] = modernSeccomp(name)
	}
	return p
}

func profilesOf(annotations map[string]string, fill, allowed string) profiles {
	p := profiles{fill: annotations[fill]}
	var list string
	if list, p.listed = annotations[allowed]; p.listed {
		p.allowed = strings.Split(list, ",")
	}
	return p
}

func modernSeccomp(name string) string {
	if name == dockerDefault {
		return runtimeDefault
	}
	return name
}

// Profiles in the words of annotations.
const (
	runtimeDefault = "runtime/default"
	dockerDefault  = "docker/default"
	unconfined     = "unconfined"
	localhost      = "localhost/"
)

// unusable finds strategies that the API took and the admission could not work with.
func unusable(s *Spec) string {
	if s.RunAsUser.Rule == MustRunAs && len(s.RunAsUser.Ranges) == 0 {
		return "spec.runAsUser is MustRunAs without a range"
	}
	for _, g := range []struct {
		name string
		ids  IDs
	}{{"fsGroup", s.FSGroup}, {"supplementalGroups", s.SupplementalGroups}} {
		if g.ids.Rule != RunAsAny && len(g.ids.Ranges) == 0 {
			return fmt.Sprintf("spec.%s is %s without a range", g.name, g.ids.Rule)
		}
	}
	if s.SELinux.Rule == MustRunAs && s.SELinux.SELinuxOptions == nil {
		return "spec.seLinux is MustRunAs without seLinuxOptions"
	}
	return ""
}

// Sort orders policies by name, which is the order in which they are tried, and
// reports two of one name that differ.
func Sort(policies []*Policy) ([]*Policy, error) {
	policies = slices.Clone(policies)
	slices.SortStableFunc(policies, func(a, b *Policy) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(policies); i++ {
		if a, b := policies[i-1], policies[i]; a.Name == b.Name && !equal(a, b) {
			return nil, fmt.Errorf("there are two PodSecurityPolicies %s, and they differ: a cluster has one of each name; give the files of one cluster", a.Name)
		}
	}
	return slices.CompactFunc(policies, func(a, b *Policy) bool { return a.Name == b.Name }), nil
}

func equal(a, b *Policy) bool {
	x, errX := json.Marshal([]any{a.Spec, fmt.Sprint(a.seccomp, a.appArmor)})
	y, errY := json.Marshal([]any{b.Spec, fmt.Sprint(b.seccomp, b.appArmor)})
	return errX == nil && errY == nil && string(x) == string(y)
}
