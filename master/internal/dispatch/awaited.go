package dispatch

import "github.com/usher-go/usher/ipc"

// This file is what the accept goroutine tells the supervisor in its own time:
// that what was given back has got somewhere. Each is asked for once, and looked
// at after each turn until it is so; what makes it so (a packet, a bell) is also
// what makes the turn.

// news is what the supervisor waits for, besides what seats have.
type awaited struct {
	arriving bool // nothing is to be on its way to the generation on trial
	pausing  bool // the hand is to be empty
}

// seatOrder is an order to give connections back, as the accept goroutine sees it.
type moveOrder struct {
	id              uint64
	to              int    // the slot that is to get them; or nobody
	count           int    // how many are to come: as asked, and then as answered
	open            bool   // the answer gave no number: what has come when nothing is left
	start, returned uint64 // the seat's back and home before
}

// destination returns who is to get what is given back; without an order, nobody
// in particular.
func (o *moveOrder) destination() int {
	if o == nil {
		return Nobody
	}
	return o.to
}

// given returns how many came back by the order and have not gone home.
func (q *workerQueue) givenByOrder() int {
	return int((q.back - q.order.start) - (q.returned - q.order.returned))
}

// awaitLanding has Landed told of a slot's worker.
func (d *dispatcher) awaitLanding(slot int) {
	if q := d.find(slot); q != nil {
		q.landing = true
	}
}

// beginMove gives a seat an order.
func (d *dispatcher) beginMove(r beginMoveRequest) {
	if q := d.find(r.slot); q != nil {
		q.order = &moveOrder{id: r.id, to: r.to, count: r.count, start: q.back, returned: q.returned}
	}
}

// ordered returns the seat of a slot that has the order, or nil.
func (d *dispatcher) ordered(slot int, id uint64) *workerQueue {
	if q := d.find(slot); q != nil && q.order != nil && q.order.id == id {
		return q
	}
	return nil
}

// answerMove takes a worker's word on what it gave back by an order.
func (d *dispatcher) answerMove(r answerMoveRequest) {
	switch q := d.ordered(r.slot, r.id); {
	case q == nil:
	case r.given >= 0:
		q.order.count = min(r.given, q.order.count) // more than asked for nobody gives
	default:
		q.order.open = true
	}
}

// movedSoFar returns how many have come back by an order so far.
func (d *dispatcher) movedSoFar(slot int, id uint64) int {
	if q := d.ordered(slot, id); q != nil {
		return q.givenByOrder()
	}
	return 0
}

// forgetMove ends an order.
func (d *dispatcher) forgetMove(slot int, id uint64) {
	if q := d.ordered(slot, id); q != nil {
		q.order = nil
	}
}

// tellNews tells what has become so.
func (a *Acceptor) reportAwaited() {
	d := &a.dispatcher
	for _, q := range d.all {
		if !q.landing && q.order == nil || d.inBatch(q) || q.phase == QueueReaped {
			continue
		}
		if q.landing && ipc.Front(q.spec.FD) == 0 {
			q.landing = false
			d.report(Landed{q.spec.Worker})
		}
		if o := q.order; o != nil && (int(q.back-o.start) >= o.count || o.open && ipc.Front(q.spec.FD) == 0) {
			d.report(MoveDone{q.spec.Worker, o.id, q.givenByOrder()})
			q.order = nil
		}
	}
	if a.awaited.arriving {
		a.setBells() // from now on, or it is seen now
		if d.onTheWay() == 0 && !d.holdsMoved() {
			a.awaited.arriving = false
			d.report(Arrived{})
		}
	}
	if a.awaited.pausing && d.held() == 0 {
		a.awaited.pausing = false
		d.report(BatchEmpty{})
	}
}

// inHand reports whether the hand holds what a seat's worker gave back.
func (d *dispatcher) inBatch(q *workerQueue) bool { return d.from == q.spec.Slot && d.holdsMoved() }
