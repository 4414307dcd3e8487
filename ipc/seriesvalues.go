package ipc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"
)

// MetricsSize is how much room there is for the numbers of a worker's Series, in bytes. The
// kernel gives memory for it as it is written.
const MetricsSize = 32 << 10

const environMetrics = environPrefix + "METRICS"

// MetricsEnviron returns the variable of a worker's environment that says where in the
// scoreboard's memory the numbers of its Series are. It is there, and not in hello, since
// programs count before they have heard anything.
func MetricsEnviron(p Place) string {
	return fmt.Sprintf("%s=%d,%d", environMetrics, p.Offset, p.Length)
}

// MetricsPlace returns the place that MetricsEnviron has written into a worker's
// environment. It is nowhere if there is none, as an older master writes none, or if what
// is there is no place.
func MetricsPlace(environ []string) Place {
	for _, variable := range environ {
		value, ok := strings.CutPrefix(variable, environMetrics+"=")
		if !ok {
			continue
		}
		offset, length, _ := strings.Cut(value, ",")
		var p Place
		var err error
		if p.Offset, err = strconv.ParseInt(offset, 10, 64); err != nil {
			return Place{}
		}
		if p.Length, err = strconv.ParseInt(length, 10, 64); err != nil {
			return Place{}
		}
		return p
	}
	return Place{}
}

// Numbers returns the numbers at a place, which are valid until Close: nil if it is nowhere.
// An error says that the place is not in this memory.
func (s *Scoreboard) Numbers(p Place) ([]atomic.Uint64, error) {
	if p == (Place{}) {
		return nil, nil
	}
	if !s.has(p) {
		return nil, fmt.Errorf("ipc: scoreboard: metrics at %d, %d bytes, in memory of %d", p.Offset, p.Length, len(s.memory))
	}
	if p.Length < 8 {
		return nil, nil
	}
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&s.memory[p.Offset])), p.Length/8), nil
}

// MapNumbers maps the numbers at a place in the scoreboard behind fd, which is borrowed, until
// the process ends; nil if it is nowhere. Errors: fd is no scoreboard, the place is not in it,
// or memory is lacking.
func MapNumbers(fd int, p Place) ([]atomic.Uint64, error) {
	if p == (Place{}) {
		return nil, nil
	}
	memory, err := mapSealed(fd)
	if err != nil {
		return nil, fmt.Errorf("ipc: scoreboard: %w", err)
	}
	return (&Scoreboard{fd: -1, memory: memory}).Numbers(p)
}

// Numbers returns how many numbers a series has.
func (s *Series) Numbers() int {
	if s.Kind == SeriesHistogram {
		return len(s.Bounds) + 2
	}
	return 1
}

// maxMeasure is the largest value of a gauge, and of a histogram's sum: the total of many
// workers is a number, too.
const maxMeasure = 1e300

// Bound makes the numbers of a series that were read ones that can be true: no count is below
// what was read and bounded before, and no value beyond what is finite. A gauge that is no
// number is 0. A worker may write anything at any time.
func (s *Series) Bound(now, before []uint64) {
	for i := range now {
		switch {
		case s.Kind == SeriesGauge:
			value := math.Float64frombits(now[i])
			if math.IsNaN(value) {
				value = 0
			}
			now[i] = math.Float64bits(max(-maxMeasure, min(value, maxMeasure)))
		case s.isSum(i):
			value, floor := math.Float64frombits(now[i]), math.Float64frombits(before[i])
			if !(value >= floor) { // as NaN is not
				value = floor
			}
			now[i] = math.Float64bits(min(value, maxMeasure))
		default:
			now[i] = max(min(now[i], maxCounter), before[i])
		}
	}
}

// AddGrowth adds to a total by how much a worker's numbers have grown between two readings,
// both bounded: so no part of the total goes down, not even by what floating point rounds. Of
// a gauge there is no total over time: see AddGauge.
func (s *Series) AddGrowth(total, now, before []uint64) {
	for i := range total {
		switch {
		case s.Kind == SeriesGauge:
		case s.isSum(i):
			growth := math.Float64frombits(now[i]) - math.Float64frombits(before[i])
			total[i] = math.Float64bits(min(math.Float64frombits(total[i])+growth, maxMeasure))
		default:
			total[i] += min(now[i]-before[i], math.MaxUint64-total[i])
		}
	}
}

// isSum tells the last number of a histogram.
func (s *Series) isSum(i int) bool { return s.Kind == SeriesHistogram && i == len(s.Bounds)+1 }
