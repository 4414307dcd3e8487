package dispatch

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
)

// state describes everything. The accept goroutine is paused.
func (g *acceptGoroutine) state() State {
	d := &g.dispatcher
	s := State{
		LastID: g.lastID, Serial: g.serial, Turn: d.turn,
		Totals: d.totals.state(),
	}
	s.Listeners, s.AcceptErrors = g.acceptCounts.read()
	if b := g.limits.bucket; b.rate > 0 {
		s.Bucket = &BucketState{b.rate, b.tokens, max(0, time.Since(b.asOf))}
	}
	for _, q := range d.all {
		q.readFurther()
		s.Queues = append(s.Queues, q.state())
	}
	for _, conn := range g.allPending() {
		s.Pending = append(s.Pending, conn.state())
	}
	s.PerIP = d.perIP.record()
	return s
}

func (c *pendingConn) state() PendingState {
	e := &c.accepted
	return PendingState{c.fd, e.Local, e.Remote, e.Listener, e.Transport, e.Accepted}
}

// conn is the reverse.
func (s *PendingState) conn() pendingConn {
	return pendingConn{ipc.Envelope{Local: s.Local, Remote: s.Remote, Listener: s.Listener, Transport: s.Transport, Accepted: s.Accepted}, s.FD}
}

func (q *workerQueue) state() QueueState {
	t := q.final
	return QueueState{
		Slot: q.spec.Slot, Generation: q.spec.Generation, Worker: q.spec.Incarnation, PID: q.spec.PID, Queue: q.spec.FD, WorkerEnd: q.spec.WorkerEnd,
		Capacity: q.spec.Capacity, Closes: q.spec.Closes, Moves: q.spec.Moves,
		Phase: q.phase, Serial: q.serial, Sent: q.sent, Drained: q.drained, Back: q.back, Reported: q.reported,
		MovedIn: q.movedIn, Returned: q.returned, Landing: q.landing, Broken: q.broken, Stuck: q.stuck,
		Said:    q.said,
		Final:   TallyState{t.sent, t.drained, t.back, t.received, t.said.Closed, t.said.Lost, t.movedIn, t.said.Cut, t.said},
		Further: q.further,
	}
}

// queue is the reverse, with the worker's memory, or any if it is reaped. Whether there
// is anything in the queue is to be found out.
func (s *QueueState) queue(memory Memory) *workerQueue {
	t := s.Final
	return &workerQueue{
		spec: Queue{
			Worker: Worker{s.Slot, s.Generation, s.Worker, s.PID}, FD: s.Queue, WorkerEnd: s.WorkerEnd,
			Capacity: s.Capacity, Closes: s.Closes, Moves: s.Moves, Memory: memory,
		},
		phase: s.Phase, further: s.Further,
		ledger: ledger{
			sent: s.Sent, drained: s.Drained, back: s.Back, movedIn: s.MovedIn, returned: s.Returned,
			entry: memory.Entry, closes: s.Closes, reported: s.Reported, said: s.Said,
		},
		final:  tally{sent: t.Sent, drained: t.Drained, back: t.Back, received: t.Received, movedIn: t.MovedIn, said: t.said()},
		serial: s.Serial, landing: s.Landing, broken: s.Broken, stuck: s.Stuck,
	}
}

// Inherit takes over what the accept goroutine of another program left, before Run. It
// takes ownership of the descriptors. memories are the living workers', by slot;
// one that is missing is an error.
func (a *Acceptor) Inherit(s *State, memories map[int]Memory) error {
	g := a.goroutine
	d := &g.dispatcher
	g.lastID, g.serial, d.turn = s.LastID, s.Serial, s.Turn
	d.totals = s.Totals.totals()
	g.acceptCounts.inherit(s.Listeners, s.AcceptErrors)
	if b := s.Bucket; b != nil && b.Rate == g.limits.bucket.rate {
		g.limits.bucket.tokens, g.limits.bucket.asOf = min(b.Tokens, float64(b.Rate)), time.Now().Add(-b.Age)
	}
	for i := range s.Queues {
		memory := Memory{Entry: new(ipc.Entry)} // of a reaped worker, whose counts are known
		if slot := s.Queues[i].Slot; s.Queues[i].Phase != QueueReaped {
			if memory = memories[slot]; memory.Entry == nil {
				return fmt.Errorf("a queue of slot %d, which has no worker", slot)
			}
		}
		q := s.Queues[i].queue(memory)
		if q.phase == QueueOpen {
			d.open = append(d.open, q)
		} else {
			d.closed = append(d.closed, q)
		}
		if q.stuck {
			g.stuck.Store(true)
		}
		if q.phase != QueueReaped && !q.broken {
			if err := g.set.Add(q.spec.FD, poller.In, tagQueue|q.serial); err != nil {
				return err
			}
		}
	}
	for _, p := range s.Pending {
		g.pending = append(g.pending, p.conn())
	}
	if err := d.perIP.inherit(s); err != nil {
		return err
	}
	d.relist()
	d.inspectAgain = true // what was stuck or queued is to be looked at
	g.timers.inspectAt = time.Now().Add(stuckAfter)
	return nil
}
