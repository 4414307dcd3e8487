package dispatch

import "github.com/usher-go/usher/ipc"

// awaited is what the supervisor waits for, beside the landing and the order of single
// queues. It asks once, and each turn ends with a look whether it is so; an event tells
// when it is. What makes it so, a packet or a bell, also brings the turn.
type awaited struct {
	arriving bool // Arrived: nothing is to be on its way to the guarded generation
	pausing  bool // BatchEmpty: the batch is to be
}

// awaitLanding has Landed follow for the worker in a slot.
func (d *dispatcher) awaitLanding(slot int) {
	if q := d.find(slot); q != nil {
		q.landing = true
	}
}

// reportAwaited reports what is awaited and has become so.
func (g *acceptGoroutine) reportAwaited() {
	d := &g.dispatcher
	for _, q := range d.all {
		if !q.landing && q.order == nil || d.inBatch(q) || q.phase == QueueReaped {
			continue
		}
		if q.landing && ipc.Front(q.spec.FD) == 0 {
			q.landing = false
			d.report(Landed{q.spec.Worker})
		}
		if q.order != nil && q.orderDone() {
			d.report(MoveDone{q.spec.Worker, q.order.id, q.givenByOrder()})
			q.order = nil
		}
	}
	if g.awaited.arriving {
		g.setBells() // from now on, or it is seen now
		if !d.onTheWay() && !d.holdsMoved() {
			g.awaited.arriving = false
			d.report(Arrived{})
		}
	}
	if g.awaited.pausing && d.held() == 0 {
		g.awaited.pausing = false
		d.report(BatchEmpty{})
	}
}

// inBatch reports whether the batch holds moved connections that a worker gave back.
func (d *dispatcher) inBatch(q *workerQueue) bool { return d.from == q.spec.Slot && d.holdsMoved() }
