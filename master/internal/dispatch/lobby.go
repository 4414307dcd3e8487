package dispatch

import (
	"math"
	"slices"
)

// This file is the accept goroutine's side of its greeters.

// hire starts the greeters, each with a socket of every listener that has one for
// it.
func (a *Acceptor) hire() {
	for n, g := range a.greeters {
		var doors []door
		for _, l := range a.listeners {
			if n < len(l.More) {
				doors = append(doors, door{fd: l.More[n], listener: l})
			}
		}
		if len(doors) > 0 {
			g.start(doors)
		}
	}
}

// dismiss stops the greeters: what they have accepted is in the lobby or waits
// with them.
func (a *Acceptor) dismiss() {
	for _, g := range a.greeters {
		g.stop()
	}
}

// receive takes a batch from each greeter, as far as there is room, and reports
// whether there was for all that was taken.
func (a *Acceptor) receive() bool {
	for _, g := range a.greeters {
		if !a.emptyLobby() {
			return false
		}
		a.lobby = g.take(a.lobby, a.batch)
	}
	return a.emptyLobby()
}

// receiveAll takes what greeters who are dismissed have left, as far as there is
// room for it.
func (a *Acceptor) receiveAll() {
	a.dispatcher.capacity = a.dispatcher.measure()
	a.settle()
	for a.receive() {
		if !a.anyWaiting() {
			return
		}
		a.dispatcher.capacity = a.dispatcher.measure()
	}
}

// emptyLobby reports whether nothing is left in it.
func (a *Acceptor) emptyLobby() bool {
	for len(a.lobby) > 0 {
		switch n := min(a.quota(), len(a.lobby)); {
		case n > 0:
			for i := range a.lobby[:n] {
				a.welcome(&a.lobby[i].accepted, a.lobby[i].fd)
			}
			a.scheduling.Came(n, a.clock.Now())
			a.lobby = append(a.lobby[:0], a.lobby[n:]...)
			a.settle()
		case a.turnsAway():
			for i := range a.lobby {
				a.refuse(a.lobby[i].fd, a.lobby[i].accepted.Remote, "overload")
			}
			a.lobby = a.lobby[:0]
		default:
			return false
		}
	}
	return true
}

// unplaced returns, and leaves where they are, those in the lobby and with greeters
// who are dismissed.
func (a *Acceptor) unplaced() []arrival {
	all := slices.Clone(a.lobby)
	for _, g := range a.greeters {
		all = append(all, g.show()...)
	}
	return all
}

// turnAwayLobby closes, and counts, those for whom there is no room and will be
// none. The greeters are dismissed.
func (a *Acceptor) turnAwayLobby() {
	for _, g := range a.greeters {
		a.lobby = g.take(a.lobby, math.MaxInt)
	}
	for i := range a.lobby {
		a.refuse(a.lobby[i].fd, a.lobby[i].accepted.Remote, "stopping")
	}
	a.lobby = nil
}

// closeLobby closes what nobody has come to serve.
func (a *Acceptor) closeLobby() {
	for _, arrival := range a.lobby {
		closeConn(arrival.fd)
	}
	a.lobby = nil
	for _, g := range a.greeters {
		g.stop()
		g.close()
	}
	a.greeters = nil
}

// anyWaiting reports whether a greeter's tray is not empty.
func (a *Acceptor) anyWaiting() bool {
	for _, g := range a.greeters {
		if g.waiting() {
			return true
		}
	}
	return false
}
