package dispatch

import (
	"math"
	"slices"
)

// This file is the accept goroutine's side of its subacceptors: connections are pending
// from when one of those has accepted them until there is room for them.

// startSubacceptors starts them, each with a socket of every listener that has one for
// it.
func (g *acceptGoroutine) startSubacceptors() {
	for n, s := range g.subacceptors {
		var sockets []listenSocket
		for _, l := range g.listeners {
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
func (g *acceptGoroutine) stopSubacceptors() {
	for _, s := range g.subacceptors {
		s.stop()
	}
}

// takePending takes a batch from each subacceptor and admits it, as far as there is room.
// It reports whether there was room for all that was taken.
func (g *acceptGoroutine) takePending() bool {
	for _, s := range g.subacceptors {
		if !g.admitPending() {
			return false
		}
		g.pending = s.take(g.pending, g.atOnce)
	}
	return g.admitPending()
}

// takeAllPending takes all from subacceptors that are stopped, as far as there is room
// for it.
func (g *acceptGoroutine) takeAllPending() {
	g.dispatcher.capacity = g.dispatcher.measure()
	g.placeAll()
	for g.takePending() {
		if !g.anyPending() {
			return
		}
		g.dispatcher.capacity = g.dispatcher.measure()
	}
}

// admitPending lets in what was taken, or turns it away, and reports whether nothing is
// left of it.
func (g *acceptGoroutine) admitPending() bool {
	for len(g.pending) > 0 {
		switch n := min(g.quota(), len(g.pending)); {
		case n > 0:
			for i := range g.pending[:n] {
				g.admit(&g.pending[i].accepted, g.pending[i].fd)
			}
			g.scheduling.Came(n, g.clock.Now())
			g.pending = append(g.pending[:0], g.pending[n:]...)
			g.placeAll()
		case g.turnsAway():
			for i := range g.pending {
				g.refuse(g.pending[i].fd, g.pending[i].accepted.Remote, refusedOverload)
			}
			g.pending = g.pending[:0]
		default:
			return false
		}
	}
	return true
}

// allPending returns all, and leaves them where they are. The subacceptors are stopped.
func (g *acceptGoroutine) allPending() []pendingConn {
	all := slices.Clone(g.pending)
	for _, s := range g.subacceptors {
		all = append(all, s.peek()...)
	}
	return all
}

// refusePending closes, and counts, those for whom there is no room and will be none.
// The subacceptors are stopped.
func (g *acceptGoroutine) refusePending() {
	for _, s := range g.subacceptors {
		g.pending = s.take(g.pending, math.MaxInt)
	}
	for i := range g.pending {
		g.refuse(g.pending[i].fd, g.pending[i].accepted.Remote, refusedAtTheStop)
	}
	g.pending = nil
}

// closePending closes what is left when the accept goroutine ends, and the subacceptors.
func (g *acceptGoroutine) closePending() {
	for _, conn := range g.pending {
		closeConn(conn.fd)
	}
	g.pending = nil
	for _, s := range g.subacceptors {
		s.stop()
		s.close()
	}
	g.subacceptors = nil
}

// anyPending reports whether a subacceptor has accepted something that was not taken yet.
func (g *acceptGoroutine) anyPending() bool {
	for _, s := range g.subacceptors {
		if s.anyAccepted() {
			return true
		}
	}
	return false
}
