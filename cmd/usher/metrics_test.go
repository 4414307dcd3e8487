package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// scraper does what Prometheus does, and looks at each scrape whether a counter has gone
// down, or is gone.
type scraper struct {
	*server
	ask    func() ([]byte, error)
	mu     sync.Mutex
	last   map[string]float64
	number int // of scrapes
}

func newScraper(s *server) *scraper {
	return &scraper{server: s, ask: func() ([]byte, error) { return get(s.control, "/metrics") }}
}

// newAdminScraper asks as Prometheus does: by TCP, at the admin address.
func newAdminScraper(s *server) *scraper {
	s.t.Helper()
	_, address, _ := strings.Cut(s.log.await(s.t, 1, "serving metrics: address="), "address=")
	client := &http.Client{Timeout: answerTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	return &scraper{server: s, ask: func() ([]byte, error) {
		response, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, errors.New(response.Status)
		}
		return io.ReadAll(response.Body)
	}}
}

// scrape returns every value, by name and labels as the exposition has them.
func (s *scraper) scrape(when string) (map[string]float64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := s.ask()
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		s.t.Errorf("%s: %v in %s", when, err, text)
		return nil, err
	}
	values, totals := make(map[string]float64), make(map[string]float64)
	for _, f := range all {
		into := values
		if f.GetType() != dto.MetricType_GAUGE {
			into = totals
		}
		for _, m := range f.GetMetric() {
			put(into, f.GetName(), m)
		}
	}
	for name, was := range s.last {
		if is, there := totals[name]; is < was || !there {
			s.t.Errorf("%s: %s is %v, was %v; there: %t", when, name, is, was, there)
		}
	}
	s.last = totals
	s.number++
	for name, value := range totals {
		values[name] = value
	}
	return values, nil
}

func put(into map[string]float64, name string, m *dto.Metric) {
	var labels []string
	for _, pair := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
	}
	name += "{" + strings.Join(labels, ",") + "}"
	switch {
	case m.GetCounter() != nil:
		into[name] = m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		into[name] = m.GetGauge().GetValue()
	case m.GetHistogram() != nil:
		h := m.GetHistogram()
		into[name+" count"], into[name+" sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
		for _, b := range h.GetBucket() {
			into[fmt.Sprintf("%s le %v", name, b.GetUpperBound())] = float64(b.GetCumulativeCount())
		}
	}
}

// expect scrapes until a value is as wanted.
func (s *scraper) expect(when, name string, ok func(float64) bool) {
	s.t.Helper()
	until(s.t, when, func() (bool, string) {
		values, err := s.scrape(when)
		if err != nil {
			return false, err.Error()
		}
		value, there := values[name]
		return there && ok(value), fmt.Sprintf("%s is %v, there: %t", name, value, there)
	})
}

func exactly(want float64) func(float64) bool { return func(got float64) bool { return got == want } }

func atLeast(want float64) func(float64) bool { return func(got float64) bool { return got >= want } }

// No counter goes down while workers are killed, a reload and an upgrade replace them and
// the master's program, and slots are closed and used again. Each value is what it stands
// for.
func TestMetricsNeverGoDown(t *testing.T) {
	t.Parallel()
	file := install(t)
	s := file.serve("--workers", "2", "--app", "lines", "--admin", "127.0.0.1:0")
	metrics, admin := newScraper(s), newAdminScraper(s)
	accepted := fmt.Sprintf("usher_connections_accepted_total{address=%q,listener=%q}", s.address, "")
	often := time.NewTicker(100 * time.Millisecond)
	defer often.Stop()
	stop := meanwhile(t, func() bool {
		_, _ = metrics.scrape("meanwhile") // an upgrade may cut one short: the next tells
		_, _ = admin.scrape("meanwhile, by TCP")
		<-often.C
		return true
	})
	for i, step := range []struct {
		name   string
		take   func()
		metric string
		want   func(float64) bool
	}{
		{"at the start", func() {}, `usher_workers{state="ready"}`, exactly(2)},
		{"a killed worker", func() { kill(t, s.until("two", ready(2)).Workers[0].PID, unix.SIGKILL) }, `usher_worker_restarts_total{reason="signal"}`, exactly(1)},
		{"a reload", func() { s.signal(unix.SIGHUP) }, `usher_reloads_total{result="done"}`, exactly(1)},
		{"fewer workers", func() { s.signal(unix.SIGTTOU) }, "usher_workers_wanted{}", exactly(1)},
		{"more workers", func() { s.signal(unix.SIGTTIN) }, `usher_workers{state="ready"}`, exactly(2)},
		{"an upgrade", func() {
			file.replace()
			s.signal(unix.SIGUSR2)
			s.log.await(t, 1, "upgraded:")
		}, "usher_generation{}", exactly(2)},
		{"another killed worker", func() { kill(t, s.until("all", allReady).Workers[0].PID, unix.SIGKILL) }, `usher_worker_restarts_total{reason="signal"}`, exactly(2)},
	} {
		s.until("ready", func(status master.Status) bool { return allReady(status) && len(status.Workers) == status.Wanted })
		step.take()
		metrics.expect(step.name, step.metric, step.want)
		for range 5 {
			if err := shortVisit(s.address); err != nil {
				t.Error(err)
			}
		}
		n := float64(5 * (i + 1))
		metrics.expect(step.name, "usher_connections_closed_total{}", exactly(n))
		metrics.expect(step.name, accepted, exactly(n))
		metrics.expect(step.name, "usher_worker_bytes_received_total{}", atLeast(float64(len("hello\nagain\n"))))
		metrics.expect(step.name, "usher_queue_wait_seconds{} count", atLeast(n/2)) // a killed one may take some with it
		metrics.expect(step.name, "usher_config_last_reload_successful{}", exactly(1))
		admin.expect(step.name+", by TCP", accepted, exactly(n))
		metrics.expect(step.name, "usher_worker_cpu_seconds_total{}", func(v float64) bool { return v >= 0 && !math.IsNaN(v) })
	}
	stop()
	if metrics.number < 10 || admin.number < 10 {
		t.Errorf("only %d scrapes, and %d by TCP", metrics.number, admin.number)
	}
	s.until("whole", func(status master.Status) bool { return allReady(status) && len(status.Workers) == 2 })
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// promtool reads what /metrics says, and finds nothing to complain of; by the rules of
// OpenMetrics the page is whole.
func TestMetricsAreAsPrometheusWants(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1", "--app", "lines")
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	text, err := get(s.control, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if answer, err := get(s.control, path); err != nil || string(answer) != "ok\n" {
			t.Errorf("%s: %q, %v", path, answer, err)
		}
	}
	t.Run("promtool", func(t *testing.T) {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("promtool (Debian's package prometheus) is not installed: ", err)
		}
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = bytes.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})
	s.stop()
}
