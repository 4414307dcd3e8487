package dispatch

import (
	"errors"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// This file is how connections come back into the hand: given back by a worker,
// left in the queue of one that is leaving, stuck or dead, or left over when the
// master ends.

// givenBack reports whether some worker's queue is to be looked at for
// connections that it gave back.
func (d *dispatcher) givenBack() bool {
	for _, q := range d.all {
		if q.hasGivenBack() {
			return true
		}
	}
	return false
}

// takeable reports whether what a worker gives back is to be taken: somebody has
// room for it; or there is nobody that could thaw it, and the worker gives no more
// back, so that it can have that again. Otherwise it waits in the kernel.
func (d *dispatcher) takeable(q *workerQueue) bool {
	return q.hasGivenBack() && (d.capacity.forMoved > 0 || !d.capacity.movers && q.landing)
}

func (d *dispatcher) anyTakeable() bool {
	for _, q := range d.all {
		if d.takeable(q) {
			return true
		}
	}
	return false
}

// stranded reports whether the hand holds moved connections and there is no
// worker at all that can thaw them.
func (d *dispatcher) stranded() bool {
	for _, q := range d.open {
		if q.spec.Moves {
			return false
		}
	}
	return d.holdsMoved()
}

// loseStranded closes them.
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

// takeBack takes one packet of connections that a worker gave back into the
// hand, which is empty, and reports whether it did. A queue that is found empty
// is no longer looked at until there is word of more.
func (d *dispatcher) takeBack() bool {
	for _, q := range d.all {
		if !d.takeable(q) {
			continue
		}
		found, empty := d.receive(q, q.spec.FD)
		if found {
			d.from, d.to = q.spec.Slot, q.order.destination()
			return true
		}
		if empty {
			q.gaveBack = false
			d.watchQueue(q)
		}
	}
	return false
}

// rescuable reports whether the queue of a leaving or stuck seat is to be looked at.
func (d *dispatcher) rescuable() bool {
	for _, q := range d.all {
		if q.rescuable() {
			return true
		}
	}
	return false
}

// rescue takes one packet out of a leaving or stuck seat's queue into the hand,
// which is empty, and reports whether it did. A dead seat with nothing left is
// booked and closed; a retired one waits for its end.
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

// receive takes a packet from one end of a seat's queue into the hand. It
// reports whether it found one, and if not, whether that end is empty for good
// or could not be read now. A malformed packet costs its sender its life, if
// it is alive.
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

// spurn takes note of a packet that cannot be used, and reports whether the seat's
// queue is to be left alone: its worker is alive. A dead one's is read to its end,
// which is near, since nobody can send there any more; settle says how much of it
// was junk.
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

// sayJunk says what of a seat's queue was thrown away, if anything was.
func (d *dispatcher) logBadPackets(q *workerQueue) {
	if q.badPackets > 0 {
		d.log.Error("bad packets on a queue, what came with them is closed", "slot", q.spec.Slot, "pid", q.spec.PID, "count", q.badPackets, "error", q.badPacketError)
		q.badPackets = 0
	}
}

// took books connections that came out of one end of a seat's queue. If there were
// more than there can be, its worker has made some up: they are among those that
// are served, and so among those accepted, by whomever.
func (d *dispatcher) bookTaken(q *workerQueue, end, n int) {
	surplus := q.bookTaken(end == q.spec.WorkerEnd, n)
	if surplus == 0 {
		return
	}
	d.totals.accepted += surplus
	d.log.Error("a worker has made connections up: they count as accepted", "slot", q.spec.Slot, "pid", q.spec.PID, "count", surplus)
	d.fail(q, errForged)
}

// condemn has a seat's worker replaced, once; what else it gives back is left
// until it is dead.
func (d *dispatcher) fail(q *workerQueue, why error) {
	if q.phase != QueueReaped && !q.broken {
		q.broken = true
		d.report(QueueBroken{q.spec.Worker, why})
	}
}

// settle books what a dead seat leaves and closes its queue. What it had not
// closed, given back or left unread died with it.
func (d *dispatcher) bookReaped(q *workerQueue) {
	t := q.tally()
	lost := uint64(t.load())
	d.bookGuard(q)
	d.logBadPackets(q)
	d.totals.said.AddKept(&t.said)
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
