package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// auditLog is what the API server writes from a moment on.
type auditLog struct {
	path string
	from int64
}

func follow(path string) (*auditLog, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &auditLog{path, info.Size()}, nil
}

// lists are those that one scan made.
type lists struct {
	// paths are what was listed, with the limit of a page.
	paths []string
	// most is how often the same was listed, pages aside.
	most, pages int
}

// lists reads the log until it does not grow any more.
func (a *auditLog) lists() (*lists, error) {
	for last := int64(-1); ; time.Sleep(time.Second) {
		info, err := os.Stat(a.path)
		if err != nil {
			return nil, err
		}
		if info.Size() == last {
			break
		}
		last = info.Size()
	}
	f, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(a.from, io.SeekStart); err != nil {
		return nil, err
	}
	out := &lists{}
	count := map[string]int{}
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var event struct {
			Verb, UserAgent, RequestURI string
		}
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if event.Verb != "list" || !strings.HasPrefix(event.UserAgent, "bulkhead/") {
			continue
		}
		out.pages++
		if u, err := url.Parse(event.RequestURI); err == nil && u.Query().Get("continue") == "" {
			count[event.RequestURI]++
		}
	}
	if len(count) == 0 {
		return nil, errors.New("the audit log has no LIST of a scan")
	}
	out.paths = slices.Sorted(maps.Keys(count))
	out.most = slices.Max(slices.Collect(maps.Values(count)))
	return out, nil
}

// listAll lists what in says, a path a line, page by page and as many kinds at once as
// a scan does. It keeps nothing, and prints how many objects there were.
func listAll(ctx context.Context, config *rest.Config, decode bool, in io.Reader) error {
	client, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(config))
	if err != nil {
		return err
	}
	typed, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	var objects atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		path := lines.Text()
		g.Go(func() error {
			u, err := url.Parse(path)
			if err != nil {
				return err
			}
			for token := ""; ; {
				var n int
				if decode {
					token, n, err = decodedPage(ctx, typed, u, token)
				} else {
					token, n, err = rawPage(ctx, client, u, token)
				}
				objects.Add(int64(n))
				if err != nil || token == "" {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, err = fmt.Println(objects.Load())
	return err
}

// decodedPage reads a page as the dynamic client does.
func decodedPage(ctx context.Context, client *dynamic.DynamicClient, u *url.URL, token string) (next string, n int, err error) {
	resource := resourceOf(u.Path)
	var list *unstructured.UnstructuredList
	list, err = client.Resource(resource).List(ctx, metav1.ListOptions{Limit: 500, Continue: token})
	if err != nil {
		return "", 0, err
	}
	return list.GetContinue(), len(list.Items), nil
}

// rawPage reads a page as bytes. Every object has one creation time.
func rawPage(ctx context.Context, client rest.Interface, u *url.URL, token string) (next string, n int, err error) {
	request := client.Get().AbsPath(u.Path).SetHeader("Accept", "application/json").Param("limit", "500")
	if token != "" {
		request.Param("continue", token)
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return "", 0, err
	}
	defer body.Close()
	var meta struct {
		Metadata struct {
			Continue string
		}
	}
	r := bufio.NewReaderSize(body, 64<<10)
	// The API server writes the metadata of a list before its items.
	start, _ := r.Peek(4096)
	if i := bytes.Index(start, []byte(`,"items":`)); i > 0 {
		if err := json.Unmarshal(append(slices.Clone(start[:i]), '}'), &meta); err != nil {
			return "", 0, err
		}
	} else if !bytes.Contains(start, []byte(`"items":`)) {
		return "", 0, fmt.Errorf("%s: a list begins with %.100q", u.Path, start)
	}
	n, err = count(r, []byte(`"creationTimestamp":"`))
	return meta.Metadata.Continue, n, err
}

// count reads to the end and says how often a text occurs.
func count(r io.Reader, text []byte) (n int, err error) {
	buffer := make([]byte, 256<<10)
	kept := 0
	for {
		read, err := r.Read(buffer[kept:])
		data := buffer[:kept+read]
		n += bytes.Count(data, text)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		kept = copy(buffer, data[max(0, len(data)-len(text)+1):])
	}
}
