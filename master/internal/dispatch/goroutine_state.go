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
	e := State{
		LastID: g.lastID, Serial: g.serial, Turn: d.turn,
		Totals: d.totals.state(),
	}
	if b := g.limits.bucket; b.rate > 0 {
		e.Bucket = &BucketState{b.rate, b.tokens, max(0, time.Since(b.asOf))}
	}
	for _, q := range d.all {
		e.Queues = append(e.Queues, q.state())
	}
	for _, conn := range g.allPending() {
		e.Pending = append(e.Pending, PendingState{conn.fd, conn.accepted.Local, conn.accepted.Remote, conn.accepted.Listener, conn.accepted.Accepted})
	}
	e.PerIP = d.perIP.record()
	return e
}

func (q *workerQueue) state() QueueState {
	t := q.final
	return QueueState{
		Slot: q.spec.Slot, Generation: q.spec.Generation, Worker: q.spec.Incarnation, PID: q.spec.PID, Queue: q.spec.FD, WorkerEnd: q.spec.WorkerEnd,
		Capacity: q.spec.Capacity, Closes: q.spec.Closes, Moves: q.spec.Moves,
		Phase: q.phase, Serial: q.serial, Sent: q.sent, Drained: q.drained, Back: q.back, Reported: q.reported,
		MovedIn: q.movedIn, Returned: q.returned, Landing: q.landing, Broken: q.broken, Stuck: q.stuck,
		Said:  q.said,
		Final: TallyState{t.sent, t.drained, t.back, t.received, t.said.Closed, t.said.Lost, t.movedIn, t.said.Cut, t.said},
	}
}

// queue is the reverse, with the worker's entry, or any if it is reaped. Whether there
// is anything in the queue is to be found out.
func (e *QueueState) queue(entry *ipc.Entry) *workerQueue {
	t := e.Final
	return &workerQueue{
		spec: Queue{
			Worker: Worker{e.Slot, e.Generation, e.Worker, e.PID}, FD: e.Queue, WorkerEnd: e.WorkerEnd,
			Capacity: e.Capacity, Closes: e.Closes, Moves: e.Moves, Entry: entry,
		},
		phase: e.Phase,
		ledger: ledger{
			sent: e.Sent, drained: e.Drained, back: e.Back, movedIn: e.MovedIn, returned: e.Returned,
			entry: entry, closes: e.Closes, reported: e.Reported, said: e.Said,
		},
		final:  tally{sent: t.Sent, drained: t.Drained, back: t.Back, received: t.Received, movedIn: t.MovedIn, said: t.said()},
		serial: e.Serial, landing: e.Landing, broken: e.Broken, stuck: e.Stuck,
	}
}

// Inherit takes over what the accept goroutine of another program left, before Run. It
// takes ownership of the descriptors. entries are the living workers', by slot;
// one that is missing is an error.
func (a *Acceptor) Inherit(e *State, entries map[int]*ipc.Entry) error {
	g := a.goroutine
	d := &g.dispatcher
	g.lastID, g.serial, d.turn = e.LastID, e.Serial, e.Turn
	d.totals = e.Totals.totals()
	if b := e.Bucket; b != nil && b.Rate == g.limits.bucket.rate {
		g.limits.bucket.tokens, g.limits.bucket.asOf = min(b.Tokens, float64(b.Rate)), time.Now().Add(-b.Age)
	}
	for i := range e.Queues {
		entry := new(ipc.Entry) // of a reaped worker, whose counts are known
		if slot := e.Queues[i].Slot; e.Queues[i].Phase != QueueReaped {
			if entry = entries[slot]; entry == nil {
				return fmt.Errorf("a queue of slot %d, which has no worker", slot)
			}
		}
		q := e.Queues[i].queue(entry)
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
	for _, p := range e.Pending {
		g.pending = append(g.pending, pendingConn{ipc.Envelope{Local: p.Local, Remote: p.Remote, Listener: p.Listener, Accepted: p.Accepted}, p.FD})
	}
	if err := d.perIP.inherit(e); err != nil {
		return err
	}
	d.relist()
	d.inspectAgain = true // what was stuck or queued is to be looked at
	g.timers.inspectAt = time.Now().Add(stuckAfter)
	return nil
}
