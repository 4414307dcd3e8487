package worker

import (
	"math"
	"time"
)

// drain is a member's way to its end, once it is asked for:
//
//	serving ──► alone: asked to end by a signal; served until the master says how
//	  │           │
//	  └───────────┴► draining: sessions are asked to finish, or move; the queue is still served
//	                  ├─(no connection left, queue empty)──► over
//	                  └─(deadline)──► cut: all are closed after flushing; the queue is left to the master
//	                                      └─(none left, or drainFlushTime)──► over
//
// It belongs to the loop's goroutine.
type drain struct {
	member    *member
	step      drainStep
	told      bool          // the master said so: it sends no more connections
	move      bool          // connections are to move; those that cannot are asked to finish
	kept      bool          // neither, until the master says which: there is nowhere to move to yet
	mayReturn bool          // connections that have moved may come back: the end waits for the master's word
	deadline  time.Duration // on the loop's clock, or never
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

// decide tells the loop whether a connection that comes, or opens, is asked to finish at
// once. While connections move it is not: the mover comes to it.
func (d *drain) decide() { d.member.loop.drains = d.finishing() }

// finishing reports whether sessions were asked to finish.
func (d *drain) finishing() bool { return d.begun() && !d.move && !d.kept }

// begin starts the drain. Called again, it changes the deadline, and whether connections
// are to move or to finish.
func (d *drain) begin(deadline time.Duration, move bool) {
	if d.step == stepCut {
		return
	}
	m := d.member
	l, wasToFinish, wasKnown := m.loop, d.finishing(), d.begun() && d.deadline == deadline
	d.deadline, d.kept = deadline, false
	d.mayReturn = move && !d.move // to be told a second time says that none comes back
	switch {
	case !move:
		d.stopMoving()
	case !d.move:
		d.move = true
		m.mover.begin(0, math.MaxInt)
	}
	if !d.begun() {
		d.step = stepDraining
		l.log.Info("draining", "conns", l.accepted()+m.streaming, "move", move)
		l.hook("Drain", l.hooks.Drain)
	}
	d.decide()
	if !wasKnown {
		l.drainBegins(deadline)
	}
	if !move && !wasToFinish { // else the mover asks those that cannot move
		l.drainSessions()
	}
}

// stopMoving lets no further connection move.
func (d *drain) stopMoving() {
	d.move = false
	d.decide()
	d.member.mover.stop()
}

// keep lets no further connection move, asks none to finish, and closes none at a deadline
// until the master says drain again.
func (d *drain) keep() {
	d.kept = true
	d.stopMoving()
	if d.step != stepCut && d.deadline != never {
		d.deadline = never
		if d.begun() {
			d.member.loop.drainBegins(never)
		}
	}
}

// cutShort is called when the deadline comes, and once more when the time to
// flush is over too.
func (d *drain) cutShort() {
	m := d.member
	l := m.loop
	if d.step == stepCut {
		l.table.each(func(c *Conn) {
			stayed := c.state.is(traitEngaged) && c.state.phase() == phaseOpen
			if stayed {
				m.ledger.cut(1)
			}
			if stayed || c.hasOutput() {
				c.blame(ErrDrained)
			}
			c.closeNow()
		})
		m.kind.end()
		d.deadline = never
		return
	}
	l.log.Warn("drain deadline, closing", "conns", l.table.live+m.streaming)
	cut := d.open()
	m.intake.drop()
	d.step, l.dialer.closed, l.called = stepCut, true, true
	m.mover.retry = never
	d.deadline = l.now() + drainFlushTime
	m.intake.stop()
	l.table.each(func(c *Conn) {
		if c.lastCall() {
			cut--
			return
		}
		c.end(ErrDrained)
	})
	m.ledger.cut(cut)
	m.kind.cutShort()
}

// open returns how many connections the deadline ends: the open ones, and those that are
// received and not adopted.
func (d *drain) open() int {
	q := &d.member.intake
	n := d.member.streaming + q.packet.Len() - q.at
	d.member.loop.table.each(func(c *Conn) {
		if (c.state.phase() == phaseOpen || c.state.phase() == phaseHandshaking) && !c.state.is(traitDialled) {
			n++
		}
	})
	return n
}
