package psp

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validate finds what the API of 1.24 refused to store
// (k8s.io/kubernetes/pkg/apis/policy/validation).
func validate(m *Manifest) field.ErrorList {
	spec, s := field.NewPath("spec"), &m.Spec
	var errs field.ErrorList
	for _, problem := range validation.IsDNS1123Subdomain(m.Name) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), m.Name, problem))
	}
	errs = append(errs, validateProfiles(m.Annotations)...)
	groups := []string{MayRunAs, MustRunAs, RunAsAny}
	errs = append(errs, validateIDs(spec.Child("runAsUser"), s.RunAsUser, []string{MustRunAs, MustRunAsNonRoot, RunAsAny})...)
	errs = append(errs, validateIDs(spec.Child("supplementalGroups"), s.SupplementalGroups, groups)...)
	errs = append(errs, validateIDs(spec.Child("fsGroup"), s.FSGroup, groups)...)
	if g := s.RunAsGroup; g != nil {
		at := spec.Child("runAsGroup")
		errs = append(errs, validateIDs(at, *g, groups)...)
		if (g.Rule == RunAsAny) != (len(g.Ranges) == 0) {
			errs = append(errs, field.Invalid(at.Child("ranges"), len(g.Ranges), "MustRunAs and MayRunAs need ranges, and RunAsAny has none"))
		}
	}
	if r := s.SELinux.Rule; r != MustRunAs && r != RunAsAny {
		errs = append(errs, field.NotSupported(spec.Child("seLinux", "rule"), r, []string{MustRunAs, RunAsAny}))
	}
	if s.DefaultAllowPrivilegeEscalation != nil && *s.DefaultAllowPrivilegeEscalation && !s.mayEscalate() {
		errs = append(errs, field.Invalid(spec.Child("defaultAllowPrivilegeEscalation"), true, "allowPrivilegeEscalation is false"))
	}
	errs = append(errs, validateCapabilities(spec, s)...)
	errs = append(errs, validateVolumes(spec, s)...)
	for i, t := range s.AllowedProcMountTypes {
		if t != "Default" && t != "Unmasked" {
			errs = append(errs, field.NotSupported(spec.Child("allowedProcMountTypes").Index(i), t, []string{"Default", "Unmasked"}))
		}
	}
	errs = append(errs, validateSysctls(spec, s)...)
	return append(errs, validateRuntimeClass(spec.Child("runtimeClass"), s.RuntimeClass)...)
}

func validateIDs(at *field.Path, ids IDs, rules []string) field.ErrorList {
	var errs field.ErrorList
	if !slices.Contains(rules, ids.Rule) {
		errs = append(errs, field.NotSupported(at.Child("rule"), ids.Rule, rules))
	}
	if ids.Rule == RunAsAny && at.String() == "spec.runAsGroup" {
		return errs // that it has ranges at all is said elsewhere
	}
	for i, r := range ids.Ranges {
		if r.Min < 0 || r.Max < 0 || r.Min > r.Max {
			errs = append(errs, field.Invalid(at.Child("ranges").Index(i), fmt.Sprintf("%d-%d", r.Min, r.Max), "is no range of ids"))
		}
	}
	return errs
}

func validateCapabilities(spec *field.Path, s *Spec) field.ErrorList {
	var errs field.ErrorList
	if len(s.RequiredDropCapabilities) > 0 && slices.Contains(s.AllowedCapabilities, "*") {
		errs = append(errs, field.Invalid(spec.Child("requiredDropCapabilities"), s.RequiredDropCapabilities, "must be empty where all capabilities are allowed"))
	}
	for name, list := range map[string][]string{"defaultAddCapabilities": s.DefaultAddCapabilities, "allowedCapabilities": s.AllowedCapabilities} {
		for i, c := range list {
			if slices.Contains(s.RequiredDropCapabilities, c) {
				errs = append(errs, field.Invalid(spec.Child(name).Index(i), c, "is in requiredDropCapabilities too"))
			}
		}
	}
	return errs
}

func validateVolumes(spec *field.Path, s *Spec) field.ErrorList {
	var errs field.ErrorList
	for i, v := range s.Volumes {
		if _, known := volumeFields[v]; !known && v != "*" {
			errs = append(errs, field.NotSupported(spec.Child("volumes").Index(i), v, sortedKeys(volumeFields)))
		}
	}
	for i, p := range s.AllowedHostPaths {
		at := spec.Child("allowedHostPaths").Index(i).Child("pathPrefix")
		if p.PathPrefix == "" {
			errs = append(errs, field.Required(at, ""))
			break // as 1.24, which looked no further
		} else if slices.Contains(strings.Split(p.PathPrefix, "/"), "..") {
			errs = append(errs, field.Invalid(at, p.PathPrefix, "must not contain '..'"))
		}
	}
	for i, d := range s.AllowedFlexVolumes {
		if d.Driver == "" {
			errs = append(errs, field.Required(spec.Child("allowedFlexVolumes").Index(i).Child("driver"), ""))
		}
	}
	for i, d := range s.AllowedCSIDrivers {
		at := spec.Child("allowedCSIDrivers").Index(i).Child("name")
		if len(d.Name) > 63 || len(validation.IsDNS1123Subdomain(strings.ToLower(d.Name))) > 0 {
			errs = append(errs, field.Invalid(at, d.Name, "is no name of a CSI driver"))
		}
	}
	return errs
}

// sysctlPattern is a name of a sysctl, whose last segment may end in a star.
var sysctlPattern = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?\.)*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]$`)

func validateSysctls(spec *field.Path, s *Spec) field.ErrorList {
	var errs field.ErrorList
	check := func(name string, list []string) {
		for i, v := range list {
			if len(v) > 253 || !sysctlPattern.MatchString(v) {
				errs = append(errs, field.Invalid(spec.Child(name).Index(i), v, "is no name of a sysctl, nor one that ends in *"))
			} else if v[0] == '*' && len(list) > 1 {
				errs = append(errs, field.Invalid(spec.Child(name).Index(i), v, "must be the only one"))
			}
		}
	}
	check("allowedUnsafeSysctls", s.AllowedUnsafeSysctls)
	check("forbiddenSysctls", s.ForbiddenSysctls)
	for i, a := range s.AllowedUnsafeSysctls {
		for _, f := range s.ForbiddenSysctls {
			if overlap(a, f) {
				errs = append(errs, field.Invalid(spec.Child("allowedUnsafeSysctls").Index(i), a, fmt.Sprintf("overlaps with the forbidden %s", f)))
			}
		}
	}
	return errs
}

// overlap reports whether some sysctl matches both patterns.
func overlap(a, b string) bool {
	prefixA, patternA := strings.CutSuffix(a, "*")
	prefixB, patternB := strings.CutSuffix(b, "*")
	switch {
	case patternA && patternB:
		return strings.HasPrefix(prefixA, prefixB) || strings.HasPrefix(prefixB, prefixA)
	case patternA:
		return strings.HasPrefix(b, prefixA)
	case patternB:
		return strings.HasPrefix(a, prefixB)
	}
	return a == b
}

func validateRuntimeClass(at *field.Path, c *RuntimeClass) field.ErrorList {
	if c == nil {
		return nil
	}
	var errs field.ErrorList
	all := slices.Contains(c.AllowedRuntimeClassNames, "*")
	check := func(at *field.Path, name string) {
		for _, problem := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, field.Invalid(at, name, problem))
		}
	}
	names := at.Child("allowedRuntimeClassNames")
	for i, name := range c.AllowedRuntimeClassNames {
		if name != "*" {
			check(names.Index(i), name)
		}
		if slices.Index(c.AllowedRuntimeClassNames, name) != i {
			errs = append(errs, field.Duplicate(names.Index(i), name))
		}
	}
	if all && len(c.AllowedRuntimeClassNames) > 1 {
		errs = append(errs, field.Invalid(names, c.AllowedRuntimeClassNames, "* must be the only one"))
	}
	if d := c.DefaultRuntimeClassName; d != nil {
		check(at.Child("defaultRuntimeClassName"), *d)
		if !all && !slices.Contains(c.AllowedRuntimeClassNames, *d) {
			errs = append(errs, field.Required(names, fmt.Sprintf("the default %q must be allowed", *d)))
		}
	}
	return errs
}

// validateProfiles looks at the annotations that are part of a policy.
func validateProfiles(annotations map[string]string) field.ErrorList {
	at := field.NewPath("metadata", "annotations")
	var errs field.ErrorList
	check := func(key, values string, valid func(string) bool) {
		if values == "" {
			return
		}
		for _, v := range strings.Split(values, ",") {
			if !valid(v) {
				errs = append(errs, field.Invalid(at, v, "is no profile, in "+key))
			}
		}
	}
	check(seccompDefault, annotations[seccompDefault], validSeccomp)
	check(seccompAllowed, annotations[seccompAllowed], func(p string) bool { return p == "*" || validSeccomp(p) })
	check(appArmorDefault, annotations[appArmorDefault], validAppArmor)
	check(appArmorAllowed, annotations[appArmorAllowed], validAppArmor)
	return errs
}

func validSeccomp(p string) bool {
	if p == runtimeDefault || p == dockerDefault || p == unconfined {
		return true
	}
	name, ok := strings.CutPrefix(p, localhost)
	return ok && !path.IsAbs(name) && !slices.Contains(strings.Split(name, "/"), "..")
}

func validAppArmor(p string) bool {
	return p == "" || p == runtimeDefault || p == unconfined || strings.HasPrefix(p, localhost)
}
