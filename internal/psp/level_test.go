package psp

import (
	"math/rand/v2"
	"slices"
	"testing"

	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestCompareRandomly holds the table to what random pods experience: where a policy
// refuses a pod for a field and the level does not, the row says that it loosens, and
// the other way round.
func TestCompareRandomly(t *testing.T) {
	g := &generator{rand.New(rand.NewPCG(5, 5))}
	loosened, tightened := 0, 0
	for range 40 {
		p, problems := parse(t, g.policy("policy", some(g, 6, fields...)...))
		if len(problems) > 0 || p.Unusable != "" {
			continue
		}
		levels, _, err := Compare(t.Context(), p, 37)
		if err != nil {
			t.Fatal(err)
		}
		j, err := newJudge(p)
		if err != nil {
			t.Fatal(err)
		}
		for range 25 {
			pod := g.pod(false)
			delete(pod["metadata"].(object), "annotations") // the level's library reads them, and the API server's pods have fields
			refused, err := j.refuses(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range levels {
				failed, err := levelRefuses(pod, c.Level, 37)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range tableFields {
					byPolicy := slices.ContainsFunc(refused, func(r string) bool { return slices.Contains(f.rules, r) })
					byLevel := slices.ContainsFunc(failed, func(id policy.CheckID) bool { return slices.Contains(f.checks, id) })
					if len(f.probes(p)) == 0 || f.checks == nil && !byPolicy || f.shared(pod) {
						continue
					}
					switch {
					case byPolicy && !byLevel:
						if loosened++; len(c.Rows[i].Loosens) == 0 {
							t.Errorf("%s loosens %s, and the table does not say so: %+v\n%s", c.Level, f.name, c.Rows[i], text(p.Spec, pod))
						}
					case byLevel && !byPolicy:
						if tightened++; len(c.Rows[i].Tightens) == 0 {
							t.Errorf("%s tightens %s, and the table does not say so: %+v\n%s", c.Level, f.name, c.Rows[i], text(p.Spec, pod))
						}
					}
				}
			}
		}
	}
	t.Logf("%d times a level loosened a field, %d times it tightened one", loosened, tightened)
	if loosened == 0 || tightened == 0 {
		t.Error("the cases are one-sided")
	}
}

// shared tells a pod in which what a check looks at stands in more than one field of a
// policy, so that the check does not say which.
func (f *tableField) shared(pod object) bool {
	spec := pod["spec"].(object)
	switch f.name {
	case "hostPID", "hostIPC", "hostNetwork":
		return spec[f.name] != true
	case "allowedHostPaths", "allowedFlexVolumes", "allowedCSIDrivers":
		volumes, _ := spec["volumes"].([]any)
		return !slices.ContainsFunc(volumes, func(v any) bool {
			return v.(object)[map[string]string{"allowedHostPaths": "hostPath", "allowedFlexVolumes": "flexVolume", "allowedCSIDrivers": "csi"}[f.name]] != nil
		})
	}
	return false
}

// TestNearest: the examples are nearest to what they are named for.
func TestNearest(t *testing.T) {
	everything := permissive("everything")
	restricted := permissive("restricted")
	restricted.Annotations = map[string]string{seccompAllowed: runtimeDefault, seccompDefault: runtimeDefault}
	restricted.Spec = Spec{AllowPrivilegeEscalation: new(false), RequiredDropCapabilities: []string{"ALL"}, Volumes: []string{"configMap", "secret", "emptyDir", "projected"},
		RunAsUser: IDs{Rule: MustRunAsNonRoot}, SELinux: SELinux{Rule: RunAsAny}, FSGroup: IDs{Rule: RunAsAny}, SupplementalGroups: IDs{Rule: RunAsAny}}
	root := permissive("root")
	root.Annotations, root.Spec = restricted.Annotations, restricted.Spec
	root.Spec.RunAsUser, root.Spec.AllowPrivilegeEscalation = IDs{Rule: MustRunAs, Ranges: []Range{{0, 0}}}, new(true)
	root.Spec.DefaultAllowPrivilegeEscalation = new(true)
	for _, test := range []struct {
		m    *Manifest
		want psapi.Level
	}{{everything, psapi.LevelPrivileged}, {restricted, psapi.LevelRestricted}, {root, psapi.LevelBaseline}} {
		p, problems := parse(t, test.m)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		levels, nearest, err := Compare(t.Context(), p, 37)
		if err != nil {
			t.Fatal(err)
		}
		if got := levels[nearest].Level; got != test.want {
			t.Errorf("%s: nearest is %s, not %s", p.Name, got, test.want)
		}
	}
}
