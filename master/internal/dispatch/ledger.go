package dispatch

import "github.com/usher-go/usher/ipc"

// ledger says where every connection is that was sent to one incarnation of
// one slot. The master's own counts are the accept goroutine's alone; the
// worker's come from its scoreboard entry, or from its messages.
//
//	sent ─┬─ drained               taken back out of the queue, unread
//	      ├─ queued
//	      └─ received ─┬─ back     given back by the worker
//	                   ├─ closed     of which lost: moved here, and not to be thawed
//	                   └─ active
type ledger struct {
	sent    uint64
	drained uint64
	back    uint64

	movedIn  uint64 // of those sent, moved ones, less those that were left in its queue
	returned uint64 // of those given back: returned to it, since they had nowhere to go

	entry    *ipc.Entry
	closes   bool   // the worker said that it keeps closed, or sends it
	reported uint64 // closes that came as messages

	// said is the worker's word as it was counted so far. It is part of the totals,
	// and so no kept counter in it goes down, whatever the worker says next.
	said ipc.Reading
}

// tally is a ledger at one moment.
type tally struct {
	sent, drained, back, received uint64
	movedIn, returned             uint64      // of those sent: moved ones; of back: returned to it
	said                          ipc.Reading // the worker's counters, bounded
	failed                        uint64      // those lost as the worker counts them first; in said are those that are in closed, too
	stuck                         bool        // it takes nothing from its queue
}

// tally reads the worker's counters. They may be anything, and are bounded by what
// the master knows: so no difference below is negative, nobody seems to have less
// than nothing, and what goes into the totals never goes down.
//
// A worker adds to lost before it adds to closed, of which lost is a part: what is
// in lost alone is counted once it is in both.
func (l *ledger) tally() tally {
	t := tally{sent: l.sent, drained: l.drained, back: l.back, movedIn: l.movedIn, returned: l.returned, said: l.entry.Load()}
	books := l.books()
	keepsBoard := t.said.Sequence != 0
	t.said.Closed = l.closed(keepsBoard, t.said.Closed)
	t.failed = min(t.said.Lost, books.Given)
	received := l.received(keepsBoard, t.said.Received)
	t.said.Bound(books)
	t.received = books.Received(received, t.said.Closed)
	if l.closes {
		l.said = t.said
	}
	return t
}

// weight is what is needed of a ledger for each batch of connections. It is read by
// itself: three counters, and nothing of what is counted in the totals.
type weight struct {
	queued, load int
	withheld     int  // of the worker's capacity
	untrue       bool // the worker counts what cannot be
}

func (l *ledger) weigh() weight {
	books := l.books()
	keepsBoard := l.keepsBoard()
	counted := l.closed(keepsBoard, l.entry.Closed.Load()) // before received, which has all that is closed
	received := l.received(keepsBoard, l.entry.Received.Load())
	closed := books.Closed(counted)
	return weight{
		queued:   int(books.Given - books.Received(received, closed)),
		load:     int(books.Given - books.Back - closed),
		withheld: int(l.entry.BoundedWithheld()),
		untrue:   counted > books.Given-books.Back || received > books.Given,
	}
}

// books are what bounds the worker's counters.
func (l *ledger) books() ipc.Books {
	return ipc.Books{Given: l.sent - l.drained, Back: l.back, Before: &l.said}
}

// received of a worker that does not count is all that it was given.
func (l *ledger) received(keepsBoard bool, counted uint64) uint64 {
	if keepsBoard {
		return counted
	}
	return l.sent - l.drained
}

// closed of a worker that never says is all that it was given: its load is
// always 0, and so it is served in turn.
func (l *ledger) closed(keepsBoard bool, counted uint64) uint64 {
	switch {
	case !l.closes:
		return l.sent - l.drained - l.back
	case keepsBoard:
		return counted
	}
	return l.reported
}

// keepsBoard tells a worker that writes its entry from one that does not,
// whose sequence stays 0.
func (l *ledger) keepsBoard() bool { return l.entry.Sequence.Load() != 0 }

func (t tally) queued() int { return int(t.sent - t.drained - t.received) }
func (t tally) active() int { return int(t.received - t.back - t.said.Closed) }

// unbooked is how many are lost by the worker's count, and not in said, since they are yet
// to be closed. A worker that has none open has none to close, whatever it counts.
func (t tally) unbooked() int { return max(0, min(int(t.failed-t.said.Lost), t.active())) }

// load is queued and active.
func (t tally) load() int { return int(t.sent - t.drained - t.back - t.said.Closed) }

// bookTaken books n connections that came out of one end of the queue, and returns how
// many more that makes than can be there: as many others the worker has given back
// or called closed, which were not its own. They are in the books as if it had
// been sent so many more.
func (l *ledger) bookTaken(unread bool, n int) (surplus uint64) {
	if unread {
		l.drained += uint64(n)
	} else {
		l.back += uint64(n)
	}
	if gone := l.drained + l.back + l.said.Closed; gone > l.sent {
		surplus = gone - l.sent
		l.sent = gone
	}
	return surplus
}

// canGiveBack is how many connections the worker can give back.
func (l *ledger) canGiveBack() uint64 { return l.sent - l.drained - l.back - l.said.Closed }
