package master

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
)

// A dashboard, as Grafana's JSON has it: as much of that as is needed.
type (
	dashboard struct {
		Title         string     `json:"title"`
		UID           string     `json:"uid"`
		Description   string     `json:"description"`
		Tags          []string   `json:"tags"`
		SchemaVersion int        `json:"schemaVersion"`
		Editable      bool       `json:"editable"`
		Refresh       string     `json:"refresh"`
		Time          span       `json:"time"`
		Templating    templating `json:"templating"`
		Panels        []panel    `json:"panels"`
	}
	span struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	templating struct {
		List []variable `json:"list"`
	}
	variable struct {
		Name       string      `json:"name"`
		Label      string      `json:"label"`
		Type       string      `json:"type"`
		Query      string      `json:"query"`
		Datasource *datasource `json:"datasource,omitempty"`
		Refresh    int         `json:"refresh"`
		Multi      bool        `json:"multi"`
		IncludeAll bool        `json:"includeAll"`
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	panel struct {
		ID          int          `json:"id"`
		Type        string       `json:"type"`
		Title       string       `json:"title"`
		Description string       `json:"description,omitempty"`
		GridPos     position     `json:"gridPos"`
		Datasource  *datasource  `json:"datasource,omitempty"`
		FieldConfig *fieldConfig `json:"fieldConfig,omitempty"`
		Targets     []target     `json:"targets,omitempty"`
	}
	position struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	}
	fieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
			Min  *int   `json:"min,omitempty"`
		} `json:"defaults"`
		Overrides []struct{} `json:"overrides"`
	}
	target struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	}
)

var prometheusSource = &datasource{"prometheus", "${datasource}"}

// groups are the dashboard's rows of panels, by how the metrics' names begin: the last one
// takes what is left.
var groups = []struct {
	title    string
	prefixes []string
}{
	{"Connections", []string{"usher_connections_", "usher_queue_", "usher_accept_", "usher_move_"}},
	{"Workers", []string{"usher_worker", "usher_loop_"}},
	{"HTTP", []string{"usher_http_"}},
	{"TLS and PROXY headers", []string{"usher_tls_", "usher_proxy_"}},
	{"Server", []string{"usher_"}},
}

// newDashboard has a panel for every metric that there is.
func newDashboard() dashboard {
	d := dashboard{
		Title: "Usher", UID: "usher", Description: "Every metric of an Usher server. go test ./master -run TestDashboard -update writes this.", Tags: []string{"usher"},
		SchemaVersion: 39, Editable: true, Refresh: "30s", Time: span{"now-1h", "now"},
		Templating: templating{[]variable{
			{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1},
			{Name: "instance", Label: "Server", Type: "query", Query: "label_values(usher_build_info, instance)", Datasource: prometheusSource, Refresh: 2, Multi: true, IncludeAll: true},
		}},
	}
	placed := make(map[string]bool)
	y := 0
	for _, group := range groups {
		d.add(panel{Type: "row", Title: group.title, GridPos: position{0, y, 24, 1}})
		y++
		x := 0
		for i := range families {
			f := &families[i]
			if placed[f.name] || !beginsWithOneOf(f.name, group.prefixes) {
				continue
			}
			placed[f.name] = true
			p := f.panel()
			p.GridPos = position{x, y, 8, 8}
			d.add(p)
			if x += 8; x == 24 {
				x, y = 0, y+8
			}
		}
		if x > 0 {
			y += 8
		}
	}
	return d
}

func (d *dashboard) add(p panel) {
	p.ID = len(d.Panels) + 1
	d.Panels = append(d.Panels, p)
}

func beginsWithOneOf(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// panel shows a metric: a counter as what comes in a second, a histogram as what half and
// 99 % of all took at most.
func (f *family) panel() panel {
	const of = `{instance=~"$instance"}`
	p := panel{Type: "timeseries", Title: strings.TrimPrefix(f.name, metricPrefix), Description: f.help, Datasource: prometheusSource, FieldConfig: new(fieldConfig)}
	p.FieldConfig.Overrides = []struct{}{}
	legend := "{{instance}}"
	for _, label := range f.labels {
		legend += " {{" + label + "}}"
	}
	unit := "short"
	switch {
	case strings.HasSuffix(f.name, "_timestamp_seconds"), f.name == "usher_start_time_seconds":
		unit = "dateTimeAsIso"
	case strings.Contains(f.name, "_bytes"):
		unit = "bytes"
	case strings.Contains(f.name, "_seconds"):
		unit = "s"
	}
	switch f.kind {
	case ipc.KindHistogram:
		for i, quantile := range []string{"0.5", "0.99"} {
			p.Targets = append(p.Targets, target{string(rune('A' + i)), fmt.Sprintf("histogram_quantile(%s, rate(%s_bucket%s[$__rate_interval]))", quantile, f.name, of), legend + " " + quantile})
		}
	case ipc.KindCounter:
		p.Title += " a second"
		p.Targets = []target{{"A", fmt.Sprintf("rate(%s%s[$__rate_interval])", f.name, of), legend}}
		switch unit {
		case "bytes":
			unit = "Bps"
		case "s":
			unit = "percentunit" // of one processor
		}
	default:
		expr := f.name + of
		if unit == "dateTimeAsIso" {
			expr += " * 1000"
		}
		p.Targets = []target{{"A", expr, legend}}
	}
	if unit != "dateTimeAsIso" {
		p.FieldConfig.Defaults.Min = new(int)
	}
	p.FieldConfig.Defaults.Unit = unit
	return p
}

// docs/grafana.json shows every metric, and none that there is not; what it asks Prometheus
// for is understood.
func TestDashboard(t *testing.T) {
	d := newDashboard()
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	page(t, "grafana.json", string(text)+"\n")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	shown := make(map[string]bool)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			if wrong := unknown(target.Expr); len(wrong) > 0 {
				t.Errorf("%s: there is no %q", p.Title, wrong)
			}
			for _, name := range metricNames.FindAllString(target.Expr, -1) {
				shown[strings.TrimSuffix(name, "_bucket")] = true
			}
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			fmt.Fprintf(&rules, "      - record: panel_%d_%s\n        expr: '%s'\n", p.ID, target.RefID, expr)
		}
	}
	for i := range families {
		if !shown[families[i].name] {
			t.Errorf("%s is not shown", families[i].name)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yml"), []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "dashboard.yml")
}
