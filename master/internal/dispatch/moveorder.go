package dispatch

import "github.com/usher-go/usher/ipc"

// moveOrder says who is to get the connections that a worker gives back, and how many
// those are. When all have come back, or no more do, MoveDone follows.
type moveOrder struct {
	id              uint64
	to              int    // the slot that is to get them; or Nobody
	count           int    // how many are to come: as asked, and then as answered
	open            bool   // the answer gave no number: all have come when the queue is empty
	start, returned uint64 // the queue's back and returned, when it began
}

// destination returns who is to get what the worker gives back; without an order, Nobody.
func (q *workerQueue) destination() int {
	if q.order == nil {
		return Nobody
	}
	return q.order.to
}

// orderDone reports whether all that the order brings has come back.
func (q *workerQueue) orderDone() bool {
	o := q.order
	return int(q.back-o.start) >= o.count || o.open && ipc.Front(q.spec.FD) == 0
}

// givenByOrder returns how many came back by the order and were not returned.
func (q *workerQueue) givenByOrder() int {
	return int((q.back - q.order.start) - (q.returned - q.order.returned))
}

// beginMove is BeginMove.
func (d *dispatcher) beginMove(r beginMoveRequest) {
	if q := d.find(r.slot); q != nil {
		q.order = &moveOrder{id: r.id, to: r.to, count: r.count, start: q.back, returned: q.returned}
	}
}

// ordered returns the queue of a slot that has the order, or nil.
func (d *dispatcher) ordered(slot int, id uint64) *workerQueue {
	if q := d.find(slot); q != nil && q.order != nil && q.order.id == id {
		return q
	}
	return nil
}

// answerMove is AnswerMove.
func (d *dispatcher) answerMove(r answerMoveRequest) {
	switch q := d.ordered(r.slot, r.id); {
	case q == nil:
	case r.given >= 0:
		q.order.count = min(r.given, q.order.count) // more than asked for nobody gives
	default:
		q.order.open = true
	}
}

// movedSoFar is MovedSoFar.
func (d *dispatcher) movedSoFar(slot int, id uint64) int {
	if q := d.ordered(slot, id); q != nil {
		return q.givenByOrder()
	}
	return 0
}

// forgetMove is ForgetMove.
func (d *dispatcher) forgetMove(slot int, id uint64) {
	if q := d.ordered(slot, id); q != nil {
		q.order = nil
	}
}
