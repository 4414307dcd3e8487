package dispatch

import (
	"errors"
	"net/netip"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

// This file is how the batch leaves: each connection in it gets a target, and all that
// are for one queue go there in as few packets as hold them. What a queue refuses stays
// in the batch.

// place sends the batch to open queues, by the latest measure, and reports whether all of
// it went. A connection for which no queue has room, or whose queue refuses it, stays.
func (d *dispatcher) place() bool {
	for i := range d.batch.Len() {
		d.target[i] = nil
		if d.owns(i) {
			if k := d.choose(i); k >= 0 {
				d.target[i] = d.open[k]
			}
		}
	}
	return d.sendTargets()
}

// choose returns which queue connection i in the batch is for, or -1.
func (d *dispatcher) choose(i int) int {
	var peer netip.Addr
	if d.policy.ByAddress && d.batch.Decode(i, &d.envelope) == nil { // else it is placed as one without an address
		peer = d.envelope.Remote.Addr()
	}
	chosen := -1
	if d.batch.Frozen(i) {
		if d.guarded() {
			if d.capacity.guarded == 0 {
				return -1
			}
			d.capacity.guarded--
		}
		chosen = chooseForMoved(d.candidates, d.turn, d.from, d.to)
	} else {
		chosen = d.policy.choose(d.candidates, peer, d.turn)
	}
	if chosen >= 0 {
		c := &d.candidates[chosen]
		c.load++
		c.room--
		d.capacity.take(c.moves)
		d.turn = chosen + 1
	}
	return chosen
}

// sendTargets sends each connection in the batch to its target, if it has one, and
// reports whether the batch is empty then.
func (d *dispatcher) sendTargets() bool {
	for i := range d.batch.Len() {
		if q := d.target[i]; q != nil {
			d.send(q, i)
		}
	}
	if d.held() > 0 {
		return false
	}
	d.batch.Reset()
	return true
}

// send sends every connection in the batch, from first on, that has the queue as its
// target. None has it any more then.
func (d *dispatcher) send(q *workerQueue, first int) {
	for i := first; i < d.batch.Len(); i++ {
		if d.target[i] != q {
			continue
		}
		if !d.out.AddFrom(&d.batch, i) {
			d.flush(q, first, i)
			if q.blocked {
				return
			}
			first = i
			d.out.AddFrom(&d.batch, i) // fits into an empty packet, as it did into the batch
		}
	}
	d.flush(q, first, d.batch.Len())
}

// flush sends the packet for a queue, which holds the connections that are for it from
// first to before end. If it is refused, the queue is no more the target of any.
func (d *dispatcher) flush(q *workerQueue, first, end int) {
	count := d.out.Len()
	err := d.packets.Send(q.spec.FD, &d.out)
	event := ipc.EventSend
	if err == nil {
		q.sent += uint64(count)
		d.inspectAgain = true // until it is received
		killpoint.Reach(killpoint.Sent)
	} else {
		event = ipc.EventRefuse
		d.out.Reset() // the batch still owns them
		d.refused(q, err)
	}
	for i := first; i < d.batch.Len(); i++ {
		if d.target[i] != q {
			continue
		}
		if i < end && d.stages[i].Step(event) == ipc.StageQueued {
			if d.batch.Frozen(i) {
				d.countMoved(q)
			}
			d.batch.Forget(i) // the send closed it
			d.perIP.sent(d.batch.ID(i), q.serial)
		}
		if err != nil || i < end {
			d.target[i] = nil
		}
	}
}

// countMoved counts a moved connection that was sent to a queue: it has moved; or, as the
// queue is not open, it was returned to its old worker.
func (d *dispatcher) countMoved(q *workerQueue) {
	switch {
	case q.phase == QueueOpen:
		q.movedIn++
		if !d.movedBefore {
			d.totals.moved++
		}
	case q.spec.Slot == d.from:
		q.returned++
	}
}

// refused takes note that a worker's queue did not take a packet.
func (d *dispatcher) refused(q *workerQueue, err error) {
	q.blocked = true
	switch {
	case errors.Is(err, fdpass.ErrWouldBlock), errors.Is(err, fdpass.ErrTooManyRefs):
		d.log.Trace("queue full", "slot", q.spec.Slot, "error", err)
	case errors.Is(err, fdpass.ErrPeerClosed):
		d.fail(q, errQueueBroken)
	default:
		d.log.Warn("queue refused a packet, retrying", "slot", q.spec.Slot, "error", err)
	}
}

// unblock lets every queue be tried again.
func (d *dispatcher) unblock() {
	for _, q := range d.all {
		q.blocked = false
	}
}

// anyBlocked reports whether some queue waits to be tried again.
func (d *dispatcher) anyBlocked() bool {
	for _, q := range d.all {
		if q.blocked {
			return true
		}
	}
	return false
}
