package dispatch

import "github.com/usher-go/usher/ipc"

// This file is what the accept goroutine tells the supervisor in its own time:
// that what was given back has got somewhere. Each is asked for once, and looked
// at after each turn until it is so; what makes it so (a packet, a bell) is also
// what makes the turn.

// news is what the supervisor waits for, besides what seats have.
type news struct {
	arriving bool // nothing is to be on its way to the generation on trial
	parking  bool // the hand is to be empty
}

// seatOrder is an order to give connections back, as the accept goroutine sees it.
type seatOrder struct {
	id          uint64
	to          int    // the slot that is to get them; or nobody
	count       int    // how many are to come: as asked, and then as answered
	open        bool   // the answer gave no number: what has come when nothing is left
	start, home uint64 // the seat's back and home before
}

// destination returns who is to get what is given back; without an order, nobody
// in particular.
func (o *seatOrder) destination() int {
	if o == nil {
		return Nobody
	}
	return o.to
}

// given returns how many came back by the order and have not gone home.
func (s *seat) given() int { return int((s.back - s.order.start) - (s.home - s.order.home)) }

// awaitLanding has Landed told of a slot's worker.
func (d *dispatcher) awaitLanding(slot int) {
	if s := d.find(slot); s != nil {
		s.landing = true
	}
}

// beginMove gives a seat an order.
func (d *dispatcher) beginMove(r beginMoveRequest) {
	if s := d.find(r.slot); s != nil {
		s.order = &seatOrder{id: r.id, to: r.to, count: r.count, start: s.back, home: s.home}
	}
}

// ordered returns the seat of a slot that has the order, or nil.
func (d *dispatcher) ordered(slot int, id uint64) *seat {
	if s := d.find(slot); s != nil && s.order != nil && s.order.id == id {
		return s
	}
	return nil
}

// answerMove takes a worker's word on what it gave back by an order.
func (d *dispatcher) answerMove(r answerMoveRequest) {
	switch s := d.ordered(r.slot, r.id); {
	case s == nil:
	case r.given >= 0:
		s.order.count = min(r.given, s.order.count) // more than asked for nobody gives
	default:
		s.order.open = true
	}
}

// movedSoFar returns how many have come back by an order so far.
func (d *dispatcher) movedSoFar(slot int, id uint64) int {
	if s := d.ordered(slot, id); s != nil {
		return s.given()
	}
	return 0
}

// forgetMove ends an order.
func (d *dispatcher) forgetMove(slot int, id uint64) {
	if s := d.ordered(slot, id); s != nil {
		s.order = nil
	}
}

// tellNews tells what has become so.
func (a *Acceptor) tellNews() {
	d := &a.dispatcher
	for _, s := range d.all {
		if !s.landing && s.order == nil || d.inHand(s) || s.phase == QueueReaped {
			continue
		}
		if s.landing && ipc.Front(s.spec.FD) == 0 {
			s.landing = false
			d.report(Landed{s.spec.Worker})
		}
		if o := s.order; o != nil && (int(s.back-o.start) >= o.count || o.open && ipc.Front(s.spec.FD) == 0) {
			d.report(MoveDone{s.spec.Worker, o.id, s.given()})
			s.order = nil
		}
	}
	if a.news.arriving {
		a.setBells() // from now on, or it is seen now
		if d.untried() == 0 && !d.holdsMoved() {
			a.news.arriving = false
			d.report(Arrived{})
		}
	}
	if a.news.parking && d.handful() == 0 {
		a.news.parking = false
		d.report(BatchEmpty{})
	}
}

// inHand reports whether the hand holds what a seat's worker gave back.
func (d *dispatcher) inHand(s *seat) bool { return d.from == s.spec.Slot && d.holdsMoved() }
