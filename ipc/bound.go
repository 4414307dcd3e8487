package ipc

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unsafe"
)

// Books is what the master itself knows of the connections of a worker whose
// counters it reads. Given is never less than Back and Before.Closed together.
type Books struct {
	Given  uint64   // sent to it, and not taken back unread
	Back   uint64   // of those: given back by it
	Before *Reading // what was read and bounded before: no kept counter goes below it
}

// bound is what a counter of a truthful worker does not exceed. Each follows from
// the master's own books, or from rows that are bounded already.
type bound uint8

const (
	boundNone        bound = iota
	boundGiven             // connections given to the worker
	boundHeld              // of those, not given back
	boundClosed            // of those, closed
	boundNewlyClosed       // of those, not counted before as closed in order
	boundOpen              // received, and neither closed nor given back
	bounds           = 8   // a power of two, beyond the last
)

var boundNames = [...]string{
	boundNone: "", boundGiven: "given", boundHeld: "held", boundClosed: "closed", boundNewlyClosed: "newly closed", boundOpen: "open",
}

// maxCounter is the most that a counter without a maximum of its own counts to: what
// every reader of JSON has exactly.
const maxCounter = 1 << 53

func parseBound(tag reflect.StructTag, kind CounterKind) (bound, uint64, error) {
	most := uint64(math.MaxUint64)
	if kind == KindCounter {
		most = maxCounter
	}
	if text, ok := tag.Lookup("max"); ok {
		var err error
		if most, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, err
		}
	}
	for b, name := range boundNames {
		if name == tag.Get("bound") {
			return bound(b), most, nil
		}
	}
	return 0, 0, fmt.Errorf("no bound is called %q", tag.Get("bound"))
}

// limit is what Bound needs of a row.
type limit struct {
	bound bound
	max   uint64
	kept  uint64 // all ones, or 0
}

var limits = limitsOf(rows)

func limitsOf(rows []Counter) (limits [rowCount]limit) {
	for _, c := range rows {
		if c.field < 0 {
			continue
		}
		l := limit{bound: c.bound, max: c.max}
		if c.Kept() {
			l.kept = math.MaxUint64
		}
		limits[c.field] = l
	}
	return limits
}

// Closed bounds the row of that name, as Bound does: for who needs no other.
func (b *Books) Closed(counted uint64) uint64 {
	return max(min(counted, b.Given-b.Back), b.Before.Closed)
}

// Received returns how many connections the worker has received, by its own count,
// and what is closed, which is bounded already, or given back. It goes down only if
// Given does: when connections turn out to be unread that the worker had counted.
func (b *Books) Received(counted, closed uint64) uint64 {
	return min(max(counted, b.Before.Received, closed+b.Back), b.Given)
}

// BoundedWithheld is how many connections fewer than its capacity the worker can hold
// now, bounded as Bound does: for who needs no other row.
func (e *Entry) BoundedWithheld() uint64 { return min(e.Withheld.Load(), withheld.max) }

// withheld is that row's.
var withheld = &limits[unsafe.Offsetof(Reading{}.Withheld)/8]

// Bound makes a reading one that can be true: every row is brought within its
// limits, and a kept one does not go below what it was before, nor its total down.
// A worker may write anything into its entry, at any time; what Bound returns adds
// up all the same: closed is part of what it holds, lost and cut are part of closed,
// and closed less lost never goes down either.
func (r *Reading) Bound(b Books) {
	closed := b.Closed(r.Closed)
	received := b.Received(r.Received, closed)
	most := [bounds]uint64{
		boundNone:        math.MaxUint64,
		boundGiven:       b.Given,
		boundHeld:        b.Given - b.Back,
		boundClosed:      closed,
		boundNewlyClosed: closed - (b.Before.Closed - b.Before.Lost),
		boundOpen:        received - b.Back - closed,
	}
	values, before := r.values(), b.Before.values()
	for i := range values {
		l := &limits[i]
		values[i] = max(min(values[i], l.max, most[l.bound%bounds]), before[i]&l.kept)
	}
}
