package dispatch

import (
	"math"
	"slices"
)

// This file is the accept goroutine's side of its greeters.

// hire starts the greeters, each with a socket of every listener that has one for
// it.
func (a *Acceptor) startSubacceptors() {
	for n, s := range a.subacceptors {
		var doors []listenSocket
		for _, l := range a.listeners {
			if n < len(l.More) {
				doors = append(doors, listenSocket{fd: l.More[n], listener: l})
			}
		}
		if len(doors) > 0 {
			s.start(doors)
		}
	}
}

// dismiss stops the greeters: what they have accepted is in the lobby or waits
// with them.
func (a *Acceptor) stopSubacceptors() {
	for _, s := range a.subacceptors {
		s.stop()
	}
}

// receive takes a batch from each greeter, as far as there is room, and reports
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

// receiveAll takes what greeters who are dismissed have left, as far as there is
// room for it.
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

// emptyLobby reports whether nothing is left in it.
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

// unplaced returns, and leaves where they are, those in the lobby and with greeters
// who are dismissed.
func (a *Acceptor) allPending() []pendingConn {
	all := slices.Clone(a.pending)
	for _, s := range a.subacceptors {
		all = append(all, s.peek()...)
	}
	return all
}

// turnAwayLobby closes, and counts, those for whom there is no room and will be
// none. The greeters are dismissed.
func (a *Acceptor) refusePending() {
	for _, s := range a.subacceptors {
		a.pending = s.take(a.pending, math.MaxInt)
	}
	for i := range a.pending {
		a.refuse(a.pending[i].fd, a.pending[i].accepted.Remote, "stopping")
	}
	a.pending = nil
}

// closeLobby closes what nobody has come to serve.
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

// anyWaiting reports whether a greeter's tray is not empty.
func (a *Acceptor) anyPending() bool {
	for _, s := range a.subacceptors {
		if s.anyAccepted() {
			return true
		}
	}
	return false
}
