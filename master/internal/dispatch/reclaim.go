package dispatch

import (
	"errors"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// This file is how connections come back into the batch. A worker gives them back, and they
// are taken from the master's end of its queue. Or it leaves them unread, since its queue
// was closed, or it is stuck or reaped: they are rescued at the worker's end, of which the
// master has a duplicate.

// givenBack reports whether some queue is to be looked at for connections that its
// worker gave back.
func (d *dispatcher) givenBack() bool {
	for _, q := range d.all {
		if q.hasGivenBack() {
			return true
		}
	}
	return false
}

// takeable reports whether what a worker gave back is to be taken: another one has room
// for it; or there is none that could thaw it, and the worker gives no more back, so
// that it can have it again. Otherwise it waits in the kernel.
func (d *dispatcher) takeable(q *workerQueue) bool {
	return q.hasGivenBack() && (d.capacity.forMoved > 0 || !d.capacity.movers && q.landing)
}

// anyTakeable reports whether there is anything takeable.
func (d *dispatcher) anyTakeable() bool {
	for _, q := range d.all {
		if d.takeable(q) {
			return true
		}
	}
	return false
}

// stranded reports whether the batch holds moved connections and there is no
// worker at all that can thaw them.
func (d *dispatcher) stranded() bool {
	for _, q := range d.open {
		if q.spec.Moves {
			return false
		}
	}
	return d.holdsMoved()
}

// loseStranded closes the moved connections in the batch, and counts them as lost.
func (d *dispatcher) loseStranded() {
	lost := 0
	for i := range d.batch.Len() {
		if d.owns(i) && d.batch.Frozen(i) {
			d.lose(i)
			lost++
		}
	}
	d.totals.lost += uint64(lost)
	d.log.Error("connections lost: they were to move, and no worker is left that can take them", "count", lost)
	if d.held() == 0 {
		d.batch.Reset()
	}
}

// takeBack takes one packet of connections that a worker gave back into the batch, which
// is empty, and reports whether it did. A queue that is found empty is looked at again
// when epoll says so.
func (d *dispatcher) takeBack() bool {
	for _, q := range d.all {
		if !d.takeable(q) {
			continue
		}
		found, empty := d.receive(q, q.spec.FD)
		if found {
			d.from, d.to = q.spec.Slot, q.destination()
			return true
		}
		if empty {
			q.gaveBack = false
			d.watchQueue(q)
		}
	}
	return false
}

// rescuable reports whether some closed or stuck queue is to be looked at.
func (d *dispatcher) rescuable() bool {
	for _, q := range d.all {
		if q.rescuable() {
			return true
		}
	}
	return false
}

// rescue takes one packet that a worker leaves unread out of a closed or stuck queue into
// the batch, which is empty, and reports whether it did. The queue of a reaped worker in
// which nothing is left is booked and removed; another one waits for that.
func (d *dispatcher) rescue() bool {
	d.from, d.to = Nobody, Nobody
	for _, q := range d.open {
		if q.rescuable() {
			found, empty := d.receive(q, q.spec.WorkerEnd)
			if found {
				return true
			}
			q.emptied = empty
		}
	}
	for i := 0; i < len(d.closed); i++ {
		q := d.closed[i]
		if q.emptied {
			continue
		}
		found, empty := d.receive(q, q.spec.WorkerEnd)
		if empty && q.phase == QueueReaped {
			found, empty = d.receive(q, q.spec.FD)
		}
		if found {
			return true
		}
		q.emptied = empty // and it stays so: nothing is sent any more
		if empty && q.phase == QueueReaped {
			d.closed = append(d.closed[:i], d.closed[i+1:]...)
			d.relist()
			d.bookReaped(q)
			i--
		}
	}
	return false
}

// receive takes a packet from one end of a queue into the batch. It reports whether it
// found one, and if not, whether that end is empty, or could not be read now. A worker
// that sent a malformed packet is replaced, if it is alive.
func (d *dispatcher) receive(q *workerQueue, end int) (found, empty bool) {
	for {
		err := q.receive(&d.packets, end, &d.batch)
		switch {
		case errors.Is(err, errForged):
			d.discards.discard(d.batch.Descriptors())
			d.batch.Reset()
			if d.badPacket(q, err) {
				return false, false
			}
			continue
		case err == nil:
			d.bookTaken(q, end, d.batch.Len())
			d.notArrived(q, end)
			d.stepAll(ipc.StageQueued, ipc.EventTake)
			if end == q.spec.FD {
				d.checkGivenBack(q)
			}
			if d.held() > 0 {
				return true, false
			}
			d.batch.Reset()
			if q.broken && q.phase != QueueReaped {
				return false, false
			}
			continue
		case errors.Is(err, fdpass.ErrWouldBlock):
			return false, true
		case errors.Is(err, fdpass.ErrPeerClosed):
			d.fail(q, errQueueBroken)
			return false, true
		}
		if lost, ok := errors.AsType[*ipc.LostError](err); ok {
			d.log.Error("connections lost: out of descriptors", "slot", q.spec.Slot, "count", lost.Count, "error", lost.Err)
			d.bookTaken(q, end, lost.Count)
			d.totals.lost += uint64(lost.Count)
			q.blocked = true
			return false, false
		}
		if _, ok := errors.AsType[*os.SyscallError](err); ok {
			d.log.Warn("cannot read a queue, retrying", "slot", q.spec.Slot, "error", err)
			q.blocked = true
			return false, false
		}
		if d.badPacket(q, err) {
			return false, false
		}
	}
}

// badPacket takes note of a packet that cannot be used, and reports whether the queue is
// to be left alone, since its worker is alive. That of a reaped one is read to its end,
// which is near, as nobody can send there any more; bookReaped logs how many were bad.
func (d *dispatcher) badPacket(q *workerQueue, err error) (leave bool) {
	q.badPackets++
	q.badPacketError = err
	if q.phase == QueueReaped {
		return false
	}
	d.logBadPackets(q)
	d.fail(q, err)
	return true
}

// logBadPackets logs how many packets of a queue were thrown away, if any were.
func (d *dispatcher) logBadPackets(q *workerQueue) {
	if q.badPackets > 0 {
		d.log.Error("bad packets on a queue, what came with them is closed", "slot", q.spec.Slot, "pid", q.spec.PID, "count", q.badPackets, "error", q.badPacketError)
		q.badPackets = 0
	}
}

// bookTaken books connections that came out of one end of a queue. If they are more than
// can be there, the worker has made some up: those are served like others, and so they
// count as accepted.
func (d *dispatcher) bookTaken(q *workerQueue, end, n int) {
	surplus := q.bookTaken(end == q.spec.WorkerEnd, n)
	if surplus == 0 {
		return
	}
	d.totals.accepted += surplus
	d.log.Error("a worker has made connections up: they count as accepted", "slot", q.spec.Slot, "pid", q.spec.PID, "count", surplus)
	d.fail(q, errForged)
}

// fail has a worker replaced: QueueBroken tells why, once. What else it gives back is left
// in its queue until it is reaped.
func (d *dispatcher) fail(q *workerQueue, why error) {
	if q.phase != QueueReaped && !q.broken {
		q.broken = true
		d.report(QueueBroken{q.spec.Worker, why})
	}
}

// bookReaped adds a reaped worker, whose queue is empty, to the totals, and closes the
// queue. What it had not closed, given back or left unread died with it.
func (d *dispatcher) bookReaped(q *workerQueue) {
	t := q.tally()
	lost := uint64(t.load())
	d.bookGuard(q)
	d.logBadPackets(q)
	d.totals.said.AddKept(&t.said)
	d.totals.further.AddKept(&q.further)
	d.totals.lost += lost
	if lost > 0 {
		d.log.Warn("connections lost with their worker", "slot", q.spec.Slot, "pid", q.spec.PID, "count", lost)
	}
	if t.said.Cut > 0 {
		d.log.Warn("connections cut, the time of a drain was over", "slot", q.spec.Slot, "pid", q.spec.PID, "count", t.said.Cut)
	}
	d.report(QueueGone{q.spec.Worker, t.counts()})
	d.perIP.forgetQueue(q.serial)
	q.close()
}

// abandon closes what is left when the master ends: connections that no worker
// is there to serve. They count as lost.
func (d *dispatcher) abandon() {
	for {
		d.totals.lost += uint64(d.held())
		d.batch.Close()
		if !d.rescue() {
			break
		}
	}
	for _, q := range d.all {
		q.close()
	}
	d.open, d.closed, d.all = nil, nil, nil
}
