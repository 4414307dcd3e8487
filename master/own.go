package master

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"

	"github.com/usher-go/usher/ipc"
)

// OwnMetric is one measurement of the worker programs' own (ipc.Series), of all workers that
// there are and were together: no counter and no histogram in it goes down.
type OwnMetric struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"` // counter, gauge or histogram
	Help   string            `json:"help"`
	Labels map[string]string `json:"labels,omitempty"` // values may be any text, newlines included
	// Value is the total of a counter, the sum over the living workers of a gauge, and of a
	// histogram how many values it has counted.
	Value     float64       `json:"value"`
	Histogram *OwnHistogram `json:"histogram,omitempty"`
}

// OwnHistogram says how large the values were.
type OwnHistogram struct {
	Bounds  []float64 `json:"bounds"`
	Buckets []uint64  `json:"buckets"` // one more than bounds: each counts what is beyond the bound before
	Sum     float64   `json:"sum"`
}

// ownMetrics are the totals of what worker programs measure of their own. The supervisor
// alone touches it.
type ownMetrics struct {
	totals map[string]*ownTotal // by the series' keys
	known  *ipc.SeriesSet       // their series; nil: it is to be made anew
}

// ownTotal is what the workers' numbers of one series have come to.
type ownTotal struct {
	series  ipc.Series
	numbers []uint64
	workers int // how many living ones have it
}

// ownSeries are one worker's, as it has told of them.
type ownSeries struct {
	place  ipc.Place // of the numbers, in its scoreboard; zero: it has no room, an older program made that
	series []ipc.Series
	read   []uint64 // the numbers as they were read last, bounded

	totals []*ownTotal   // of each series
	set    ipc.SeriesSet // the series
}

// maxOwnTotals is how many totals there are: of a few programs with all that a worker can
// have. What no living worker has any more makes room for others.
const maxOwnTotals = 4 * ipc.MaxSeries

var errOwnRoom = errors.New("the workers that serve leave no room for more metrics")

// tell takes in series of a worker that is starting. An error names the one that cannot be
// beside the others, and is about the worker; what it has told before stays, until release.
func (o *ownMetrics) tell(w *ownSeries, told []ipc.Series) error {
	for _, series := range told {
		switch {
		case len(w.series) >= ipc.MaxSeries:
			return fmt.Errorf("metric %q: more than %d", series.Name, ipc.MaxSeries)
		case int64(len(w.read)+series.Numbers())*8 > w.place.Length:
			return fmt.Errorf("metric %q: no room for its numbers", series.Name)
		}
		if err := w.set.Add(series); err != nil {
			return err
		}
		total, err := o.total(series)
		if err != nil {
			return err
		}
		o.give(w, total)
		w.read = append(w.read, make([]uint64, series.Numbers())...)
	}
	return nil
}

// give has the worker have a part in a total.
func (o *ownMetrics) give(w *ownSeries, total *ownTotal) {
	total.workers++
	w.series, w.totals = append(w.series, total.series), append(w.totals, total)
}

// total returns that of a series, a new one if need be.
func (o *ownMetrics) total(series ipc.Series) (*ownTotal, error) {
	key := series.Key()
	total := o.totals[key]
	if total == nil && len(o.totals) >= maxOwnTotals {
		maps.DeleteFunc(o.totals, func(_ string, t *ownTotal) bool { return t.workers == 0 })
		if o.known = nil; len(o.totals) >= maxOwnTotals {
			return nil, fmt.Errorf("metric %q: %w", series.Name, errOwnRoom)
		}
	}
	if err := o.knownSeries().Fits(&series); err != nil {
		return nil, fmt.Errorf("%w; give it another name, or start the server anew", err)
	}
	if total == nil {
		total = &ownTotal{series: series, numbers: make([]uint64, series.Numbers())}
		if o.totals == nil {
			o.totals = make(map[string]*ownTotal)
		}
		o.totals[key] = total
		_ = o.known.Add(series) // it fits
	}
	return total, nil
}

// knownSeries returns the series that there are totals of.
func (o *ownMetrics) knownSeries() *ipc.SeriesSet {
	if o.known == nil {
		o.known = new(ipc.SeriesSet)
		for _, total := range o.totals {
			_ = o.known.Add(total.series) // it was added before, beside the others
		}
	}
	return o.known
}

// readFrom reads the worker's numbers, and adds to the totals what they have grown by. numbers are
// those of its scoreboard; nil: it has none. each is called for each series, if it is not nil.
func (w *ownSeries) readFrom(numbers []atomic.Uint64, each func(*ownTotal, []uint64)) {
	first := 0
	for i := range w.series {
		series, total := &w.series[i], w.totals[i]
		last := first + series.Numbers()
		if last > len(numbers) {
			return
		}
		now := make([]uint64, last-first)
		for j := range now {
			now[j] = numbers[first+j].Load()
		}
		before := w.read[first:last]
		series.Bound(now, before)
		series.AddGrowth(total.numbers, now, before)
		copy(before, now)
		if each != nil {
			each(total, now)
		}
		first = last
	}
}

// ownNumbers returns the numbers of the slot's worker's own series. Only while there is a
// scoreboard.
func (s *slot) ownNumbers() []atomic.Uint64 {
	numbers, _ := s.board.Numbers(s.own.place) // whoever made or took over the board has seen that it is there
	return numbers
}

// release reads a worker's numbers for the last time. Of series that nobody has counted in,
// and no other worker has, nothing remains: they may be another's next.
func (o *ownMetrics) release(slot *slot) {
	slot.own.readFrom(slot.ownNumbers(), nil)
	for _, total := range slot.own.totals {
		if total.workers--; total.workers == 0 && !slices.ContainsFunc(total.numbers, func(n uint64) bool { return n != 0 }) {
			delete(o.totals, total.series.Key())
			o.known = nil
		}
	}
	slot.own = ownSeries{}
}

// measure reads all workers' numbers, and returns what they have come to, by name and labels.
func (o *ownMetrics) measure(slots *slots) []OwnMetric {
	gauges := make(map[*ownTotal]float64)
	for slot := range slots.all() {
		if slot.board == nil {
			continue
		}
		slot.own.readFrom(slot.ownNumbers(), func(total *ownTotal, now []uint64) {
			if total.series.Kind == ipc.SeriesGauge {
				gauges[total] += math.Float64frombits(now[0])
			}
		})
	}
	var metrics []OwnMetric
	for _, key := range slices.Sorted(maps.Keys(o.totals)) {
		total := o.totals[key]
		metrics = append(metrics, total.metric(gauges[total]))
	}
	slices.SortStableFunc(metrics, func(a, b OwnMetric) int { return cmp.Compare(a.Name, b.Name) })
	return metrics
}

// metric returns the total for others to read; that of a gauge is gauge.
func (t *ownTotal) metric(gauge float64) OwnMetric {
	s := &t.series
	m := OwnMetric{Name: s.Name, Kind: s.Kind, Help: s.Help, Labels: s.Labels, Value: gauge}
	switch s.Kind {
	case ipc.SeriesCounter:
		m.Value = float64(t.numbers[0])
	case ipc.SeriesHistogram:
		last := len(t.numbers) - 1
		m.Histogram = &OwnHistogram{Bounds: s.Bounds, Buckets: slices.Clone(t.numbers[:last]), Sum: math.Float64frombits(t.numbers[last])}
		for _, n := range m.Histogram.Buckets {
			m.Value += float64(n)
		}
	}
	return m
}
