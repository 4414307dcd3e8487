package worker

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/usher-go/usher/ipc"
)

// CounterMetric counts what a program does: see Counter. Any goroutine may call its methods,
// which cost an atomic addition.
type CounterMetric struct{ n *atomic.Uint64 }

// Counter makes a counter of the program's own, which the master shows beside its own
// measurements: the sum over all workers, which does not go down when one of them ends. A
// label is a name and its value:
//
//	var orders = worker.Counter("shop_orders_total", "orders taken", "kind", "book")
//
// It is to be called once for each name and labels, before the worker serves: for a variable
// of a package, or in main. Names of counters should end in _total. It panics if it comes too
// late, for names or labels that Prometheus does not allow or that begin with usher_ or process_, for a
// second one with the same name and labels, for another type or help than the name has
// already, and when there are 256 or they have no more room. That a name has
// another type or help in the workers that serve already, only the master can see: it
// refuses the worker, and so the reload.
//
// In a process that no master started it counts for the program alone.
func Counter(name, help string, labels ...string) *CounterMetric {
	numbers := own.add(ipc.Series{Name: name, Kind: ipc.SeriesCounter, Help: help}, labels)
	return &CounterMetric{&numbers[0]}
}

// Inc counts one.
func (c *CounterMetric) Inc() { c.n.Add(1) }

// Add counts n at once.
func (c *CounterMetric) Add(n uint64) { c.n.Add(n) }

// Value returns what this process has counted.
func (c *CounterMetric) Value() uint64 { return c.n.Load() }

// GaugeMetric is a value that goes up and down: see Gauge. Any goroutine may call its methods.
type GaugeMetric struct{ bits *atomic.Uint64 }

// Gauge makes a gauge of the program's own, which begins with 0. The master shows the sum
// over the workers that live. All else is as for a Counter.
func Gauge(name, help string, labels ...string) *GaugeMetric {
	numbers := own.add(ipc.Series{Name: name, Kind: ipc.SeriesGauge, Help: help}, labels)
	return &GaugeMetric{&numbers[0]}
}

// Set makes v the value. The master takes NaN for 0.
func (g *GaugeMetric) Set(v float64) { g.bits.Store(math.Float64bits(v)) }

// Add adds delta to the value, which may be negative.
func (g *GaugeMetric) Add(delta float64) { addFloat(g.bits, delta) }

// Value returns the value in this process.
func (g *GaugeMetric) Value() float64 { return math.Float64frombits(g.bits.Load()) }

// HistogramMetric counts how large things are: see Histogram. Any goroutine may call its
// methods.
type HistogramMetric struct {
	bounds  []float64
	buckets []atomic.Uint64 // one more than bounds
	sum     *atomic.Uint64
}

// Histogram makes a histogram of the program's own, for durations in seconds, sizes in bytes
// and the like: it counts how many values were as large as each of the bounds at most, which
// are 1 to 64, grow, and are not negative. All else is as for a Counter.
func Histogram(name, help string, bounds []float64, labels ...string) *HistogramMetric {
	bounds = slices.Clone(bounds)
	numbers := own.add(ipc.Series{Name: name, Kind: ipc.SeriesHistogram, Help: help, Bounds: bounds}, labels)
	last := len(bounds) + 1
	return &HistogramMetric{bounds: bounds, buckets: numbers[:last], sum: &numbers[last]}
}

// Observe counts a value. One that is negative, infinite or NaN is not counted.
func (h *HistogramMetric) Observe(v float64) {
	if !(v >= 0) || math.IsInf(v, 1) {
		return
	}
	bucket := 0
	for bucket < len(h.bounds) && v > h.bounds[bucket] {
		bucket++
	}
	addFloat(h.sum, v)
	h.buckets[bucket].Add(1)
}

// Value returns how many values this process has counted, and their sum.
func (h *HistogramMetric) Value() (count uint64, sum float64) {
	for i := range h.buckets {
		count += h.buckets[i].Load()
	}
	return count, math.Float64frombits(h.sum.Load())
}

// addFloat adds to a number that is a float64.
func addFloat(bits *atomic.Uint64, delta float64) {
	for {
		old := bits.Load()
		if bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+delta)) {
			return
		}
	}
}

// metrics are what a program measures of its own: their numbers are in the memory that it
// shares with its master, from the first on, so that nothing is to be copied, or lost, when
// it begins to serve. Any goroutine may call the methods.
type metrics struct {
	mu      sync.Mutex // guards the following
	series  []ipc.Series
	set     ipc.SeriesSet
	numbers []atomic.Uint64 // those that are left; nil before the first series
	shared  bool            // the master has them too
	serving bool            // the master was told of the series, and hears of no more
}

// own are those of this process: a program sets them once, before it serves.
var own metrics

var (
	errServing = errors.New("made while the worker serves; make it before, once")
	errTooMany = fmt.Errorf("there are %d already, the most that a worker can have", ipc.MaxSeries)
	errNoRoom  = errors.New("there is no more room for the numbers of all: have fewer histograms, or buckets")
)

// add makes a series, and returns its numbers. It panics if that is not possible.
func (m *metrics) add(s ipc.Series, labels []string) []atomic.Uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	numbers, err := m.tryAdd(s, labels)
	if err != nil {
		panic(fmt.Sprintf("worker: %v", err))
	}
	return numbers
}

func (m *metrics) tryAdd(s ipc.Series, labels []string) ([]atomic.Uint64, error) {
	if err := label(&s, labels); err != nil {
		return nil, fmt.Errorf("metric %q: %w", s.Name, err)
	}
	if m.numbers == nil {
		m.open()
	}
	count := s.Numbers()
	switch {
	case m.serving:
		return nil, fmt.Errorf("metric %q: %w", s.Name, errServing)
	case len(m.series) >= ipc.MaxSeries:
		return nil, fmt.Errorf("metric %q: %w", s.Name, errTooMany)
	case count > len(m.numbers):
		return nil, fmt.Errorf("metric %q: %w", s.Name, errNoRoom)
	}
	if err := m.set.Add(s); err != nil {
		return nil, err
	}
	m.series = append(m.series, s)
	numbers := m.numbers[:count:count]
	m.numbers = m.numbers[count:]
	return numbers, nil
}

// label gives the series its labels.
func label(s *ipc.Series, labels []string) error {
	if len(labels)%2 != 0 {
		return fmt.Errorf("label %q has no value", labels[len(labels)-1])
	}
	for pair := range slices.Chunk(labels, 2) {
		if _, twice := s.Labels[pair[0]]; twice {
			return fmt.Errorf("label %q is there twice", pair[0])
		}
		if s.Labels == nil {
			s.Labels = make(map[string]string)
		}
		s.Labels[pair[0]] = pair[1]
	}
	return nil
}

// open takes the numbers from the scoreboard's memory, in a worker that has some there; Run
// reports what is wrong with the scoreboard. Otherwise nobody but this process has them.
func (m *metrics) open() {
	environ := os.Environ()
	if _, ok, err := ipc.IdentityFromEnviron(environ); ok && err == nil {
		numbers, err := ipc.MapNumbers(ipc.ScoreboardFD, ipc.MetricsPlace(environ))
		m.numbers, m.shared = numbers, err == nil && numbers != nil
	}
	if !m.shared {
		m.numbers = make([]atomic.Uint64, ipc.MetricsSize/8)
	}
}

// tell returns what the master is to be told before ready; nothing if it has not the numbers.
// No series can be made from then on.
func (m *metrics) tell() []ipc.Metrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = true
	if !m.shared {
		return nil
	}
	return ipc.TellSeries(m.series)
}
