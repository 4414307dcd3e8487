package dispatch

import (
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// This file is how the accept goroutine finds workers that take nothing from their queue.

// stuckAfter is how long a worker may leave connections in its queue.
const stuckAfter = time.Second

// inspectQueues looks for workers that take nothing from their queue. It is called once
// in a stuckAfter while some queue holds connections. A stuck worker gets nothing more,
// and what is in its queue goes to others; it gets some again once it moves, or, if that
// cannot be seen, once its queue is empty. It reports whether any is stuck.
func (d *dispatcher) inspectQueues() (stuck bool) {
	for _, q := range d.open {
		was := q.stuck
		if q.inspect() {
			d.reportIdle(q)
		}
		stuck = stuck || q.stuck
		switch {
		case was == q.stuck:
		case q.stuck:
			d.log.Warn("worker takes nothing from its queue, which goes to others", "slot", q.spec.Slot)
		case q.keepsBoard():
			d.log.Warn("worker moves again", "slot", q.spec.Slot)
		default:
			d.log.Warn("worker gets connections again, to see whether it takes them", "slot", q.spec.Slot)
		}
	}
	return stuck
}

// reportIdle reports that a worker took nothing from its queue.
func (d *dispatcher) reportIdle(q *workerQueue) {
	var stat unix.Stat_t
	if err := unix.Fstat(q.spec.WorkerEnd, &stat); err == nil { // it is open
		d.report(QueueIdle{q.spec.Worker, stat.Ino})
	}
}

// inspect compares the queue with how it was one stuckAfter ago. A worker whose
// sequence moves is alive; one whose handler or process stands still, while
// connections wait, is stuck. It reports whether it took nothing meanwhile, stuck
// or not.
func (q *workerQueue) inspect() (idle bool) {
	if !q.keepsBoard() {
		return q.inspectQueue()
	}
	t, sequence := q.tally(), q.entry.Sequence.Load()
	progress := t.received != q.seenReceived || sequence != q.seenSequence
	switch {
	case q.stuck:
		q.stuck = !progress
	case q.seenQueued && t.queued() > 0 && !progress:
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
