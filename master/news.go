package master

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
		return nobody
	}
	return o.to
}

// given returns how many came back by the order and have not gone home.
func (s *seat) given() int { return int((s.back - s.order.start) - (s.home - s.order.home)) }

// land has landed told once nothing that a worker has given back is on its way.
func (a *acceptor) land(slot int) {
	a.do(func() {
		if s := a.dispatcher.find(slot); s != nil {
			s.landing = true
		}
	})
}

// arrive has arrived told once nothing is on its way to the generation on trial.
func (a *acceptor) arrive() { a.do(func() { a.news.arriving = true }) }

// order says who is to get what a worker gives back, so many, and has delivered
// told once they have it. The worker has no other order.
func (a *acceptor) order(slot int, id uint64, to, count int) {
	a.do(func() {
		if s := a.dispatcher.find(slot); s != nil {
			s.order = &seatOrder{id: id, to: to, count: count, start: s.back, home: s.home}
		}
	})
}

// ordered calls f with the seat of a slot that has the order.
func (a *acceptor) ordered(slot int, id uint64, f func(*seat)) {
	a.do(func() {
		if s := a.dispatcher.find(slot); s != nil && s.order != nil && s.order.id == id {
			f(s)
		}
	})
}

// answered takes a worker's word that it gives back so many by an order, and no
// more; negative: it did not say how many.
func (a *acceptor) answered(slot int, id uint64, given int) {
	a.ordered(slot, id, func(s *seat) {
		if given >= 0 {
			s.order.count = min(given, s.order.count) // more than asked for nobody gives
		} else {
			s.order.open = true
		}
	})
}

// given returns how many have come back by an order so far.
func (a *acceptor) given(slot int, id uint64) (n int) {
	a.ordered(slot, id, func(s *seat) { n = s.given() })
	return n
}

// forget ends an order.
func (a *acceptor) forget(slot int, id uint64) {
	a.ordered(slot, id, func(s *seat) { s.order = nil })
}

// tellNews tells what has become so.
func (a *acceptor) tellNews() {
	d := &a.dispatcher
	for _, seats := range [2][]*seat{d.seats, d.leaving} {
		for _, s := range seats {
			if !s.landing && s.order == nil || d.inHand(s) || s.phase == seatDead {
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
