package ipc

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Entry is one slot's part of the scoreboard: two pairs of cache lines, the
// first written by the worker and read by the master, the second, but for rare
// counters, the other way round. Everything in it is atomic, and in the machine's own
// byte order. Its zero value is that of a worker that has counted nothing.
//
//	  0  sixteen counters of the worker's, 8 bytes each: see Counters
//	128  want_bell, 4 bytes
//	136  room for further counters
//	256  the end
//
// The worker stores into the fields, from one goroutine at a time; the master
// reads them by Load, and bounds what it has read. A worker that adds to closed or
// thawed, or withholds less, and then finds want_bell set clears it and sends one
// Closed on control (AddClosed, AddThawed, Withhold). The master sets want_bell and
// then reads closed: either it sees the close, or the worker sees that the master
// waits. A worker that keeps no entry leaves sequence 0.
type Entry struct {
	Counters[atomic.Uint64, bell]
	_ [EntrySize - unsafe.Sizeof(Counters[atomic.Uint64, bell]{})]byte
}

// EntrySize is the size of an entry in bytes; entry i is at offset i*EntrySize. It is
// two pairs of cache lines, which is how processors fetch them.
const EntrySize = 256

// Reset zeroes the entry, for another worker to use when none does. Whoever makes a
// scoreboard for each worker (NewScoreboardFor), as package master does, has no need of it.
func (e *Entry) Reset() {
	cells := e.cells()
	for i := range cells {
		cells[i].Store(0)
	}
	e.WantBell.Store(0)
}

// Load reads every counter, in whatever the worker wrote: Bound is next. A worker
// adds to lost before it adds to thawed and closed, of which lost is a part, and to the
// others that are part of closed likewise. Those two are read first, so that the parts
// have all that is in them.
func (e *Entry) Load() (r Reading) {
	closed, thawed := e.Closed.Load(), e.Thawed.Load()
	cells, values := e.cells(), r.values()
	for i := range cells {
		values[i] = cells[i].Load()
	}
	values[bellCell] = 0
	r.Closed, r.Thawed = closed, thawed
	return r
}

// Store writes a counter by its row, one of Rows, for who goes by the table and not by
// the fields.
func (e *Entry) Store(c Counter, value uint64) {
	if c.field < 0 {
		e.WantBell.Store(uint32(value)) // as much of it as there is room for
		return
	}
	e.cells()[c.field].Store(value)
}

// ThreadID is the thread of the worker's loop, to send a signal to; 0: the worker does
// not say. It is no other process's if it is sent to with the worker's pid
// (tgkill(2)), whatever the worker writes.
func (e *Entry) ThreadID() int {
	r := e.Load()
	r.Bound(Books{Before: new(Reading)})
	return int(r.Thread)
}

// AddClosed books n closed connections, and reports whether the bell is to be
// rung. The worker calls it, after close(2).
func (e *Entry) AddClosed(n uint64) (ring bool) {
	e.Closed.Add(n)
	return e.bellWanted()
}

// AddThawed books a moved connection that was brought back to life, after so long
// a pause, or, counted in Lost before, was not; and reports whether the bell is to
// be rung. Only the worker's loop calls it.
func (e *Entry) AddThawed(pause time.Duration) (ring bool) {
	e.Pause.Store(max(e.Pause.Load(), uint64(max(0, pause))))
	e.Thawed.Add(1)
	return e.bellWanted()
}

// Withhold books how many connections fewer than its capacity the worker can hold now.
// It reports whether the bell is to be rung, which it is for less than before.
func (e *Entry) Withhold(n int) (ring bool) {
	before := e.Withheld.Swap(uint64(n))
	return uint64(n) < before && e.bellWanted()
}

// bellWanted reports whether the master asked for the bell, and takes that back.
func (e *Entry) bellWanted() bool { return e.WantBell.Load() != 0 && e.WantBell.Swap(0) != 0 }
