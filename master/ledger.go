package master

import (
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

	entry    *ipc.Entry
	closes   bool   // the worker said that it keeps closed, or sends it
	reported uint64 // closes that came as messages
}

// tally is a ledger at one moment.
type tally struct {
	sent, drained, back, received, closed, lost uint64
	movedIn, thawed, staying                    uint64
	home, cut                                   uint64        // of back: sent back to it; of closed: ended by a drain's deadline
	pause                                       time.Duration // the longest of those moved in
	stuck                                       bool          // it takes nothing from its queue
	withheld                                    int           // of its capacity
}

// tally reads the worker's counters. Closed is read before received, which
// only grows and is never behind it: so no difference below is negative.
func (l *ledger) tally() tally {
	t := tally{sent: l.sent, drained: l.drained, back: l.back}
	t.lost = l.entry.Lost.Load()
	t.closed = l.closed()
	t.received = max(l.received(), t.closed+t.back)
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
