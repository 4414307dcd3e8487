package dispatch

import (
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// maxQueued is the most connections waiting in one slot's queue: a socket pair
// holds 278 of the smallest packets at the kernel's default buffer size, and
// nothing may ever wait in the master because a queue is full.
const maxQueued = 256

// workerQueue is the queue of one worker, which is one incarnation of a slot: where to
// send connections, and what became of those sent. It belongs to the accept goroutine.
//
//	open ──closeQueue──► closed ──reaped──► reaped ──(both ends are empty)──► removed
//	  └─────────────────reaped───────────────┘
type workerQueue struct {
	spec  Queue
	phase Phase
	ledger
	final   tally              // of a reaped worker, whose entry is another's by then
	further ipc.FurtherReading // as they were read last: no kept one goes below that

	serial         uint64     // part of its epoll tags
	blocked        bool       // it could not be used just now: not again before the next retry
	gaveBack       bool       // it holds connections that the worker gave back, and is not in the epoll set
	order          *moveOrder // by which the worker gives back what it does; nil: there is none
	landing        bool       // Landed is to be reported, once all that the worker gave back is placed
	broken         bool       // the worker is to be replaced: nothing more is sent or taken back
	emptied        bool       // of a closed or stuck one: nothing is left in it
	stuck          bool       // the worker took nothing from it for stuckAfter
	badPackets     int        // that were taken out of it and could not be used, and are not logged yet
	badPacketError error      // of the last of them

	// As of the last inspection (stuck.go):
	seenQueued   bool // something was in it
	seenReceived uint64
	seenSequence uint64
	seenFront    uint64 // of a worker that keeps no scoreboard: which connection was first in its queue, or 0
}

// Phase is how far a worker's queue has come.
type Phase int

const (
	QueueOpen   Phase = iota // takes connections
	QueueClosed              // takes no more; the worker lives
	QueueReaped              // the worker is reaped
)

// Queue is what the supervisor says of the queue of a worker that is ready.
type Queue struct {
	Worker
	FD        int  // owned: the master's end
	WorkerEnd int  // owned: the duplicate of the worker's end, by which the queue outlives it
	Capacity  int  // most connections at a time
	Closes    bool // the worker says when it closes connections
	Moves     bool // it can freeze and thaw connections
	Memory
}

// Memory is where a worker counts. It is used until Reaped has returned.
type Memory struct {
	Entry   *ipc.Entry
	Further *ipc.FurtherCounters // nil: there is no room for them
}

// tally is the ledger's at this moment; of a reaped worker it is the final one, but for what
// is taken out of the queue since. That may be more than was known to be there, if the
// worker kept no counters.
func (q *workerQueue) tally() tally {
	if q.phase != QueueReaped {
		t := q.ledger.tally()
		t.stuck = q.stuck
		return t
	}
	t := q.final
	t.sent, t.drained, t.back, t.returned, t.movedIn = q.sent, q.drained, q.back, q.returned, q.movedIn
	if q.closes {
		t.received = min(max(t.received, t.back+t.said.Closed), t.sent-t.drained)
	} else {
		t.received = min(max(t.received, t.back), t.sent-t.drained)
		t.said.Closed = t.received - t.back
		t.said.Lost, t.said.Cut = min(t.said.Lost, t.said.Closed), min(t.said.Cut, t.said.Closed)
	}
	return t
}

// weigh is the ledger's, or of a reaped worker by its tally.
func (q *workerQueue) weigh() weight {
	if q.phase == QueueReaped {
		t := q.tally()
		return weight{queued: t.queued(), load: t.load()}
	}
	return q.ledger.weigh()
}

// room returns how many connections may be sent now.
func (q *workerQueue) room(w weight) int {
	if q.phase != QueueOpen || q.blocked || q.broken || q.stuck {
		return 0
	}
	return max(0, min(q.free(w), maxQueued-w.queued))
}

// free returns how many more connections the worker can hold.
func (q *workerQueue) free(w weight) int { return q.spec.Capacity - w.withheld - w.load }

// hasGivenBack reports whether the queue is to be looked at for connections that the
// worker gave back.
func (q *workerQueue) hasGivenBack() bool {
	return q.gaveBack && q.phase != QueueReaped && !q.blocked && !q.broken
}

// rescuable reports whether the queue may hold something that the worker leaves to others.
func (q *workerQueue) rescuable() bool {
	return (q.phase != QueueOpen || q.stuck) && !q.emptied && !q.blocked
}

// receive takes one packet from one end of the queue into the batch: one that
// the worker has not read, or one that it gave back. More than it has is errForged,
// and in the batch, to be discarded.
func (q *workerQueue) receive(packets *ipc.PacketConn, end int, batch *ipc.Packet) error {
	if err := packets.Receive(end, batch); err != nil {
		return err
	}
	if end != q.spec.FD {
		return nil
	}
	q.tally() // what it has closed by now it cannot give back
	if uint64(batch.Len()) > q.canGiveBack() {
		return errForged
	}
	return nil
}

// close closes both ends.
func (q *workerQueue) close() {
	fdpass.CloseAll([]int{q.spec.FD, q.spec.WorkerEnd})
}
