package check

import (
	"maps"
	"slices"
	"strings"

	"bulkhead.dev/bulkhead/internal/finding"
	"bulkhead.dev/bulkhead/internal/form"
	"bulkhead.dev/bulkhead/internal/model"
)

// readAnnotations reads the waivers that an object carries as annotations, on
// itself and on its pod template:
//
//	waive.bulkhead.dev/CONTROL: "reason; owner=...; expires=2027-01-31; container=..."
//
// ticket may be given, and container repeated. Each has a reader of its own, so
// that a malformed one takes no other with it.
func readAnnotations(o *model.Object, options WaiverOptions) []*waiverReader {
	places := []model.Path{model.Path(nil).Keys("metadata", "annotations")}
	if pod := o.Pod(); pod != nil && len(pod.Path) > 0 {
		places = append(places, pod.Path.Keys("metadata", "annotations"))
	}
	var out []*waiverReader
	for _, place := range places {
		found, _ := place.Lookup(o.Content)
		annotations, _ := found.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(annotations)) {
			if control, ok := strings.CutPrefix(key, WaiverAnnotation); ok {
				out = append(out, readAnnotation(o, place.Keys(key), control, annotations[key], options))
			}
		}
	}
	return out
}

func readAnnotation(o *model.Object, at model.Path, control string, value any, options WaiverOptions) *waiverReader {
	w := &Waiver{Name: ByAnnotation, Location: o.Locate(at), carrier: o}
	r := &waiverReader{Reader: form.Reader{Object: o}, known: options.Known, waiver: w}
	if text := options.Annotations.refuses(o); text != "" {
		r.Fail(at, "%s", text)
	}
	r.control(at, control)
	const form = `write "reason; owner=...; expires=2027-01-31"`
	text := r.Text(at, value, form)
	if text == "" {
		return r
	}
	reason, rest, _ := strings.Cut(text, ";")
	w.Reason = strings.TrimSpace(reason)
	if key, _, ok := strings.Cut(w.Reason, "="); w.Reason == "" || ok && slices.Contains(annotationKeys, strings.TrimSpace(key)) {
		r.Fail(at, "does not begin with a reason; %s", form)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !slices.Contains(annotationKeys, key):
			r.Fail(at, "has a part %q after the reason; a part is one of %s, with = and a value", strings.TrimSpace(part), strings.Join(annotationKeys, ", "))
		case value == "":
			r.Fail(at, "gives no value for %s", key)
		case seen[key] && key != "container":
			r.Fail(at, "gives %s twice", key)
		default:
			r.annotationPart(at, key, value)
		}
		seen[key] = true
	}
	for _, key := range []string{"owner", "expires"} {
		if !seen[key] {
			r.Fail(at, "has no %s; %s", key, form)
		}
	}
	return r
}

var annotationKeys = []string{"owner", "expires", "ticket", "container"}

func (r *waiverReader) annotationPart(at model.Path, key, value string) {
	switch key {
	case "owner":
		r.waiver.Owner = value
	case "ticket":
		r.waiver.Ticket = value
	case "expires":
		r.expires(at, value)
	case "container":
		r.patterns(at, []string{value})
		r.waiver.Containers = append(r.waiver.Containers, value)
	}
}

// WaiverOptions say which waivers count.
type WaiverOptions struct {
	// Known tells whether there is a control of a name, selected or not.
	Known       func(control string) bool
	Annotations AnnotationSettings
}

// ReadWaivers collects the waivers of a snapshot: objects of WaiverKind and
// annotations. A waiver that comes out of a chart or a kustomization waives only
// what comes out of the same; plain files, and a cluster, waive for all. What an
// earlier world has read from the same place is not read again.
func ReadWaivers(s *model.Snapshot, o WaiverOptions) *Waivers {
	w := &Waivers{}
	read := map[waiverPlace]int{} // the world, counted from 1
	for i, world := range s.Worlds {
		var found []*waiverReader
		for _, object := range world.Kind(WaiverKind) {
			r := readWaiver(object, o.Known)
			r.waiver.root = world.Root
			found = append(found, r)
		}
		for _, object := range world.Objects {
			found = append(found, readAnnotations(object, o)...)
		}
		for _, r := range found {
			if l := r.waiver.Location; l != nil {
				at := waiverPlace{*l, world.Root, r.Object.Ref()}
				if read[at] != 0 && read[at] != i+1 {
					continue
				}
				read[at] = i + 1
			}
			w.add(r)
		}
	}
	return w
}

// waiverPlace is where a waiver is written. A template of a chart may write many
// objects in one place.
type waiverPlace struct {
	finding.Location
	root   string
	object finding.Ref
}

// add keeps a waiver, or what is wrong with it.
func (w *Waivers) add(r *waiverReader) {
	if !r.Failed() {
		w.Add(r.waiver)
		return
	}
	use := r.waiver.use("")
	use.State, use.Problems, use.Location = invalid, r.Texts(), r.location()
	if len(r.waiver.Controls) == 1 {
		use.Control = r.waiver.Controls[0]
	}
	w.invalid = append(w.invalid, use)
}

// use describes the waiver in an audit, as to one of its controls.
func (w *Waiver) use(control string) finding.WaiverUse {
	u := finding.WaiverUse{Waiver: w.Name, Location: w.Location, Control: control, Owner: w.Owner, Reason: w.Reason, Ticket: w.Ticket}
	if !w.Expires.IsZero() {
		u.Expires = w.Expires.Format(day)
	}
	if w.carrier != nil {
		// Of a cluster there is no location to tell annotations apart.
		u.Waiver = ByAnnotation + " on " + w.carrier.Ref().String()
	}
	return u
}
