package dispatch

import (
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// maxQueued is the most connections waiting in one slot's queue: a socket pair
// holds 278 of the smallest packets at the kernel's default buffer size, and
// nothing may ever wait in the master because a queue is full.
const maxQueued = 256

// seat is one incarnation of a slot as the accept goroutine sees it: where to
// send connections, and what became of those sent.
//
//	open ──retire──► retired ──bury──► dead ──(both ends drained)──► gone
//	  └───────────────bury──────────────┘
type workerQueue struct {
	spec  Queue
	phase Phase
	ledger
	final tally // of a dead one; its entry is another's by then

	serial         uint64     // part of its epoll tags
	blocked        bool       // its queue could not be used just now: not again before the next retry
	gaveBack       bool       // its queue holds connections that it gave back; and is not in the epoll set
	order          *moveOrder // by which it gives back what it does; nil: there is none
	landing        bool       // the supervisor waits for what it gave back to be nowhere on the way
	broken         bool       // its worker is to be replaced: no more at all
	emptied        bool       // of one that is leaving or stuck: nothing is left in its queue
	stuck          bool       // it took nothing from its queue for stuckAfter
	badPackets     int        // packets from its queue that could not be used, and were not spoken of yet
	badPacketError error      // of the last of them

	seenQueued   bool // at the last inspection: it had something in its queue,
	seenReceived uint64
	seenSequence uint64
	seenFront    uint64 // of one that keeps no scoreboard: which connection was first in its queue, or 0
}

// Phase is how far a worker's queue has come.
type Phase int

const (
	QueueOpen   Phase = iota // takes connections
	QueueClosed              // takes no more; the worker lives
	QueueReaped              // the worker is reaped
)

// Queue is what the supervisor knows of a worker that is ready. The
// descriptors go over to the accept goroutine.
type Queue struct {
	Worker
	FD        int  // owned: the master's end
	WorkerEnd int  // owned: the duplicate of the worker's end, by which the queue outlives it
	Capacity  int  // most connections at a time
	Closes    bool // the worker says when it closes connections
	Moves     bool // it can freeze and thaw connections
	Entry     *ipc.Entry
}

// tally of a dead seat goes on counting what is drained from its queue, which
// may be more than a worker that keeps no counters let us think.
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

// weigh of a dead seat counts likewise.
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

// stuckAfter is how long a worker may leave connections in its queue.
const stuckAfter = time.Second

// inspect compares the seat with how it was one stuckAfter ago. A worker whose
// sequence moves is alive; one whose handler or process stands still, while
// connections wait, is stuck. It reports whether it took nothing meanwhile, stuck
// or not.
func (q *workerQueue) inspect() (idle bool) {
	if !q.keepsBoard() {
		return q.inspectQueue()
	}
	t, sequence := q.tally(), q.entry.Sequence.Load()
	moved := t.received != q.seenReceived || sequence != q.seenSequence
	switch {
	case q.stuck:
		q.stuck = !moved
	case q.seenQueued && t.queued() > 0 && !moved:
		q.stuck, q.emptied = true, false
	}
	idle = q.seenQueued && t.queued() > 0 && t.received == q.seenReceived
	q.seenQueued, q.seenReceived, q.seenSequence = t.queued() > 0, t.received, sequence
	return idle
}

// inspectQueue is inspect for a worker that keeps no scoreboard: its counts do
// not say what it left in its queue, so the queue is looked into. Once others
// have all of that, nothing could show that it moves again: so it is tried.
func (q *workerQueue) inspectQueue() (idle bool) {
	front := ipc.Front(q.spec.WorkerEnd)
	idle = front != 0 && front == q.seenFront
	switch {
	case q.stuck:
		q.stuck = front != 0
	case idle:
		q.stuck, q.emptied = true, false
	}
	q.seenFront = front
	return idle
}

// giving reports whether the seat's queue is to be looked at for connections that
// its worker gave back.
func (q *workerQueue) hasGivenBack() bool {
	return q.gaveBack && q.phase != QueueReaped && !q.blocked && !q.broken
}

// rescuable reports whether the seat's queue may hold something for others.
func (q *workerQueue) rescuable() bool {
	return (q.phase != QueueOpen || q.stuck) && !q.emptied && !q.blocked
}

// receive takes one packet from one end of the queue into the hand: one that
// the worker has not read, or one that it gave back. More than it has is errForged,
// and in the hand, to be discarded.
func (q *workerQueue) receive(packets *ipc.PacketConn, end int, hand *ipc.Packet) error {
	if err := packets.Receive(end, hand); err != nil {
		return err
	}
	if end != q.spec.FD {
		return nil
	}
	q.tally() // what it has closed by now it cannot give back
	if uint64(hand.Len()) > q.canGiveBack() {
		return errForged
	}
	return nil
}

func (q *workerQueue) close() {
	fdpass.CloseAll([]int{q.spec.FD, q.spec.WorkerEnd})
}
