package worker

import (
	"math"
	"time"
)

// drain is the way to the end of a worker, once it is asked for:
//
//	open ──► alone: told to end by a signal; the master says how
//	  │        │
//	  └────────┴► on: sessions are asked, the queue is still served
//	             ├─(no connection left, queue empty)──► over
//	             └─(deadline)──► cut: all are closed after flushing; what is in the queue stays
//	                                 └─(none left, or drainFlushTime)──► over
type drain struct {
	on       bool
	told     bool // by the master, which sends nothing more
	move     bool // connections move, those that cannot are asked
	held     bool // those that have moved may come back: the end waits for the master's word
	cut      bool
	deadline time.Duration // on the loop's clock; never: none
	alone    bool          // a signal asked for the end: the master's word how is to come
}

// drainFlushTime is how long connections have to flush, and their peers to
// finish, once the deadline has come.
const drainFlushTime = time.Second

func (d *drain) next() time.Duration {
	if !d.on {
		return never
	}
	return d.deadline
}

// beginDrain starts the drain; asked again, it changes the deadline, and may
// have connections move that were to finish, or finish that were to move.
func (l *loop) beginDrain(deadline time.Duration, move bool) {
	if l.drain.cut {
		return
	}
	l.drain.deadline = deadline
	l.drain.held = move && !l.drain.move // the second time is the word that none comes back
	if !move {
		l.stopMove()
	}
	if move && !l.drain.move {
		l.drain.move = true
		l.beginMove(0, math.MaxInt)
	}
	if l.drain.on {
		return
	}
	l.drain.on = true
	l.log.Info("draining", "conns", l.accepted()+l.streams.live(), "move", move)
	l.hook("Drain", l.hooks.Drain)
	if move {
		return // the mover asks those that cannot
	}
	l.table.each(func(c *Conn) {
		c.askToDrain()
		l.uncork()
	})
}

// keep has no further connection move, nor closed for a deadline until another
// drain.
func (l *loop) keep() {
	l.stopMove()
	if !l.drain.cut {
		l.drain.deadline = never
	}
}

// askToDrain tells the session, once.
func (c *Conn) askToDrain() {
	session, ok := c.session.(DrainSession)
	if !ok || c.ending() || c.state.is(traitDrained) {
		return
	}
	c.state.mark(traitDrained)
	if err := c.callDrain(session); err != nil {
		c.end(err)
	}
}

// cutShort is called when the deadline comes, and once more when the time to
// flush is over too.
func (l *loop) cutShort() {
	if l.drain.cut {
		l.table.each(func(c *Conn) {
			if c.hasOutput() {
				c.blame(ErrDrained)
			}
			c.finish()
		})
		l.streams.end()
		l.drain.deadline = never
		return
	}
	l.log.Warn("drain deadline, closing", "conns", l.table.live+l.streams.live())
	l.countCut()
	l.dropPacket()
	l.drain.cut, l.hungUp = true, true
	if l.mover != nil {
		l.mover.retry = never
	}
	l.drain.deadline = l.now() + drainFlushTime
	l.unwatchQueue()
	l.queue.retry = 0
	l.table.each(func(c *Conn) { c.end(ErrDrained) })
	l.streams.cutShort()
}

// countCut books those that the deadline ends.
func (l *loop) countCut() {
	cut := l.streams.live() + l.queue.packet.Len() - l.queue.at
	l.table.each(func(c *Conn) {
		if c.state.phase() == phaseOpen && !c.state.is(traitDialled) {
			cut++
		}
	})
	l.station.entry.Cut.Add(uint64(cut))
}

// over reports whether the loop has come to its end.
func (l *loop) over() (bool, error) {
	switch {
	case l.stopped:
		return true, nil
	case l.streams.failed() != nil:
		return true, l.streams.failed()
	case !l.drain.on && (!l.drain.alone || l.accepted() > 0):
		return false, nil
	case l.streams != nil:
		return l.overWithStreams()
	case l.accepted() > 0:
		return false, nil
	case l.drain.cut:
		return l.table.live == 0, nil
	case l.drain.held:
		return false, nil
	}
	empty, err := l.takeIn()
	return empty && l.accepted() == 0 && l.hangUpDialled(), err
}

// overWithStreams is over for a worker whose Accept must end before its
// connections can: it takes what is in the queue when the master has sent the
// last of it, and no more.
func (l *loop) overWithStreams() (bool, error) {
	if l.drain.told && !l.streams.shut {
		empty, err := l.takeIn()
		if !empty || err != nil {
			return false, err
		}
		l.streams.leaveQueue()
	}
	return l.streams.shut && l.accepted() == 0 && !l.streams.busy() && l.hangUpDialled(), nil
}
