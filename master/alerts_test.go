package master

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
	"github.com/usher-go/usher/ipc"
)

// alert is one rule for Prometheus.
type alert struct {
	name     string
	expr     string
	wait     string // how long expr must hold before it fires
	severity string
	summary  string
	advice   string // what to look at

	// fault is what makes it fire, as promtool's tests have values: a series for each
	// name, a value for each minute. It fires after at, and without the fault it does not.
	fault  map[string]string
	at     string
	labels string // that it fires with, besides severity
}

// flat is a series that changes nothing for an hour.
const flat = "0x60"

var alerts = []alert{
	{"UsherAbsent", `absent(usher_build_info)`, "1m", "critical", "No server is scraped.", "whether the master runs, and --admin",
		map[string]string{}, "5m", ""},
	{"UsherDown", `up == 0 and on (job, instance) last_over_time(usher_build_info[1d])`, "1m", "critical", "A server that was there cannot be scraped.", "whether the master runs, and has descriptors left",
		map[string]string{`up{job="usher",instance="a"}`: "1 1 0x20", `usher_build_info{job="usher",instance="a"}`: "1 1 stale"}, "5m", `job="usher",instance="a"`},
	{"UsherWorkersMissing", `usher_workers{state="ready"} < ignoring (state) usher_workers_wanted`, "1m", "critical", "Fewer workers are ready than wanted.", "restarts in usher status, and the log",
		map[string]string{`usher_workers{state="ready"}`: "2 2 1x20", `usher_workers_wanted`: "2x20"}, "5m", ""},
	{"UsherWorkersRestart", `sum without (reason) (increase(usher_worker_restarts_total[10m])) > 3`, "0m", "warning", "Workers die again and again.", "the log: it has what each said last",
		map[string]string{`usher_worker_restarts_total{reason="signal"}`: "0+1x20"}, "15m", ""},
	{"UsherWorkerHung", `increase(usher_worker_restarts_total{reason="hang"}[10m]) > 0`, "0m", "warning", "A worker was aborted since its loop stood still.", "the stack in the log",
		map[string]string{`usher_worker_restarts_total{reason="hang"}`: "0 0 1x20"}, "5m", `reason="hang"`},
	{"UsherReloadFailed", `usher_config_last_reload_successful == 0`, "0m", "warning", "The last reload was refused, or failed; the generation before serves on.", "usher status, and usher check",
		map[string]string{`usher_config_last_reload_successful`: "1 1 0x20"}, "5m", ""},
	{"UsherConnectionsLost", `increase(usher_connections_lost_total[10m]) > 0`, "0m", "warning", "Connections were lost.", "the log, by slot: a worker died with them, or could not restore them",
		map[string]string{`usher_connections_lost_total`: "0 0 5x20"}, "5m", ""},
	{"UsherConnectionsCut", `increase(usher_connections_cut_total[10m]) > 0`, "0m", "info", "The deadline of a drain ended connections.", "staying in usher status, and --drain-timeout",
		map[string]string{`usher_connections_cut_total`: "0 0 5x20"}, "5m", ""},
	{"UsherConnectionsRefused", `sum without (reason) (rate(usher_connections_refused_total[5m])) > 0`, "5m", "warning", "Connections are refused.", "the limit that the log names",
		map[string]string{`usher_connections_refused_total{reason="overload"}`: "0+60x30"}, "15m", ""},
	{"UsherAcceptErrors", `increase(usher_accept_errors_total[10m]) > 0`, "0m", "warning", "Connections cannot be accepted.", "the errno: EMFILE and ENFILE are too few descriptors",
		map[string]string{`usher_accept_errors_total{errno="EMFILE"}`: "0 0 5x20"}, "5m", `errno="EMFILE"`},
	{"UsherQueueWaits", `histogram_quantile(0.99, rate(usher_queue_wait_seconds_bucket[5m])) > 0.25`, "5m", "warning", "One connection in a hundred waits for longer than 250 ms before a worker takes it.", "queued in usher status, CPU of the workers, and usher stacks SLOT",
		slow("usher_queue_wait_seconds", "1"), "15m", ""},
	{"UsherQueueStuck", `sum without (slot) (usher_queue_connections) > 0 and rate(usher_queue_wait_seconds_count[5m]) == 0`, "1m", "critical", "Connections wait, and no worker has taken one for minutes.", "usher stacks SLOT, and whether the workers are stopped",
		map[string]string{`usher_queue_connections{slot="0"}`: "0 0 3x30", `usher_queue_wait_seconds_count`: "7x40"}, "15m", ""},
	{"UsherLoopLags", `histogram_quantile(0.99, rate(usher_loop_lag_seconds_bucket[5m])) > 0.1`, "5m", "warning", "One turn of the loops in a hundred takes longer than 100 ms: handlers block.", "usher profile cpu SLOT",
		slow("usher_loop_lag_seconds", "0.5"), "15m", ""},
	{"UsherMovesPause", `histogram_quantile(0.99, rate(usher_move_pause_seconds_bucket[10m])) > 0.5`, "0m", "info", "One connection in a hundred that moved stood still for longer than 500 ms.", "the size of its state, and CPU of the workers",
		slow("usher_move_pause_seconds", "2.5"), "15m", ""},
	{"UsherHTTPFails", `rate(usher_http_requests_total{class="5xx"}[5m]) / ignoring (class) sum without (class) (rate(usher_http_requests_total[5m])) > 0.05`, "5m", "warning", "More than 5 % of the HTTP requests are answered with 5xx.", "the access log",
		map[string]string{`usher_http_requests_total{class="2xx"}`: "0+50x30", `usher_http_requests_total{class="5xx"}`: "0+50x30"}, "15m", ""},
	{"UsherHandshakesFail", `rate(usher_tls_handshakes_total{result="failed"}[10m]) / ignoring (result) sum without (result) (rate(usher_tls_handshakes_total[10m])) > 0.5`, "10m", "warning", "More than half of the TLS handshakes fail.", "the certificate, and what clients want of it",
		map[string]string{`usher_tls_handshakes_total{result="completed"}`: "0+1x40", `usher_tls_handshakes_total{result="failed"}`: "0+9x40"}, "30m", ""},
	{"UsherCertificateExpires", `usher_tls_certificate_expiry_timestamp_seconds - time() < 14 * 86400`, "0m", "warning", "A certificate expires in less than two weeks.", "who renews it; usher reload reads it again",
		map[string]string{`usher_tls_certificate_expiry_timestamp_seconds{file="a.pem"}`: "86400x20"}, "5m", `file="a.pem"`},
}

// slow is a histogram of which all falls into the bucket of a bound.
func slow(name, bound string) map[string]string {
	series := map[string]string{name + `_bucket{le="+Inf"}`: "0+60x30"}
	for _, b := range ipc.DurationBounds {
		le := strconv.FormatFloat(float64(b)/1e9, 'g', -1, 64)
		value := "0x30"
		if limit, _ := strconv.ParseFloat(bound, 64); float64(b)/1e9 >= limit {
			value = "0+60x30"
		}
		series[fmt.Sprintf("%s_bucket{le=%q}", name, le)] = value
	}
	return series
}

// rules is docs/alerts.yml.
func rules() string {
	var b strings.Builder
	b.WriteString("# Alert rules for Prometheus: go test ./master -run TestAlertRules -update writes this.\ngroups:\n  - name: usher\n    rules:\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n        for: %s\n        labels: {severity: %s}\n        annotations:\n          summary: %q\n          description: %q\n",
			a.name, a.expr, a.wait, a.severity, a.summary, "Look at "+a.advice+".")
	}
	return b.String()
}

// ruleTests are what promtool is to test the rules by: each fires by its fault, and none
// does while all is well.
func ruleTests() string {
	var b strings.Builder
	b.WriteString("rule_files: [alerts.yml]\nevaluation_interval: 1m\ntests:\n")
	series := func(all map[string]string) {
		b.WriteString("  - interval: 1m\n    input_series:\n")
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range all {
				if !yield(name) {
					return
				}
			}
		}) {
			fmt.Fprintf(&b, "      - {series: '%s', values: %q}\n", name, all[name])
		}
		b.WriteString("    alert_rule_test:\n")
	}
	well := map[string]string{"usher_build_info": "1x60", "up": "1x60", `usher_queue_connections{slot="0"}`: "1x60", "usher_queue_wait_seconds_count": "0+60x60", `usher_workers{state="ready"}`: "2x60", "usher_workers_wanted": "2x60", "usher_config_last_reload_successful": "1x60",
		"usher_connections_lost_total": flat, "usher_connections_cut_total": flat, `usher_accept_errors_total{errno="EMFILE"}`: flat, `usher_connections_refused_total{reason="overload"}`: flat,
		`usher_worker_restarts_total{reason="hang"}`: flat, `usher_worker_restarts_total{reason="signal"}`: "0 0 1x58", // one is no alarm
		`usher_http_requests_total{class="2xx"}`: "0+60x60", `usher_http_requests_total{class="5xx"}`: "0+1x60",
		`usher_tls_handshakes_total{result="completed"}`: "0+60x60", `usher_tls_handshakes_total{result="failed"}`: "0+1x60",
		`usher_tls_certificate_expiry_timestamp_seconds{file="a.pem"}`: "8640000x60",
	}
	for _, name := range []string{"usher_queue_wait_seconds", "usher_loop_lag_seconds", "usher_move_pause_seconds"} {
		for k, v := range slow(name, "0.00001") {
			well[k] = v
		}
	}
	series(well)
	for _, a := range alerts {
		fmt.Fprintf(&b, "      - {alertname: %s, eval_time: 30m, exp_alerts: []}\n", a.name)
	}
	for _, a := range alerts {
		series(a.fault)
		labels := ""
		for _, label := range strings.Split(a.labels, ",") {
			if name, value, ok := strings.Cut(label, "="); ok {
				labels += ", " + name + ": " + value
			}
		}
		fmt.Fprintf(&b, "      - alertname: %s\n        eval_time: %s\n        exp_alerts:\n          - exp_labels: {severity: %s%s}\n            exp_annotations: {summary: %q, description: %q}\n",
			a.name, a.at, a.severity, labels, a.summary, "Look at "+a.advice+".")
	}
	return b.String()
}

// page compares a file of docs with what is made of the tables, or with -update writes it.
func page(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("../docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v): -update writes it", path, err)
	}
}

var (
	metricNames = regexp.MustCompile(`\busher_\w+`)
	selectors   = regexp.MustCompile(`\b(usher_\w+)\{([^}]*)\}`)
	matchers    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
)

// unknown returns what of an expression is not in the table: a metric, or a label of one.
func unknown(expr string) (wrong []string) {
	labels := func(name string) ([]string, bool) {
		for i := range families {
			f := &families[i]
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				if f.name+suffix == name && (suffix == "") == (f.kind != ipc.KindHistogram) {
					return append([]string{"instance", "job", "le"}, f.labels...), true
				}
			}
		}
		return nil, false
	}
	for _, name := range metricNames.FindAllString(expr, -1) {
		if _, ok := labels(name); !ok {
			wrong = append(wrong, name)
		}
	}
	for _, selector := range selectors.FindAllStringSubmatch(expr, -1) {
		known, _ := labels(selector[1])
		for _, matcher := range matchers.FindAllStringSubmatch(selector[2], -1) {
			if !slices.Contains(known, matcher[1]) {
				wrong = append(wrong, selector[1]+" by "+matcher[1])
			}
		}
	}
	return wrong
}

func TestUnknownIsFound(t *testing.T) {
	for expr, want := range map[string]string{
		`rate(usher_reloads_total{result="done"}[5m])`: "",
		`usher_reload_total`:                           "usher_reload_total",
		`usher_queue_wait_seconds`:                     "usher_queue_wait_seconds",
		`usher_queue_wait_seconds_bucket{le="1"}`:      "",
		`usher_generation{slot="1"}`:                   "usher_generation by slot",
	} {
		if got := strings.Join(unknown(expr), ","); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// docs/alerts.yml names nothing that there is not; promtool accepts it, and each alert
// fires by its fault, and by that alone.
func TestAlertRules(t *testing.T) {
	page(t, "alerts.yml", rules())
	table := "| alert | severity | fires when | look at |\n|---|---|---|---|\n"
	for _, a := range alerts {
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", a.name, a.severity, a.summary, a.advice)
	}
	pagetest.Part(t, "../docs/operations.md", "alerts", table, *update)
	for _, a := range alerts {
		wrong := unknown(a.expr)
		for series := range a.fault {
			wrong = append(wrong, unknown(series)...)
		}
		if len(wrong) > 0 {
			t.Errorf("%s: there is no %q", a.name, wrong)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alerts.yml", rules())
	write("tests.yml", ruleTests())
	promtool(t, dir, "check", "rules", "alerts.yml")
	promtool(t, dir, "test", "rules", "tests.yml")
}

// promtool runs it in a folder, and fails the test if it complains.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool (Debian's package prometheus) is not installed: ", err)
	}
	run := exec.Command(program, args...)
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v: %s", args, err, out)
	}
}
