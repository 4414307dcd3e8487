package dispatch

import (
	"math"
	"slices"
)

// This file is the accept goroutine's side of its subacceptors: connections are pending
// from when one of those has accepted them until there is room for them.

// startSubacceptors starts them, each with a socket of every listener that has one for
// it.
func (a *Acceptor) startSubacceptors() {
	for n, s := range a.subacceptors {
		var sockets []listenSocket
		for _, l := range a.listeners {
			if n < len(l.More) {
				sockets = append(sockets, listenSocket{fd: l.More[n], listener: l})
			}
		}
		if len(sockets) > 0 {
			s.start(sockets)
		}
	}
}

// stopSubacceptors stops them. What they have accepted stays with them until it is
// taken.
func (a *Acceptor) stopSubacceptors() {
	for _, s := range a.subacceptors {
		s.stop()
	}
}

// takePending takes a batch from each subacceptor, as far as there is room, and reports
// whether there was for all that was taken.
func (a *Acceptor) takePending() bool {
	for _, s := range a.subacceptors {
		if !a.admitPending() {
			return false
		}
		a.pending = s.take(a.pending, a.atOnce)
	}
	return a.admitPending()
}

// takeAllPending takes all from subacceptors that are stopped, as far as there is room
// for it.
func (a *Acceptor) takeAllPending() {
	a.dispatcher.capacity = a.dispatcher.measure()
	a.placeAll()
	for a.takePending() {
		if !a.anyPending() {
			return
		}
		a.dispatcher.capacity = a.dispatcher.measure()
	}
}

// admitPending lets in what was taken, or turns it away, and reports whether nothing is
// left of it.
func (a *Acceptor) admitPending() bool {
	for len(a.pending) > 0 {
		switch n := min(a.quota(), len(a.pending)); {
		case n > 0:
			for i := range a.pending[:n] {
				a.admit(&a.pending[i].accepted, a.pending[i].fd)
			}
			a.scheduling.Came(n, a.clock.Now())
			a.pending = append(a.pending[:0], a.pending[n:]...)
			a.placeAll()
		case a.turnsAway():
			for i := range a.pending {
				a.refuse(a.pending[i].fd, a.pending[i].accepted.Remote, "overload")
			}
			a.pending = a.pending[:0]
		default:
			return false
		}
	}
	return true
}

// allPending returns all, and leaves them where they are. The subacceptors are stopped.
func (a *Acceptor) allPending() []pendingConn {
	all := slices.Clone(a.pending)
	for _, s := range a.subacceptors {
		all = append(all, s.peek()...)
	}
	return all
}

// refusePending closes, and counts, those for whom there is no room and will be none.
// The subacceptors are stopped.
func (a *Acceptor) refusePending() {
	for _, s := range a.subacceptors {
		a.pending = s.take(a.pending, math.MaxInt)
	}
	for i := range a.pending {
		a.refuse(a.pending[i].fd, a.pending[i].accepted.Remote, "stopping")
	}
	a.pending = nil
}

// closePending closes those that are left when the master ends, and the subacceptors.
func (a *Acceptor) closePending() {
	for _, conn := range a.pending {
		closeConn(conn.fd)
	}
	a.pending = nil
	for _, s := range a.subacceptors {
		s.stop()
		s.close()
	}
	a.subacceptors = nil
}

// anyPending reports whether a subacceptor has accepted something that was not taken yet.
func (a *Acceptor) anyPending() bool {
	for _, s := range a.subacceptors {
		if s.anyAccepted() {
			return true
		}
	}
	return false
}
