package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"bulkhead.dev/bulkhead/internal/load/intern"
	"bulkhead.dev/bulkhead/internal/model"
)

// list is what is read of one kind.
type list struct {
	resource
	objects []*model.Object
	// read says that the list is whole.
	read bool
	// arrived, if set, is shown each object once. It reports whether another object's
	// template is the object's own from then on.
	arrived func(*model.Object) bool
	same    *intern.Pool
}

// keep trims an object and keeps it. The API server leaves out the kind of what
// stands in a list.
func (l *list) keep(content map[string]any) {
	content["kind"], content["apiVersion"] = l.Kind, l.version
	if l.Group != "" {
		content["apiVersion"] = l.Group + "/" + l.version
	}
	trim(l.GroupKind, content)
	o, ok := model.NewObject(content, nil, model.Source{})
	if !ok {
		return
	}
	template := l.arrived != nil && l.arrived(o)
	l.share(o.Content, template)
	l.objects = append(l.objects, o)
}

// share has the object hold what others of its kind hold as well. A template that it
// shares with its owner is left alone.
func (l *list) share(content map[string]any, template bool) {
	if l.same == nil {
		l.same = intern.NewPool()
	}
	for k, v := range content {
		if k != "spec" || !template {
			content[k] = l.same.Value(v)
		}
	}
}

// pageSize is how many objects are asked for at once, as kubectl does.
const pageSize = 500

// pages reads a kind page by page. Where the token for the next page expired while
// others were read, everything is read again, once and in one page. A connection that
// breaks before anything came over it is tried once more.
func (r *reader) pages(ctx context.Context, l *list) error {
	token, limit, again, retried := "", pageSize, false, false
	for {
		before := len(l.objects)
		next, err := r.page(ctx, l, limit, token)
		if broken(err) && len(l.objects) == before && !retried && ctx.Err() == nil {
			retried = true
			continue
		}
		if apierrors.IsResourceExpired(err) && token != "" && !again {
			again, token, limit = true, "", 0
			l.objects = nil
			continue
		}
		if err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		if next == token {
			return errors.New("the API server answers with the same page again")
		}
		token = next
	}
}

// path is where the kind is served.
func (r *reader) path(res *resource) []string {
	path := []string{"apis", res.Group, res.version}
	if res.Group == "" {
		path = []string{"api", res.version}
	}
	if res.namespaced && r.Namespace != "" {
		path = append(path, "namespaces", r.Namespace)
	}
	return append(path, res.name)
}

// page reads one page, object by object, and returns the token for the next. Objects
// that arrived before an error are kept.
func (r *reader) page(ctx context.Context, l *list, limit int, token string) (next string, err error) {
	request := r.client.Get().AbsPath(r.path(&l.resource)...)
	if limit > 0 {
		request.Param("limit", strconv.Itoa(limit))
	}
	if token != "" {
		request.Param("continue", token)
	}
	body, err := stream(ctx, request)
	if err != nil {
		return "", err
	}
	defer body.Close()
	bound := &bounded{Reader: body, left: maxObject}
	next, err = decode(json.NewDecoder(bound), func(content map[string]any) {
		bound.left = maxObject
		l.keep(content)
	})
	if err != nil {
		return "", fmt.Errorf("the answer broke off: %w", err)
	}
	return next, nil
}

// get reads one object.
func (r *reader) get(ctx context.Context, res *resource, name string) (map[string]any, error) {
	body, err := stream(ctx, r.client.Get().AbsPath(append(r.path(res), name)...))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(&bounded{Reader: body, left: maxObject})
	if err != nil {
		return nil, err
	}
	var content map[string]any
	return content, utiljson.Unmarshal(data, &content)
}

func stream(ctx context.Context, request *rest.Request) (io.ReadCloser, error) {
	return request.SetHeader("Accept", "application/json").Stream(ctx)
}

// maxObject is how many bytes may come without an object being complete. etcd takes
// 1.5 MiB a value by default; the rest is room for what the API server adds.
const maxObject = 32 << 20

// bounded ends a body that never comes to the end of an object.
type bounded struct {
	io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an object is larger than %d MiB", maxObject>>20)
	}
	n, err := b.Reader.Read(p)
	b.left -= n
	return n, err
}

// decode reads a list as the API server writes it and hands out its items one by
// one. It returns metadata.continue.
func decode(d *json.Decoder, item func(map[string]any)) (next string, err error) {
	if err := expect(d, json.Delim('{')); err != nil {
		return "", err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", err
		}
		switch key {
		case "metadata":
			var meta struct{ Continue string }
			if err := d.Decode(&meta); err != nil {
				return "", err
			}
			next = meta.Continue
		case "items":
			if err := items(d, item); err != nil {
				return "", err
			}
		default:
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return "", err
			}
		}
	}
	return next, expect(d, json.Delim('}'))
}

func items(d *json.Decoder, item func(map[string]any)) error {
	start, err := d.Token()
	if err != nil {
		return err
	}
	if start == nil {
		return nil // "items": null
	}
	if start != json.Delim('[') {
		return fmt.Errorf("items begin with %v", start)
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		var content map[string]any
		if err := utiljson.Unmarshal(raw, &content); err != nil {
			return err
		}
		if content != nil {
			item(content)
		}
	}
	return expect(d, json.Delim(']'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if got != want {
		return fmt.Errorf("got %v where a list has %v", got, want)
	}
	return nil
}
