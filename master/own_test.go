package master

import (
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/usher-go/usher/ipc"
)

// ownRig has slots whose workers tell of metrics, and write their numbers.
type ownRig struct {
	t   *testing.T
	own ownMetrics
	slots
}

// start has a worker start in the slot, which tells of series. The error is what the worker is
// ended for.
func (r *ownRig) start(number int, told ...ipc.Series) (*slot, []atomic.Uint64, error) {
	r.t.Helper()
	board, places, err := ipc.NewScoreboardFor(1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = board.Close() })
	s := &slot{number: number, board: board, own: ownSeries{place: places.Metrics}}
	r.put(s)
	return s, s.ownNumbers(), r.own.tell(&s.own, told)
}

// end has the slot's worker end.
func (r *ownRig) end(s *slot) {
	r.own.release(s)
	s.board = nil
}

func (r *ownRig) mustStart(number int, told ...ipc.Series) (*slot, []atomic.Uint64) {
	r.t.Helper()
	s, numbers, err := r.start(number, told...)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, numbers
}

// expect compares what is measured.
func (r *ownRig) expect(what, want string) {
	r.t.Helper()
	var got []string
	for _, m := range r.own.measure(&r.slots) {
		text := fmt.Sprint(m.Name, m.Labels, " ", m.Value)
		if h := m.Histogram; h != nil {
			text += fmt.Sprint(h.Buckets, h.Sum)
		}
		got = append(got, strings.Replace(text, "map", "", 1))
	}
	if text := strings.Join(got, "; "); text != want {
		r.t.Errorf("%s: %s, want %s", what, text, want)
	}
}

func counterOf(name string, label ...string) ipc.Series {
	s := ipc.Series{Name: name, Kind: ipc.SeriesCounter, Help: "h"}
	for _, value := range label {
		s.Labels = map[string]string{"kind": value}
	}
	return s
}

var (
	books      = counterOf("orders_total", "book")
	pens       = counterOf("orders_total", "pen")
	carts      = ipc.Series{Name: "carts", Kind: ipc.SeriesGauge, Help: "h"}
	ownSeconds = ipc.Series{Name: "seconds", Kind: ipc.SeriesHistogram, Help: "h", Bounds: []float64{1, 2}}
)

// Totals are those of all workers, the dead and the next ones included, and whatever order
// each tells its series in.
func TestOwnMetricsAreSummed(t *testing.T) {
	r := &ownRig{t: t}
	a, first := r.mustStart(0, books, carts, ownSeconds)
	b, second := r.mustStart(1, ownSeconds, carts, pens, books)
	r.expect("nothing yet", "carts[] 0; orders_total[kind:book] 0; orders_total[kind:pen] 0; seconds[] 0[0 0 0] 0")
	first[0].Store(3)
	first[1].Store(math.Float64bits(1.5))
	first[3].Store(2)
	first[5].Store(math.Float64bits(2.5))
	second[2].Store(7)
	second[3].Store(math.Float64bits(1))
	second[4].Store(math.Float64bits(-4))
	second[6].Store(10)
	r.expect("both", "carts[] -2.5; orders_total[kind:book] 13; orders_total[kind:pen] 0; seconds[] 9[0 2 7] 3.5")
	second[6].Store(11)
	r.end(b)
	r.expect("one died", "carts[] 1.5; orders_total[kind:book] 14; seconds[] 9[0 2 7] 3.5")
	_, third := r.mustStart(1, books)
	third[0].Store(1)
	r.expect("another in its slot", "carts[] 1.5; orders_total[kind:book] 15; seconds[] 9[0 2 7] 3.5")
	r.end(a)
	r.expect("without gauges", "orders_total[kind:book] 15; seconds[] 9[0 2 7] 3.5")
}

// Whatever a worker writes, and does not write, no total goes down, and none is no number.
func TestOwnMetricsOfLiars(t *testing.T) {
	r := &ownRig{t: t}
	_, numbers := r.mustStart(0, books, carts, ownSeconds)
	_, honest := r.mustStart(1, books, carts)
	honest[0].Store(1)
	honest[1].Store(math.Float64bits(1))
	numbers[0].Store(5)
	r.expect("before", "carts[] 1; orders_total[kind:book] 6; seconds[] 0[0 0 0] 0")
	numbers[0].Store(2)
	numbers[1].Store(math.Float64bits(math.NaN()))
	numbers[5].Store(math.Float64bits(math.Inf(-1)))
	r.expect("down, and no number", "carts[] 1; orders_total[kind:book] 6; seconds[] 0[0 0 0] 0")
	for i := range numbers {
		numbers[i].Store(math.Float64bits(math.Inf(1)))
	}
	r.expect("too much", "carts[] 1e+300; orders_total[kind:book] 9.007199254740992e+15; seconds[] 2.7021597764222976e+16[9007199254740992 9007199254740992 9007199254740992] 1e+300")
	for i := range numbers {
		numbers[i].Store(0)
	}
	r.expect("nothing", "carts[] 1; orders_total[kind:book] 9.007199254740992e+15; seconds[] 2.7021597764222976e+16[9007199254740992 9007199254740992 9007199254740992] 1e+300")
}

// What cannot be beside what there is ends the worker, with an error that names it. What only
// that worker had told leaves nothing behind.
func TestOwnMetricsRefused(t *testing.T) {
	gauge, help, buckets := books, books, ownSeconds
	gauge.Kind, help.Help, buckets.Bounds = ipc.SeriesGauge, "H", []float64{1, 3}
	for name, test := range map[string]struct {
		told ipc.Series
		want string
	}{
		"another kind":  {gauge, `metric "orders_total": a gauge, and a counter before`},
		"another help":  {help, `metric "orders_total": its help is "H", and was "h" before`},
		"other buckets": {buckets, `metric "seconds": its buckets are [1 3], and were [1 2] before`},
		"another's sum": {counterOf("seconds_sum"), `metric "seconds_sum": Prometheus could not tell it from "seconds"`},
		"usher's":       {counterOf("usher_x"), `metric "usher_x": names that begin with usher_`},
		"twice":         {counterOf("new_total"), `metric "new_total": there are two with the same labels`},
	} {
		t.Run(name, func(t *testing.T) {
			r := &ownRig{t: t}
			_, numbers := r.mustStart(0, books, ownSeconds)
			numbers[0].Store(1)
			s, _, err := r.start(1, counterOf("new_total"), test.told)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			r.end(s)
			other := counterOf("new_total")
			other.Help = "another"
			r.mustStart(1, books, other)
		})
	}
}

// A worker has no more than its room, and the master no more than a few programs' in use.
func TestOwnMetricsAreBounded(t *testing.T) {
	many := func(prefix string, kind string, n int) (told []ipc.Series) {
		for i := range n {
			s := ipc.Series{Name: fmt.Sprint(prefix, i), Kind: kind, Help: "h"}
			if kind == ipc.SeriesHistogram {
				for b := range ipc.MaxMetricBounds {
					s.Bounds = append(s.Bounds, float64(b))
				}
			}
			told = append(told, s)
		}
		return told
	}
	r := &ownRig{t: t}
	for name, told := range map[string][]ipc.Series{"x256": many("x", ipc.SeriesGauge, 257), "x62": many("x", ipc.SeriesHistogram, 63)} {
		s, _, err := r.start(0, told...)
		if err == nil || !strings.HasPrefix(err.Error(), `metric "`+name+`": `) {
			t.Errorf("%v, want it to name %s", err, name)
		}
		r.end(s)
	}
	generation := func(n int) (*slot, error) {
		s, numbers, err := r.start(n%8, many(fmt.Sprint("g", n, "_"), ipc.SeriesCounter, ipc.MaxSeries)...)
		for i := range ipc.MaxSeries {
			numbers[i].Store(1)
		}
		return s, err
	}
	for n := range 20 { // one program after the other
		s, err := generation(n)
		if err != nil {
			t.Fatal(err)
		}
		r.end(s)
	}
	if n := len(r.own.totals); n > maxOwnTotals {
		t.Errorf("%d totals", n)
	}
	for n := 20; n < 24; n++ { // at the same time
		if _, err := generation(n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := generation(24); err == nil || !strings.Contains(err.Error(), errOwnRoom.Error()) {
		t.Errorf("one too many: %v", err)
	}
}

// The next program goes on with what there was, and with what is counted meanwhile.
func TestOwnMetricsAreHandedOver(t *testing.T) {
	r := &ownRig{t: t}
	s, numbers := r.mustStart(0, books, carts, ownSeconds)
	gone, old := r.mustStart(1, books, pens)
	old[0].Store(10)
	old[1].Store(2)
	numbers[0].Store(1)
	numbers[1].Store(math.Float64bits(5))
	r.end(gone)
	r.expect("before", "carts[] 5; orders_total[kind:book] 11; orders_total[kind:pen] 2; seconds[] 0[0 0 0] 0")

	next := &ownRig{t: t}
	u := &upgradeState{Own: r.own.state(), Slots: []slotState{{Own: s.own.state()}}}
	if err := u.checkOwn(); err != nil {
		t.Fatal(err)
	}
	numbers[0].Store(4)
	next.own.restore(u.Own)
	adopted := &slot{number: 0, board: s.board}
	next.own.adopt(&adopted.own, &u.Slots[0].Own)
	next.put(adopted)
	next.expect("after", "carts[] 5; orders_total[kind:book] 14; orders_total[kind:pen] 2; seconds[] 0[0 0 0] 0")
	next.end(adopted)
	next.expect("when it is gone", "orders_total[kind:book] 14; orders_total[kind:pen] 2")
}

// What is handed to a test of the next program stays as it is while workers count on.
func TestOwnStateIsACopy(t *testing.T) {
	r := &ownRig{t: t}
	s, numbers := r.mustStart(0, books)
	numbers[0].Store(1)
	r.expect("before", "orders_total[kind:book] 1")
	total, worker := r.own.state(), s.own.state()
	was := fmt.Sprint(total, worker)
	numbers[0].Store(4)
	r.expect("after", "orders_total[kind:book] 4")
	if is := fmt.Sprint(total, worker); is != was {
		t.Errorf("the state is %s, was %s", is, was)
	}
}

// Prometheus gets all of it, and can tell each from each, whatever is in a label.
func TestOwnMetricsAreExposed(t *testing.T) {
	r := &ownRig{t: t}
	odd := counterOf("orders_total", "a\nb\"\\")
	_, numbers := r.mustStart(0, books, odd, carts, ownSeconds, counterOf("plain"))
	for i, n := range []uint64{3, 4, math.Float64bits(-1.5), 2, 0, 5, math.Float64bits(2.5), 6} {
		numbers[i].Store(n)
	}
	m := everything()
	m.Status.Own = r.own.measure(&r.slots)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{m}, ownCollector(m.Status.Own), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, test := range []struct{ format, want string }{
		{"text/plain", `# HELP carts h
# TYPE carts gauge
carts -1.5
# HELP orders_total h
# TYPE orders_total counter
orders_total{kind="a\nb\"\\"} 4
orders_total{kind="book"} 3
# HELP plain h
# TYPE plain counter
plain 6
# HELP seconds h
# TYPE seconds histogram
seconds_bucket{le="1"} 2
seconds_bucket{le="2"} 2
seconds_bucket{le="+Inf"} 7
seconds_sum 2.5
seconds_count 7
`},
		{"application/openmetrics-text", `# HELP carts h
# TYPE carts gauge
carts -1.5
# HELP orders h
# TYPE orders counter
orders_total{kind="a\nb\"\\"} 4.0
orders_total{kind="book"} 3.0
# HELP plain h
# TYPE plain unknown
plain 6.0
# HELP seconds h
# TYPE seconds histogram
seconds_bucket{le="1.0"} 2
seconds_bucket{le="2.0"} 2
seconds_bucket{le="+Inf"} 7
seconds_sum 2.5
seconds_count 7
`},
	} {
		request, answer := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		request.Header.Set("Accept", test.format+";version=1.0.0")
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(answer, request)
		var own strings.Builder
		for line := range strings.Lines(answer.Body.String()) {
			if !strings.Contains(line, "usher_") && !strings.Contains(line, "process_") && line != "# EOF\n" {
				own.WriteString(line)
			}
		}
		if diff := cmp.Diff(test.want, own.String()); answer.Code != 200 || diff != "" {
			t.Errorf("%s: %d, -want +got:\n%s", test.format, answer.Code, diff)
		}
	}
}

// A worker that is told to end while it starts may have told of its metrics before it hears
// of that: it has broken no rule. One that is ready has.
func TestMetricsToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(1, 2)
		synctest.Wait()
		fm.look(func() {
			fm.mute = true
			if err := fm.scale(2); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		fm.look(func() {
			starting := fm.slots.at(1)
			fm.step(starting, eventEnd)
			fm.toldMetrics(starting, ipc.Metrics{})
			if starting.killed != "" {
				t.Errorf("one that is to end is killed: %s", starting.killed)
			}
			fm.exit(starting.pid(), 0)
			ready := fm.slots.at(0)
			fm.toldMetrics(ready, ipc.Metrics{})
			if ready.killed == "" {
				t.Error("one that is ready tells of metrics, and lives on")
			}
		})
		fm.abandon()
	})
}
