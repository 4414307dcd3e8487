package ipc

import (
	"fmt"
	"iter"
	"math"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// Further is the second part of the one list, Counters, with the same tags: what a worker
// counts for people, and the master needs for nothing. It lies behind the entries of the
// worker's scoreboard, where hello says, since an entry has no room for it:
//
//	 0  kept: how much of what follows this worker keeps; 0: it knows none of it
//	 8  numbers, 8 bytes each
//	..  histograms: the numbers of their buckets, and the sum
//	    room for further ones, and zeroes
//
// A worker of an older version ends kept before the rows that it does not know: those are
// absent, which is not 0. New rows are new last ones; those that are there never move.
//
// T is atomic.Uint64 in the shared memory (FurtherCounters), and uint64 in a FurtherReading.
type Further[T any] struct {
	Kept            T `kind:"bookkeeping" unit:"bytes" help:"how many bytes of this block, from its beginning, this worker keeps: the end of the last row that it knows. 0: none"`
	BytesReceived   T `kind:"counter" unit:"bytes" help:"read from the sockets of its connections, as they come: with TLS, of records"`
	BytesSent       T `kind:"counter" unit:"bytes" help:"taken by the sockets of its connections, likewise"`
	Reads           T `kind:"counter" unit:"reads" help:"reads from connections that brought bytes"`
	Turns           T `kind:"counter" unit:"turns" help:"turns of its loop: each time that it waited for events"`
	LongestTurn     T `kind:"gauge" unit:"nanoseconds" max:"9223372036854775807" help:"the longest that a turn of its loop took since the worker began, waiting not counted; of those that it timed, which need not be all"`
	Posts           T `kind:"counter" unit:"functions" help:"functions that other threads had its loop call"`
	BufferedBytes   T `kind:"gauge" unit:"bytes" max:"9007199254740992" help:"buffers of its connections: input that was left, and output that peers have not taken"`
	HTTPRequests1XX T `kind:"counter" metric:"http_requests" label:"class=1xx" about:"HTTP requests, by the class of their answers" name:"http_requests_1xx" unit:"requests" help:"HTTP requests whose answer had a status from 100 to 199"`
	HTTPRequests2XX T `kind:"counter" metric:"http_requests" label:"class=2xx" name:"http_requests_2xx" unit:"requests" help:"HTTP requests whose answer had a status from 200 to 299"`
	HTTPRequests3XX T `kind:"counter" metric:"http_requests" label:"class=3xx" name:"http_requests_3xx" unit:"requests" help:"HTTP requests whose answer had a status from 300 to 399"`
	HTTPRequests4XX T `kind:"counter" metric:"http_requests" label:"class=4xx" name:"http_requests_4xx" unit:"requests" help:"HTTP requests whose answer had a status from 400 to 499"`
	HTTPRequests5XX T `kind:"counter" metric:"http_requests" label:"class=5xx" name:"http_requests_5xx" unit:"requests" help:"HTTP requests whose answer had a status from 500 to 599"`

	QueueWait   Histogram[T] `kind:"histogram" unit:"nanoseconds" help:"from when a connection was accepted (see the envelope) to when the worker received it; of new ones"`
	MovePause   Histogram[T] `kind:"histogram" unit:"nanoseconds" help:"from freezing to thawing of a connection that moved here"`
	LoopLag     Histogram[T] `kind:"histogram" unit:"nanoseconds" help:"how long a turn of its loop took, waiting not counted; of one turn in 64"`
	HTTPRequest Histogram[T] `kind:"histogram" name:"http_request" unit:"nanoseconds" help:"from a request's first bytes, or from when it was read whole, to the end of its answer"`
}

// Histogram is how often something took how long: Buckets[i] counts what took as long as
// DurationBounds[i] at most, and longer than the bound before; the last one, whatever took
// longer. Sum is the time of all together, in nanoseconds.
type Histogram[T any] struct {
	Buckets [durationBounds + 1]T
	Sum     T // in nanoseconds
}

// durationBounds is how many bounds there are.
const durationBounds = 18

// DurationBounds are the upper bounds of every histogram's buckets, but for the last one's,
// in nanoseconds. They never change: what a worker counts outlives it.
var DurationBounds = [durationBounds]uint64{
	10e3, 50e3, 100e3, 250e3, 500e3, 1e6, 2.5e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 2.5e9, 5e9, 10e9,
}

// bucket returns which bucket counts a duration.
func bucket(nanos uint64) int {
	for i, bound := range DurationBounds {
		if nanos <= bound {
			return i
		}
	}
	return durationBounds
}

// Count returns how many durations a histogram that was read has.
func Count(h *Histogram[uint64]) (n uint64) {
	for _, bucket := range h.Buckets {
		n += min(bucket, math.MaxUint64-n)
	}
	return n
}

// FurtherSize is how much room there is for the block, in bytes: more than this version
// needs, so that a worker of a later one can keep more than its master knows.
const FurtherSize = 4096

// FurtherCounters is the block in the shared memory. The worker stores into it, the master
// reads it by Load. Its zero value keeps nothing.
type FurtherCounters struct{ Further[atomic.Uint64] }

// furtherCells is how many numbers the block has.
const furtherCells = int(unsafe.Sizeof(FurtherReading{}) / 8)

// An index out of range says at build time that there is no room for all.
var _ = [1]struct{}{}[furtherCells*8/(FurtherSize+1)]

var furtherRows = rowsOf(reflect.TypeFor[FurtherCounters]())

// FurtherRows returns every row of Further, in the order of offsets. The caller does not
// change them.
func FurtherRows() []Counter { return furtherRows }

// Keep says that the worker keeps every row. It is called once, before ready.
func (f *FurtherCounters) Keep() { f.Kept.Store(uint64(furtherCells) * 8) }

// Observe counts a duration in one of the block's histograms. Any goroutine of the worker may.
func Observe(h *Histogram[atomic.Uint64], nanos int64) {
	n := uint64(max(0, nanos))
	h.Sum.Add(n)
	h.Buckets[bucket(n)].Add(1)
}

// Load reads every row, in whatever the worker wrote: Bound is next.
func (f *FurtherCounters) Load() (r FurtherReading) {
	cells, values := f.cells(), r.values()
	for i := range cells {
		values[i] = cells[i].Load()
	}
	return r
}

func (f *FurtherCounters) cells() *[furtherCells]atomic.Uint64 {
	return (*[furtherCells]atomic.Uint64)(unsafe.Pointer(f))
}

// Store writes a number by its row, one of FurtherRows, for who goes by the table and not
// by the fields; of a histogram, each of its numbers.
func (f *FurtherCounters) Store(c Counter, value uint64) {
	for i := range c.Size / 8 {
		f.cells()[c.field+i].Store(value)
	}
}

// FurtherReading is the further counters of one worker as they were read at one moment, or
// the total of many.
type FurtherReading Further[uint64]

func (r *FurtherReading) values() *[furtherCells]uint64 {
	return (*[furtherCells]uint64)(unsafe.Pointer(r))
}

// Has reports whether who wrote it keeps the row, one of FurtherRows.
func (r *FurtherReading) Has(c *Counter) bool { return uint64(c.Offset+c.Size) <= r.Kept }

// All returns every row that is a number and is kept, and its value.
func (r *FurtherReading) All() iter.Seq2[*Counter, uint64] {
	return func(yield func(*Counter, uint64) bool) {
		for i := range furtherRows {
			c := &furtherRows[i]
			if c.Kind != KindHistogram && r.Has(c) && !yield(c, r.values()[c.field]) {
				return
			}
		}
	}
}

// Bound makes a reading one that can be true: no number is beyond its maximum, none of a
// row that is not kept is there, and none that the master keeps is below what was read and
// bounded before. A worker may write anything at any time.
func (r *FurtherReading) Bound(before *FurtherReading) {
	values, floors := r.values(), before.values()
	kept := max(min(r.Kept, uint64(furtherCells)*8), before.Kept)
	for i := range values {
		l := &furtherLimits[i]
		values[i] = max(min(values[i], l.max), floors[i]&l.kept)
		if l.end > kept {
			values[i] = 0
		}
	}
	r.Kept = kept
}

// AddKept adds a worker's counters to a total, as a Reading's does. The total has a row if
// one of the workers keeps it.
func (r *FurtherReading) AddKept(other *FurtherReading) {
	sums := r.values()
	for i, v := range other.values() {
		v &= furtherLimits[i].kept
		sums[i] += min(v, math.MaxUint64-sums[i])
	}
	r.Kept = max(r.Kept, other.Kept)
}

// furtherLimit is what Bound needs of a number.
type furtherLimit struct {
	max  uint64
	kept uint64 // all ones, or 0
	end  uint64 // of its row, in bytes
}

// maxSum is the most that the times in a histogram come to: 146 years.
const maxSum = 1 << 62

var furtherLimits = furtherLimitsOf(furtherRows)

func furtherLimitsOf(rows []Counter) (limits [furtherCells]furtherLimit) {
	for _, c := range rows {
		l := furtherLimit{max: c.max, end: uint64(c.Offset + c.Size)}
		if c.bound != boundNone {
			panic(fmt.Sprintf("ipc: row %s: the master has nothing to bound it by", c.Name))
		}
		if c.Kept() {
			l.kept = math.MaxUint64
		}
		if c.Kind == KindHistogram {
			l.max = maxCounter
		}
		for i := range c.Size / 8 {
			limits[c.field+i] = l
		}
		if c.Kind == KindHistogram {
			limits[c.field+durationBounds+1].max = maxSum
		}
	}
	return limits
}
