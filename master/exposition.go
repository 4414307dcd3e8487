package master

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/usher-go/usher/ipc"
)

// collector gives client_golang what was measured at one moment, as the table families has
// it. There is one for each scrape, with a registry of its own, so that all values are of
// the same moment and nothing is kept in between.
type collector struct{ m *measures }

// descriptions are those of families, by index.
var descriptions = sync.OnceValue(func() (all []*prometheus.Desc) {
	for i := range families {
		f := &families[i]
		all = append(all, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return all
})

// Describe gives every metric that there may be.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, description := range descriptions() {
		out <- description
	}
}

// Collect gives the values.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for i, description := range descriptions() {
		families[i].from(c.m, &samples{description, families[i].kind, out})
	}
}

// samples takes the values of one family.
type samples struct {
	description *prometheus.Desc
	kind        ipc.CounterKind
	out         chan<- prometheus.Metric
}

// add takes a value, and those of the family's labels. What is no UTF-8 in them, as file
// names may not be, is replaced: it would spoil all other metrics.
func (s *samples) add(value float64, labels ...string) {
	kind := prometheus.CounterValue
	if s.kind == ipc.KindGauge {
		kind = prometheus.GaugeValue
	}
	s.out <- prometheus.MustNewConstMetric(s.description, kind, value, valid(labels)...)
}

// addAll takes values by the one label that there is.
func (s *samples) addAll(values map[string]uint64) {
	for label, value := range values {
		s.add(float64(value), label)
	}
}

// histogram likewise takes one, of nanoseconds.
func (s *samples) histogram(h *ipc.Histogram[uint64], labels ...string) {
	const second = 1e9
	buckets, count := make(map[float64]uint64, len(ipc.DurationBounds)), uint64(0)
	for i, bound := range ipc.DurationBounds {
		count += h.Buckets[i]
		buckets[float64(bound)/second] = count
	}
	s.out <- prometheus.MustNewConstHistogram(s.description, ipc.Count(h), float64(h.Sum)/second, buckets, valid(labels)...)
}

func valid(labels []string) []string {
	for i, label := range labels {
		labels[i] = strings.ToValidUTF8(label, "\uFFFD")
	}
	return labels
}

// metrics answers with the metrics, in the format that the request asks for, of those that
// Prometheus reads: its own text, or OpenMetrics.
func (a api) metrics(w http.ResponseWriter, r *http.Request) {
	m, err := a.measureAll(r)
	if err != nil {
		unavailable(w, err.Error())
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{&m}, ownCollector(m.Status.Own), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
}

// measureAll returns what the supervisor measures, and what is to be read of processes.
func (a api) measureAll(r *http.Request) (measures, error) {
	m, err := a.measure(r)
	if err != nil {
		return measures{}, err
	}
	m.Status.readProcesses()
	for i := range m.Status.Workers {
		if cpu := m.Status.Workers[i].CPUSeconds; cpu != nil {
			m.WorkersCPU += time.Duration(*cpu * float64(time.Second))
		}
	}
	m.WorkersCPU = a.supervisor.shownCPU.atLeast(m.WorkersCPU)
	return m, nil
}

// highWater keeps a duration from going down that is read of processes: one of them may
// end just before it is read, and be counted among those that are gone only later. Any
// goroutine may use it.
type highWater struct {
	mu   sync.Mutex
	most time.Duration
}

func (h *highWater) atLeast(d time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = max(h.most, d)
	return h.most
}

// How long the supervisor may take to answer before the server is no longer called alive,
// or ready: with the accept goroutine, of which it asks what there is.
const aliveLimit = 2 * time.Second

// live answers whether the master does its work.
func (a api) live(w http.ResponseWriter, r *http.Request) {
	a.health(w, r, func(*measures) string { return "" })
}

// ready answers whether new connections are served.
func (a api) ready(w http.ResponseWriter, r *http.Request) {
	a.health(w, r, func(m *measures) string { return m.Unready })
}

func (a api) health(w http.ResponseWriter, r *http.Request, wrong func(*measures) string) {
	limited, cancel := context.WithTimeout(r.Context(), aliveLimit)
	defer cancel()
	m, err := a.measure(r.WithContext(limited))
	if err == context.DeadlineExceeded {
		unavailable(w, "the master does not answer")
		return
	}
	if err != nil {
		unavailable(w, err.Error())
		return
	}
	if why := wrong(&m); why != "" {
		unavailable(w, why)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // it fails if the client has gone
}

// unavailable answers with 503 and why, for people.
func unavailable(w http.ResponseWriter, why string) {
	http.Error(w, why, http.StatusServiceUnavailable)
}
