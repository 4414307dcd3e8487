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
	for _, s := range d.all {
		if s.giving() {
			return true
		}
	}
	return false
}

// takeable reports whether what a worker gives back is to be taken: somebody has
// room for it; or there is nobody that could thaw it, and the worker gives no more
// back, so that it can have that again. Otherwise it waits in the kernel.
func (d *dispatcher) takeable(s *seat) bool {
	return s.giving() && (d.capacity.forMoved > 0 || !d.capacity.movers && s.landing)
}

func (d *dispatcher) anyTakeable() bool {
	for _, s := range d.all {
		if d.takeable(s) {
			return true
		}
	}
	return false
}

// stranded reports whether the hand holds moved connections and there is no
// worker at all that can thaw them.
func (d *dispatcher) stranded() bool {
	for _, s := range d.seats {
		if s.spec.Moves {
			return false
		}
	}
	return d.holdsMoved()
}

// loseStranded closes them.
func (d *dispatcher) loseStranded() {
	lost := 0
	for i := range d.hand.Len() {
		if d.holds(i) && d.hand.Frozen(i) {
			d.lose(i)
			lost++
		}
	}
	d.totals.lost += uint64(lost)
	d.log.Error("connections lost: they were to move, and no worker is left that can take them", "count", lost)
	if d.handful() == 0 {
		d.hand.Reset()
	}
}

// takeBack takes one packet of connections that a worker gave back into the
// hand, which is empty, and reports whether it did. A queue that is found empty
// is no longer looked at until there is word of more.
func (d *dispatcher) takeBack() bool {
	for _, s := range d.all {
		if !d.takeable(s) {
			continue
		}
		found, empty := d.receive(s, s.spec.FD)
		if found {
			d.from, d.to = s.spec.Slot, s.order.destination()
			return true
		}
		if empty {
			s.gives = false
			d.rewatch(s)
		}
	}
	return false
}

// rescuable reports whether the queue of a leaving or stuck seat is to be looked at.
func (d *dispatcher) rescuable() bool {
	for _, s := range d.all {
		if s.rescuable() {
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
	for _, s := range d.seats {
		if s.rescuable() {
			found, empty := d.receive(s, s.spec.WorkerEnd)
			if found {
				return true
			}
			s.emptied = empty
		}
	}
	for i := 0; i < len(d.leaving); i++ {
		s := d.leaving[i]
		if s.emptied {
			continue
		}
		found, empty := d.receive(s, s.spec.WorkerEnd)
		if empty && s.phase == QueueReaped {
			found, empty = d.receive(s, s.spec.FD)
		}
		if found {
			return true
		}
		s.emptied = empty // and it stays so: nothing is sent any more
		if empty && s.phase == QueueReaped {
			d.leaving = append(d.leaving[:i], d.leaving[i+1:]...)
			d.relist()
			d.settle(s)
			i--
		}
	}
	return false
}

// receive takes a packet from one end of a seat's queue into the hand. It
// reports whether it found one, and if not, whether that end is empty for good
// or could not be read now. A malformed packet costs its sender its life, if
// it is alive.
func (d *dispatcher) receive(s *seat, end int) (found, empty bool) {
	for {
		err := s.receive(&d.packets, end, &d.hand)
		switch {
		case errors.Is(err, errForged):
			d.junk.discard(d.hand.Descriptors())
			d.hand.Reset()
			if d.spurn(s, err) {
				return false, false
			}
			continue
		case err == nil:
			d.took(s, end, d.hand.Len())
			d.unmove(s, end)
			d.got(ipc.StageQueued, ipc.EventTake)
			if end == s.spec.FD {
				d.judge(s)
			}
			if d.handful() > 0 {
				return true, false
			}
			d.hand.Reset()
			if s.broken && s.phase != QueueReaped {
				return false, false
			}
			continue
		case errors.Is(err, fdpass.ErrWouldBlock):
			return false, true
		case errors.Is(err, fdpass.ErrPeerClosed):
			d.condemn(s, errQueueBroken)
			return false, true
		}
		if lost, ok := errors.AsType[*ipc.LostError](err); ok {
			d.log.Error("connections lost: out of descriptors", "slot", s.spec.Slot, "count", lost.Count, "error", lost.Err)
			d.took(s, end, lost.Count)
			d.totals.lost += uint64(lost.Count)
			s.choked = true
			return false, false
		}
		if _, ok := errors.AsType[*os.SyscallError](err); ok {
			d.log.Warn("cannot read a queue, retrying", "slot", s.spec.Slot, "error", err)
			s.choked = true
			return false, false
		}
		if d.spurn(s, err) {
			return false, false
		}
	}
}

// spurn takes note of a packet that cannot be used, and reports whether the seat's
// queue is to be left alone: its worker is alive. A dead one's is read to its end,
// which is near, since nobody can send there any more; settle says how much of it
// was junk.
func (d *dispatcher) spurn(s *seat, err error) (leave bool) {
	s.junk++
	s.junkError = err
	if s.phase == QueueReaped {
		return false
	}
	d.sayJunk(s)
	d.condemn(s, err)
	return true
}

// sayJunk says what of a seat's queue was thrown away, if anything was.
func (d *dispatcher) sayJunk(s *seat) {
	if s.junk > 0 {
		d.log.Error("bad packets on a queue, what came with them is closed", "slot", s.spec.Slot, "pid", s.spec.PID, "count", s.junk, "error", s.junkError)
		s.junk = 0
	}
}

// took books connections that came out of one end of a seat's queue. If there were
// more than there can be, its worker has made some up: they are among those that
// are served, and so among those accepted, by whomever.
func (d *dispatcher) took(s *seat, end, n int) {
	surplus := s.took(end == s.spec.WorkerEnd, n)
	if surplus == 0 {
		return
	}
	d.totals.accepted += surplus
	d.log.Error("a worker has made connections up: they count as accepted", "slot", s.spec.Slot, "pid", s.spec.PID, "count", surplus)
	d.condemn(s, errForged)
}

// condemn has a seat's worker replaced, once; what else it gives back is left
// until it is dead.
func (d *dispatcher) condemn(s *seat, why error) {
	if s.phase != QueueReaped && !s.broken {
		s.broken = true
		d.report(QueueBroken{s.spec.Worker, why})
	}
}

// settle books what a dead seat leaves and closes its queue. What it had not
// closed, given back or left unread died with it.
func (d *dispatcher) settle(s *seat) {
	t := s.tally()
	lost := uint64(t.load())
	d.buryTrial(s)
	d.sayJunk(s)
	d.totals.said.AddKept(&t.said)
	d.totals.lost += lost
	if lost > 0 {
		d.log.Warn("connections lost with their worker", "slot", s.spec.Slot, "pid", s.spec.PID, "count", lost)
	}
	if t.said.Cut > 0 {
		d.log.Warn("connections cut, the time of a drain was over", "slot", s.spec.Slot, "pid", s.spec.PID, "count", t.said.Cut)
	}
	d.report(QueueGone{s.spec.Worker, t.counts()})
	d.census.evict(s.serial)
	s.close()
}

// abandon closes what is left when the master ends: connections that no worker
// is there to serve. They count as lost.
func (d *dispatcher) abandon() {
	for {
		d.totals.lost += uint64(d.handful())
		d.hand.Close()
		if !d.rescue() {
			break
		}
	}
	for _, s := range d.all {
		s.close()
	}
	d.seats, d.leaving, d.all = nil, nil, nil
}
