package worker_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// Those of a program, which a test's process and one helper have: each made once.
var (
	madeBooks, madePens *worker.CounterMetric
	madeWaiting         *worker.GaugeMetric
	madeSize            *worker.HistogramMetric
	makeMetrics         = sync.OnceFunc(func() {
		madeBooks = worker.Counter("made_total", "things made", "kind", "book")
		madePens = worker.Counter("made_total", "things made", "kind", "pen")
		madeWaiting = worker.Gauge("made_waiting", "things that wait")
		madeSize = worker.Histogram("made_size", "how large things are", []float64{1, 10})
	})
)

// serveWithMetrics counts what it did before it served, and each piece of input by a
// goroutine of its own. It says what comes of a metric that is made too late.
func serveWithMetrics() {
	makeMetrics()
	madePens.Add(7)
	madeWaiting.Set(1.5)
	worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		defer func() { fmt.Println(recover()) }()
		var wait sync.WaitGroup
		wait.Go(func() {
			madeBooks.Inc()
			madeSize.Observe(float64(len(in)))
			madeWaiting.Add(-0.25)
		})
		wait.Wait()
		worker.Gauge("made_late", "too late")
		return len(in), nil
	}))
}

// The master is told of the metrics before ready, and has what was counted in its memory, from
// the first on.
func TestMetricsAreTold(t *testing.T) {
	p := start(t, "metrics", ipc.Version)
	told := next[ipc.Metrics](p.rig).Series
	p.ready = next[ipc.Ready](p.rig)
	want := []ipc.Series{
		{Name: "made_total", Kind: ipc.SeriesCounter, Help: "things made", Labels: map[string]string{"kind": "book"}},
		{Name: "made_total", Kind: ipc.SeriesCounter, Help: "things made", Labels: map[string]string{"kind": "pen"}},
		{Name: "made_waiting", Kind: ipc.SeriesGauge, Help: "things that wait"},
		{Name: "made_size", Kind: ipc.SeriesHistogram, Help: "how large things are", Bounds: []float64{1, 10}},
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	numbers := func() (n []uint64) {
		for i := range 7 {
			n = append(n, p.numbers[i].Load())
		}
		return n
	}
	if got, want := numbers(), []uint64{0, 7, math.Float64bits(1.5), 0, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("before: %v, want %v", got, want)
	}
	p.connect().send("hello")
	line := make([]byte, 256)
	n, err := p.stdout.Read(line)
	check(t, err)
	if got := string(line[:n]); got != "worker: metric \"made_late\": made while the worker serves; make it before, once\n" {
		t.Errorf("a late one: %q", got)
	}
	if got, want := numbers(), []uint64{1, 7, math.Float64bits(1.25), 0, 1, 0, math.Float64bits(5)}; !slices.Equal(got, want) {
		t.Errorf("after: %v, want %v", got, want)
	}
	p.tell(ipc.Stop{})
	p.expectExit(0)
}

// Metrics count for any goroutine, in any process.
func TestMetricsCount(t *testing.T) {
	makeMetrics()
	books, waiting := madeBooks.Value(), madeWaiting.Value()
	count, sum := madeSize.Value()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 1000 {
				madeBooks.Add(2)
				madeWaiting.Add(0.5)
				madeSize.Observe(2)
			}
		})
	}
	wait.Wait()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		madeSize.Observe(v) // is not counted
	}
	if got := madeBooks.Value() - books; got != 16000 {
		t.Errorf("counter: %d", got)
	}
	if got := madeWaiting.Value() - waiting; got != 4000 {
		t.Errorf("gauge: %v", got)
	}
	if c, s := madeSize.Value(); c-count != 8000 || s-sum != 16000 {
		t.Errorf("histogram: %d, %v", c-count, s-sum)
	}
}

// What cannot be a metric is refused where it is made, and by its name.
func TestMetricsRefused(t *testing.T) {
	makeMetrics()
	for name, test := range map[string]struct {
		make func()
		want string
	}{
		"no name":            {func() { worker.Counter("", "h") }, `metric "": a name has letters`},
		"usher's":            {func() { worker.Gauge("usher_x", "h") }, `metric "usher_x": names that begin with usher_ are taken`},
		"twice":              {func() { worker.Counter("made_total", "things made", "kind", "pen") }, `metric "made_total": there are two with the same labels`},
		"another type":       {func() { worker.Gauge("made_total", "things made") }, `metric "made_total": a gauge, and a counter before`},
		"another help":       {func() { worker.Counter("made_total", "things") }, `metric "made_total": its help is "things", and was "things made" before`},
		"a histogram's part": {func() { worker.Counter("made_size_count", "things") }, `metric "made_size_count": Prometheus could not tell it from "made_size"`},
		"half a label":       {func() { worker.Counter("made_other", "h", "kind") }, `metric "made_other": label "kind" has no value`},
		"a label twice":      {func() { worker.Counter("made_other", "h", "a", "1", "a", "2") }, `metric "made_other": label "a" is there twice`},
		"no buckets":         {func() { worker.Histogram("made_other", "h", nil) }, `metric "made_other": a histogram of 0 bounds`},
		"too many": {func() {
			m := worker.NewMetrics()
			for i := range ipc.MaxSeries + 1 {
				m.Add(ipc.Series{Name: fmt.Sprint("x", i), Kind: ipc.SeriesGauge, Help: "h"})
			}
		}, `metric "x256": there are 256 already`},
		"no room": {func() {
			m := worker.NewMetrics()
			bounds := make([]float64, ipc.MaxMetricBounds)
			for i := range bounds {
				bounds[i] = float64(i)
			}
			for i := range ipc.MaxSeries {
				m.Add(ipc.Series{Name: fmt.Sprint("x", i), Kind: ipc.SeriesHistogram, Help: "h", Bounds: bounds})
			}
		}, `metric "x62": there is no more room for the numbers of all`},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "worker: "+test.want) {
					t.Errorf("%s, want %s", got, test.want)
				}
			}()
			test.make()
		})
	}
}

func ExampleCounter() {
	orders := worker.Counter("shop_orders_total", "orders taken", "kind", "book") // a variable of the package
	worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		orders.Inc()
		return c.Write(in)
	}))
}

// What a program pays for each count.
func BenchmarkMetrics(b *testing.B) {
	makeMetrics()
	b.Run("counter", func(b *testing.B) {
		for b.Loop() {
			madeBooks.Inc()
		}
	})
	b.Run("histogram", func(b *testing.B) {
		for b.Loop() {
			madeSize.Observe(2)
		}
	})
}
