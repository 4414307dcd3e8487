package dispatch

import (
	"math"
	"time"

	"github.com/usher-go/usher/ipc"
)

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

	movedIn uint64 // of those sent, moved ones, less those that were left in its queue
	home    uint64 // of those given back: sent back to it, since they had nowhere to go

	entry    *ipc.Entry
	closes   bool   // the worker said that it keeps closed, or sends it
	reported uint64 // closes that came as messages

	said said // what was counted of it
}

// said is what was counted of a worker's word so far. It is part of the totals,
// and so never goes down, whatever the worker says next.
type said struct{ closed, lost, cut uint64 }

// tally is a ledger at one moment.
type tally struct {
	sent, drained, back, received, closed, lost uint64
	movedIn, thawed, failed, staying            uint64        // failed are the lost ones as the worker counts them first
	home, cut                                   uint64        // of back: sent back to it; of closed: ended by a drain's deadline
	pause                                       time.Duration // the longest of those moved in
	stuck                                       bool          // it takes nothing from its queue
	withheld                                    int           // of its capacity
	untrue                                      bool          // the worker counts what cannot be
}

// tally reads the worker's counters, here alone. They may be anything, and are
// bounded by what the master knows: so no difference below is negative, nobody
// seems to have less than nothing, and what goes into the totals never goes down.
//
// A worker adds to lost before it adds to closed, of which lost is a part. Closed
// is read first, so that lost has all that is in it; what is in lost alone is
// counted once it is in both.
func (l *ledger) tally() tally {
	t := tally{sent: l.sent, drained: l.drained, back: l.back, movedIn: l.movedIn, home: l.home}
	e := l.entry
	at := l.sent - l.drained - l.back // at the worker, or on the way there: at least said.closed
	finished := l.said.closed - l.said.lost
	closed := l.closed()
	t.closed = max(min(closed, at), l.said.closed)
	t.thawed = min(e.Thawed.Load(), l.sent-l.drained)
	t.failed = min(e.Lost.Load(), l.sent-l.drained)
	t.lost = max(min(t.failed, t.closed-finished), l.said.lost)
	t.cut = max(min(e.Cut.Load(), t.closed), l.said.cut)
	if l.closes {
		l.said = said{t.closed, t.lost, t.cut}
	}
	received := l.received()
	t.received = min(max(received, t.closed+l.back), l.sent-l.drained)
	t.untrue = closed > at || received > l.sent-l.drained
	t.staying = min(e.Staying.Load(), uint64(t.active()))
	t.pause = time.Duration(min(e.Pause.Load(), math.MaxInt64))
	t.withheld = int(min(e.Withheld.Load(), maxWithheld))
	return t
}

// keepsBoard tells a worker that writes its entry from one that does not,
// whose sequence stays 0.
func (l *ledger) keepsBoard() bool { return l.entry.Sequence.Load() != 0 }

// received of a worker that does not say is all that it was sent.
func (l *ledger) received() uint64 {
	if l.keepsBoard() {
		return l.entry.Received.Load()
	}
	return l.sent - l.drained
}

// closed of a worker that never says is all that it was sent: its load is
// always 0, and so it is served in turn.
func (l *ledger) closed() uint64 {
	switch {
	case !l.closes:
		return l.sent - l.drained - l.back
	case l.keepsBoard():
		return l.entry.Closed.Load()
	}
	return l.reported
}

func (t tally) queued() int { return int(t.sent - t.drained - t.received) }
func (t tally) active() int { return int(t.received - t.back - t.closed) }

// load is queued and active.
func (t tally) load() int { return int(t.sent - t.drained - t.back - t.closed) }

// took books n connections that came out of one end of the queue, and returns how
// many more that makes than can be there: as many others the worker has given back
// or called closed, which were not its own. They are in the books as if it had
// been sent so many more.
func (l *ledger) took(unread bool, n int) (surplus uint64) {
	if unread {
		l.drained += uint64(n)
	} else {
		l.back += uint64(n)
	}
	if gone := l.drained + l.back + l.said.closed; gone > l.sent {
		surplus = gone - l.sent
		l.sent = gone
	}
	return surplus
}

// left is how many connections the worker can give back.
func (l *ledger) left() uint64 { return l.sent - l.drained - l.back - l.said.closed }
