package worker

import (
	"math"
	"time"
)

// drain is a member's way to its end, once it is asked for:
//
//	serving ──► alone: told to end by a signal; the master says how
//	  │           │
//	  └───────────┴► draining: sessions are asked, the queue is still served
//	                  ├─(no connection left, queue empty)──► over
//	                  └─(deadline)──► cut: all are closed after flushing; what is in the queue stays
//	                                      └─(none left, or drainFlushTime)──► over
//
// It belongs to the loop's goroutine.
type drain struct {
	member    *member
	step      drainStep
	told      bool          // by the master, which sends nothing more
	move      bool          // connections move, those that cannot are asked
	mayReturn bool          // those that have moved may come back: the end waits for the master's word
	deadline  time.Duration // on the loop's clock; never: none
}

// drainStep is how far the drain has come. It only grows.
type drainStep uint8

const (
	stepServing drainStep = iota
	stepAlone
	stepDraining
	stepCut
)

// begun reports whether sessions were asked to finish, or are to move.
func (d *drain) begun() bool { return d.step >= stepDraining }

// drainFlushTime is how long connections have to flush, and their peers to
// finish, once the deadline has come.
const drainFlushTime = time.Second

// next returns when cutShort is due, or never.
func (d *drain) next() time.Duration {
	if !d.begun() {
		return never
	}
	return d.deadline
}

// asks reports whether a connection that comes is asked to finish at once; in mode
// move the mover comes to it.
func (d *drain) asks() bool { return d.begun() && !d.move }

// begin starts the drain; asked again, it changes the deadline, and may have
// connections move that were to finish, or finish that were to move.
func (d *drain) begin(deadline time.Duration, move bool) {
	if d.step == stepCut {
		return
	}
	m := d.member
	d.deadline = deadline
	d.mayReturn = move && !d.move // the second time is the word that none comes back
	switch {
	case !move:
		d.stopMoving()
	case !d.move:
		d.move = true
		m.mover.begin(0, math.MaxInt)
	}
	if d.begun() {
		return
	}
	d.step = stepDraining
	l := m.loop
	l.log.Info("draining", "conns", l.accepted()+m.streaming, "move", move)
	l.hook("Drain", l.hooks.Drain)
	if !move { // else the mover asks those that cannot
		l.drainSessions()
	}
}

// stopMoving has no further connection move.
func (d *drain) stopMoving() {
	d.move = false
	d.member.mover.stop()
}

// keep has no further connection move, nor closed for a deadline until another
// drain.
func (d *drain) keep() {
	d.stopMoving()
	if d.step != stepCut {
		d.deadline = never
	}
}

// cutShort is called when the deadline comes, and once more when the time to
// flush is over too.
func (d *drain) cutShort() {
	m := d.member
	l := m.loop
	if d.step == stepCut {
		l.table.each(func(c *Conn) {
			if c.hasOutput() {
				c.blame(ErrDrained)
			}
			c.closeNow()
		})
		m.kind.end()
		d.deadline = never
		return
	}
	l.log.Warn("drain deadline, closing", "conns", l.table.live+m.streaming)
	m.ledger.cut(d.open())
	m.intake.drop()
	d.step, l.dialer.closed = stepCut, true
	m.mover.retry = never
	d.deadline = l.now() + drainFlushTime
	m.intake.stop()
	l.table.each(func(c *Conn) { c.end(ErrDrained) })
	m.kind.cutShort()
}

// open returns how many connections the deadline ends.
func (d *drain) open() int {
	q := &d.member.intake
	n := d.member.streaming + q.packet.Len() - q.at
	d.member.loop.table.each(func(c *Conn) {
		if c.state.phase() == phaseOpen && !c.state.is(traitDialled) {
			n++
		}
	})
	return n
}
