package chart_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bulkhead.dev/bulkhead/internal/fix"
	"bulkhead.dev/bulkhead/internal/fix/chart"
	"bulkhead.dev/bulkhead/internal/load/helm"
	"bulkhead.dev/bulkhead/internal/model"
)

// inputs returns the folder of real charts, and skips where there is none.
func inputs(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BULKHEAD_INPUTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "inputs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real inputs at %s; set BULKHEAD_INPUTS", dir)
	}
	return dir
}

// hardened is what is wanted of every container and pod.
func hardened(t *testing.T, w *model.World) (wanted []fix.Change, fields int) {
	t.Helper()
	for _, o := range w.Objects {
		values := map[string]any{}
		if pod := o.Pod(); pod != nil {
			values[pod.SpecPath().Keys("automountServiceAccountToken").String()] = false
			for c := range pod.Containers() {
				security := c.Path.Keys("securityContext")
				for name, value := range map[string]any{"runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false} {
					values[security.Keys(name).String()] = value
				}
				values[security.Keys("seccompProfile", "type").String()] = "RuntimeDefault"
				values[security.Keys("capabilities", "drop").String()] = []any{"ALL"}
				for name, value := range map[string]any{"cpu": "500m", "memory": "256Mi"} {
					limit := c.Path.Keys("resources", "limits", name)
					if _, there := limit.Lookup(o.Content); !there {
						values[limit.String()] = value
					}
				}
			}
		} else if o.Kind == "ServiceAccount" {
			values["automountServiceAccountToken"] = false
		}
		for name, value := range values {
			path, err := model.ParsePath(name)
			if err != nil {
				t.Fatal(err)
			}
			if have, _ := path.Lookup(o.Content); reflect.DeepEqual(have, value) {
				delete(values, name)
			}
		}
		if len(values) > 0 {
			fields += len(values)
			wanted = append(wanted, want(t, w, o.Kind+"/"+o.Name, values))
		}
	}
	return wanted, fields
}

// TestRealCharts hardens two public charts through their values, and through
// their templates, and renders them again.
func TestRealCharts(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		templates  bool
		// left is how many fields no value reaches.
		left int
	}{
		{"ingress-nginx", "ingress-nginx/charts/ingress-nginx", false, 0},
		// Its values have only resources and one switch for seccomp profiles.
		{"online-boutique", "online-boutique/helm-chart", false, 52},
		{"online-boutique with templates", "online-boutique/helm-chart", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(inputs(t), filepath.FromSlash(tt.path))
			before := load(t, path, helm.Options{}, nil)
			wanted, fields := hardened(t, before)
			c := newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{})
			c.EditTemplates = tt.templates
			p := chart.New(c)
			started := time.Now()
			result, err := p.Plan(t.Context(), wanted)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(started).Round(time.Millisecond)
			still, left := hardened(t, load(t, path, helm.Options{}, result.Files))
			t.Logf("%d objects, %d fields wanted, %d left; %d files, %d renderings, %s\n%s",
				len(wanted), fields, left, len(result.Files), p.Rendered(), took, joined(result.Notes))
			if left != tt.left || len(still) != len(result.Refused) {
				t.Errorf("%d fields of %d objects are left, want %d; refused: %v", left, len(still), tt.left, result.Refused)
			}
			for name, data := range result.Files {
				now, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if was, is := strings.Count(string(now), "#"), strings.Count(string(data), "#"); was != is {
					t.Errorf("%s: %d comments, there were %d", name, is, was)
				}
			}
			if p, err := chart.New(c).Plan(t.Context(), nil); err != nil || len(p.Files) > 0 {
				t.Errorf("a plan for nothing: %v, %v", p, err)
			}
		})
	}
}

// TestOneValueDrivesMany: a switch of Online Boutique gives all its pods a
// seccomp profile.
func TestOneValueDrivesMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(inputs(t), "online-boutique", "helm-chart")
	before := load(t, path, helm.Options{}, nil)
	var wanted []fix.Change
	for _, o := range before.Objects {
		if pod := o.Pod(); pod != nil {
			profile := pod.SpecPath().Keys("securityContext", "seccompProfile", "type").String()
			wanted = append(wanted, want(t, before, o.Kind+"/"+o.Name, map[string]any{profile: "RuntimeDefault"}))
		}
	}
	c := newChart(t, path, filepath.Join(path, "values.yaml"), helm.Options{})
	result, err := chart.New(c).Plan(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	if len(wanted) < 12 || len(result.Refused) > 0 || len(result.Notes) != 1 || !strings.HasPrefix(result.Notes[0], "seccompProfile.enable: true -> ") {
		t.Errorf("%d wanted, refused %v, notes %q", len(wanted), result.Refused, result.Notes)
	}
	if now, err := os.ReadFile(c.ValuesPath); err != nil || len(fix.Replacements("values.yaml", now, result.Files[c.ValuesPath])) != 1 {
		t.Errorf("more than one line is changed: %v", err)
	}
}
