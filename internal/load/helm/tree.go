package helm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// maxSubcharts is how deep charts may be nested in charts.
const maxSubcharts = 16

// tree is a chart with its subcharts, and where each file of it is on disk.
type tree struct {
	chart *chart.Chart
	// files says where a file of the chart is; the pointers survive that a
	// subchart is taken in twice under different aliases.
	files map[*common.File]string
	// disk says the same by the names that the engine gives to templates, which
	// begin with the chart's name. It is made by index.
	disk map[string]string

	request  request
	warnings []string
}

// loadTree reads the chart at path with all its subcharts.
func (r request) loadTree() (*tree, error) {
	b := &budget{limits: r.Options.Limits}
	files, err := r.readFiles(b)
	if err != nil {
		return nil, r.errorf("the chart %s", err)
	}
	t := &tree{files: map[*common.File]string{}, request: r}
	t.chart, err = t.assemble(files, "", b, 0)
	return t, err
}

func (r request) readFiles(b *budget) ([]file, error) {
	info, err := os.Stat(r.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if info.IsDir() {
		return readFolder(r.Path, r.Options.Overlay, b)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is neither a folder nor an archive")
	}
	f, err := os.Open(r.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	return readArchive(f, b)
}

// assemble makes a chart of files. It does what the SDK's loader.LoadFiles
// does, but takes subcharts in itself, in the order of their names: archives
// among them then count towards the same budget, and every file keeps its
// place on disk. where is the path of the chart inside the tree, for errors.
func (t *tree) assemble(files []file, where string, b *budget, depth int) (*chart.Chart, error) {
	if depth > maxSubcharts {
		return nil, t.request.errorf("%s: charts are nested more than %d deep", where, maxSubcharts)
	}
	var own []*archive.BufferedFile
	disk := map[string]string{}
	subcharts := map[string][]file{}
	var names []string
	for _, f := range files {
		sub, rest, inCharts := cutSubchart(f.name)
		switch {
		case !inCharts:
			own = append(own, &archive.BufferedFile{Name: f.name, Data: f.data})
			disk[f.name] = f.disk
		case sub[0] == '_' || sub[0] == '.':
		case rest == "" && !isArchiveName(sub):
			t.warnings = append(t.warnings, path.Join(where, f.name)+" is not a chart and is left out")
		default:
			if subcharts[sub] == nil {
				names = append(names, sub)
			}
			f.name = rest
			subcharts[sub] = append(subcharts[sub], f)
		}
	}
	c, err := t.loadOwn(own, disk, where)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		sub, err := t.subchart(name, subcharts[name], path.Join(where, "charts", name), b, depth)
		if err != nil {
			return nil, err
		}
		c.AddDependency(sub)
	}
	return c, nil
}

// cutSubchart splits charts/redis/templates/x.yaml into redis and the rest. A
// provenance file beside an archive belongs to the chart around it.
func cutSubchart(name string) (sub, rest string, ok bool) {
	inner, ok := strings.CutPrefix(name, "charts/")
	if !ok || inner == "" || path.Ext(inner) == ".prov" {
		return "", "", false
	}
	sub, rest, _ = strings.Cut(inner, "/")
	return sub, rest, true
}

func (t *tree) subchart(name string, files []file, where string, b *budget, depth int) (*chart.Chart, error) {
	if !isArchiveName(name) || files[0].name != "" {
		return t.assemble(files, where, b, depth+1)
	}
	packed, err := readArchive(bytes.NewReader(files[0].data), b)
	if err != nil {
		e := t.request.errorf("%s", err)
		e.Template, e.File = where, files[0].disk
		return nil, e
	}
	return t.assemble(packed, where, b, depth+1)
}

// loadOwn makes a chart of its own files, without subcharts.
func (t *tree) loadOwn(own []*archive.BufferedFile, disk map[string]string, where string) (*chart.Chart, error) {
	place := func(name string, line int, message string) *Error {
		e := t.request.errorf("%s", message)
		e.Template, e.File, e.Line = path.Join(where, name), disk[name], line
		return e
	}
	hasChart := false
	for _, f := range own {
		hasChart = hasChart || f.Name == "Chart.yaml"
		if f.Name == "values.yaml" {
			if _, err := loadValues(f.Data); err != nil {
				return nil, place(f.Name, yamlLine(err), err.Error())
			}
		}
	}
	if !hasChart {
		return nil, t.request.errorf("%s has no Chart.yaml; a chart needs one", path.Join("the chart", where))
	}
	c, err := loader.LoadFiles(own)
	if err != nil {
		name := "Chart.yaml" // what LoadFiles validates names no file
		if m := cannotLoad.FindStringSubmatch(err.Error()); m != nil {
			name = m[1]
		}
		return nil, place(name, yamlLine(err), strings.TrimPrefix(err.Error(), "cannot load "+name+": "))
	}
	if c.Metadata.APIVersion != chart.APIVersionV1 && c.Metadata.APIVersion != chart.APIVersionV2 {
		return nil, place("Chart.yaml", 0, fmt.Sprintf("apiVersion %q is not supported; v1 and v2 are", c.Metadata.APIVersion))
	}
	for _, list := range [][]*common.File{c.Templates, c.Files} {
		for _, f := range list {
			t.files[f] = disk[f.Name]
		}
	}
	return c, nil
}

var (
	cannotLoad = regexp.MustCompile(`^cannot load (\S+): `)
	lineNumber = regexp.MustCompile(`\bline (\d+)\b`)
)

// yamlLine returns the line that a YAML library named in its error, or 0.
func yamlLine(err error) int {
	m := lineNumber.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	line, _ := strconv.Atoi(m[1])
	return line
}

// index fills disk, once it is settled which subcharts there are.
func (t *tree) index() {
	t.disk = map[string]string{}
	var add func(c *chart.Chart)
	add = func(c *chart.Chart) {
		for _, list := range [][]*common.File{c.Templates, c.Files} {
			for _, f := range list {
				t.disk[path.Join(c.ChartFullPath(), f.Name)] = t.files[f]
			}
		}
		for _, sub := range c.Dependencies() {
			add(sub)
		}
	}
	add(t.chart)
}

// path turns the engine's name of a template into its path inside the chart
// tree: the engine puts the chart's name in front.
func (t *tree) path(engineName string) string {
	return strings.TrimPrefix(filepath.ToSlash(engineName), t.chart.Name()+"/")
}
