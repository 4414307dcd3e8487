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
type seat struct {
	spec  Queue
	phase Phase
	ledger
	final tally // of a dead one; its entry is another's by then

	serial    uint64     // part of its epoll tags
	choked    bool       // its queue could not be used just now: not again before the next retry
	gives     bool       // its queue holds connections that it gave back; and is not in the epoll set
	order     *seatOrder // by which it gives back what it does; nil: there is none
	landing   bool       // the supervisor waits for what it gave back to be nowhere on the way
	broken    bool       // its worker is to be replaced: no more at all
	emptied   bool       // of one that is leaving or stuck: nothing is left in its queue
	stuck     bool       // it took nothing from its queue for stuckAfter
	junk      int        // packets from its queue that could not be used, and were not spoken of yet
	junkError error      // of the last of them

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
func (s *seat) tally() tally {
	if s.phase != QueueReaped {
		t := s.ledger.tally()
		t.stuck = s.stuck
		return t
	}
	t := s.final
	t.sent, t.drained, t.back, t.home, t.movedIn = s.sent, s.drained, s.back, s.home, s.movedIn
	if s.closes {
		t.received = min(max(t.received, t.back+t.said.Closed), t.sent-t.drained)
	} else {
		t.received = min(max(t.received, t.back), t.sent-t.drained)
		t.said.Closed = t.received - t.back
		t.said.Lost, t.said.Cut = min(t.said.Lost, t.said.Closed), min(t.said.Cut, t.said.Closed)
	}
	return t
}

// weigh of a dead seat counts likewise.
func (s *seat) weigh() weight {
	if s.phase == QueueReaped {
		t := s.tally()
		return weight{queued: t.queued(), load: t.load()}
	}
	return s.ledger.weigh()
}

// room returns how many connections may be sent now.
func (s *seat) room(w weight) int {
	if s.phase != QueueOpen || s.choked || s.broken || s.stuck {
		return 0
	}
	return max(0, min(s.free(w), maxQueued-w.queued))
}

// free returns how many more connections the worker can hold.
func (s *seat) free(w weight) int { return s.spec.Capacity - w.withheld - w.load }

// stuckAfter is how long a worker may leave connections in its queue.
const stuckAfter = time.Second

// inspect compares the seat with how it was one stuckAfter ago. A worker whose
// sequence moves is alive; one whose handler or process stands still, while
// connections wait, is stuck. It reports whether it took nothing meanwhile, stuck
// or not.
func (s *seat) inspect() (idle bool) {
	if !s.keepsBoard() {
		return s.inspectQueue()
	}
	t, sequence := s.tally(), s.entry.Sequence.Load()
	moved := t.received != s.seenReceived || sequence != s.seenSequence
	switch {
	case s.stuck:
		s.stuck = !moved
	case s.seenQueued && t.queued() > 0 && !moved:
		s.stuck, s.emptied = true, false
	}
	idle = s.seenQueued && t.queued() > 0 && t.received == s.seenReceived
	s.seenQueued, s.seenReceived, s.seenSequence = t.queued() > 0, t.received, sequence
	return idle
}

// inspectQueue is inspect for a worker that keeps no scoreboard: its counts do
// not say what it left in its queue, so the queue is looked into. Once others
// have all of that, nothing could show that it moves again: so it is tried.
func (s *seat) inspectQueue() (idle bool) {
	front := ipc.Front(s.spec.WorkerEnd)
	idle = front != 0 && front == s.seenFront
	switch {
	case s.stuck:
		s.stuck = front != 0
	case idle:
		s.stuck, s.emptied = true, false
	}
	s.seenFront = front
	return idle
}

// giving reports whether the seat's queue is to be looked at for connections that
// its worker gave back.
func (s *seat) giving() bool { return s.gives && s.phase != QueueReaped && !s.choked && !s.broken }

// rescuable reports whether the seat's queue may hold something for others.
func (s *seat) rescuable() bool {
	return (s.phase != QueueOpen || s.stuck) && !s.emptied && !s.choked
}

// receive takes one packet from one end of the queue into the hand: one that
// the worker has not read, or one that it gave back. More than it has is errForged,
// and in the hand, to be discarded.
func (s *seat) receive(packets *ipc.PacketConn, end int, hand *ipc.Packet) error {
	if err := packets.Receive(end, hand); err != nil {
		return err
	}
	if end != s.spec.FD {
		return nil
	}
	s.tally() // what it has closed by now it cannot give back
	if uint64(hand.Len()) > s.left() {
		return errForged
	}
	return nil
}

func (s *seat) close() {
	fdpass.CloseAll([]int{s.spec.FD, s.spec.WorkerEnd})
}
