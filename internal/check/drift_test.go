package check

import (
	"slices"
	"testing"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/model"
)

func driftObject(name, owner string) *model.Object {
	meta := map[string]any{"name": name, "namespace": "n", "uid": "uid-" + name}
	kind, version := "Deployment", "apps/v1"
	if owner != "" {
		kind, version = "Pod", "v1"
		meta["ownerReferences"] = []any{map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "uid-" + owner, "controller": true}}
	}
	o, _ := model.NewObject(map[string]any{"apiVersion": version, "kind": kind, "metadata": meta, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}, nil, model.Source{})
	return o
}

func judgedOn(o *model.Object, control, container, message string) *Judged {
	return &Judged{finding.Finding{Control: control, Verdict: finding.Fail, Severity: finding.High, Object: o.Ref(), Container: container, Message: message}, o}
}

func passOf(o *model.Object, control string) finding.PassRecord {
	return finding.PassRecord{Control: control, Object: o.Ref()}
}

func messagesOf(fs []finding.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Object.Name+" "+f.Control+" "+f.Container+" "+f.Message)
	}
	slices.Sort(out)
	return out
}

var (
	deployments = model.GroupKind{Group: "apps", Kind: "Deployment"}
	podsKind    = model.GroupKind{Kind: "Pod"}
)

// TestCompare: each way in which a finding of one side stands to the other.
func TestCompare(t *testing.T) {
	web, gone := driftObject("web", ""), driftObject("gone", "")
	liveWeb, first, second, more := driftObject("web", ""), driftObject("web-1", "web"), driftObject("web-2", "web"), driftObject("more", "")
	files := Side{[]*model.World{model.NewWorld([]*model.Object{web, gone}, model.WorldOptions{})}, &Outcome{}}
	live := Side{[]*model.World{model.NewWorld([]*model.Object{liveWeb, first, second, more}, model.WorldOptions{Live: true})}, &Outcome{}}
	waived := judgedOn(web, "waived", "", "m")
	waived.Waived = &finding.Waived{}
	files.Outcome.Findings = []*Judged{
		judgedOn(web, "same", "a", "m"), judgedOn(web, "other", "a", "old detail"), judgedOn(web, "mended", "", "m"), judgedOn(web, "unread", "", "m"),
		judgedOn(web, "weak", "a", "m"), judgedOn(web, "global", "", "names one"), waived, judgedOn(gone, "same", "a", "m"),
	}
	files.Outcome.Passes = []finding.PassRecord{passOf(web, "broken"), passOf(web, "debug")}
	strict := judgedOn(liveWeb, "strict", "a", "m")
	strict.Covers = []string{"weak"}
	live.Outcome.Findings = []*Judged{
		judgedOn(liveWeb, "same", "a", "m"), judgedOn(liveWeb, "other", "a", "new detail"), judgedOn(liveWeb, "broken", "", "m"), strict,
		judgedOn(liveWeb, "global", "", "names two"), judgedOn(liveWeb, "closed", "", "m"), judgedOn(liveWeb, "waived", "", "m"),
		judgedOn(first, "debug", "d", "m"), judgedOn(second, "debug", "d", "m"), judgedOn(first, "same", "a", "m"), judgedOn(more, "same", "a", "m"),
	}
	live.Outcome.Passes = []finding.PassRecord{passOf(liveWeb, "mended")}
	live.Outcome.Unmet = []finding.Unmet{{What: "Secret", Reason: "403", Controls: []string{"unread", "mended"}}}
	object, world := &ObjectPolicy{}, func(*Input) []Judgement { return nil }
	controls := []*Control{{Rule: finding.Rule{Name: "global"}, World: world}, {Rule: finding.Rule{Name: "closed"}, World: world}, {Rule: finding.Rule{Name: "broken"}, Object: object}}
	d := NewManifests(files.Worlds).Compare(files, live, controls, []model.GroupKind{deployments, podsKind}, "")
	for what, test := range map[string]struct{ got, want []string }{
		"only in the cluster":   {messagesOf(d.OnlyInCluster), []string{"web broken  m", "web other a new detail", "web waived  m", "web-1 debug d m"}},
		"only in the manifests": {messagesOf(d.OnlyInManifests), []string{"web mended  m", "web other a old detail"}},
		"untold":                {messagesOf(d.Untold), []string{"web closed  m"}},
		"unjudged":              {messagesOf(d.Unjudged), []string{"web unread  m"}},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: %q, want %q", what, test.got, test.want)
		}
	}
	if d.Both != 3 || d.Compared != 1 || len(d.Absent) != 1 || d.Absent[0].Name != "gone" || d.NotInManifests["apps/Deployment"] != 1 || len(d.NotInManifests) != 1 {
		t.Errorf("%d in both, %d compared, absent %v, not in the manifests %v", d.Both, d.Compared, d.Absent, d.NotInManifests)
	}
}

// TestCompareWhatCannotBe: what two roots make, what was not read, and kinds and
// namespaces that were not to be read, are compared with nothing and are not absent.
func TestCompareWhatCannotBe(t *testing.T) {
	a, b, alone := driftObject("web", ""), driftObject("web", ""), driftObject("alone", "")
	worlds := []*model.World{model.NewWorld([]*model.Object{a}, model.WorldOptions{Root: "a"}), model.NewWorld([]*model.Object{b, alone}, model.WorldOptions{Root: "b"})}
	files := Side{worlds, &Outcome{Findings: []*Judged{judgedOn(a, "c", "", "m"), judgedOn(b, "c", "", "m"), judgedOn(alone, "c", "", "m")}}}
	for name, test := range map[string]struct {
		unobserved []model.Unobserved
		read       []model.GroupKind
		namespace  string
		absent     int
		unread     int
	}{
		"read":                        {nil, []model.GroupKind{deployments}, "", 1, 0},
		"of a namespace":              {nil, []model.GroupKind{deployments}, "n", 1, 0},
		"of another namespace":        {nil, []model.GroupKind{deployments}, "other", 0, 0},
		"of a kind that nobody reads": {nil, nil, "", 0, 0},
		"of a kind that was refused":  {[]model.Unobserved{{GroupKind: deployments, Reason: "403"}}, []model.GroupKind{deployments}, "", 0, 1},
	} {
		live := Side{[]*model.World{model.NewWorld([]*model.Object{driftObject("web", "")}, model.WorldOptions{Live: true, Unobserved: test.unobserved})}, &Outcome{}}
		d := NewManifests(worlds).Compare(files, live, nil, test.read, test.namespace)
		if len(d.Ambiguous) != 1 || d.Ambiguous[0].Name != "web" || d.Compared != 0 || len(d.Absent) != test.absent || len(d.Unread) != test.unread || len(d.OnlyInManifests)+d.Both > 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
