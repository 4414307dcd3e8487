package master

import (
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// This file is the listeners, as the supervisor owns them and the accept goroutine is
// given them.

// dispatchSettings are the part of a configuration that the accept goroutine acts on.
func (c *Config) dispatchSettings() dispatch.Settings {
	return dispatch.Settings{
		Policy: c.Dispatch, MaxConns: c.MaxConns, MaxConnsPerIP: c.MaxConnsPerIP, AcceptRate: c.AcceptRate,
		CloseOverLimit: c.Overload == OverloadClose,
	}
}

// listenSettings are the part of a configuration that the listeners have.
func (c *Config) listenSettings(addresses []listen.Resolved, sockets int) listen.Settings {
	return listen.Settings{Addresses: addresses, Sockets: sockets, Backlog: c.Backlog}
}

// toAccept lends the sockets of listeners to the accept goroutine.
func toAccept(listeners []*listen.Listener) []dispatch.Listener {
	lent := make([]dispatch.Listener, len(listeners))
	for i, l := range listeners {
		lent[i] = dispatch.Listener{Name: l.Name, Address: l.Address, Bound: l.Bound, FD: l.FD, More: l.More, Shared: l.From.Network == "systemd"}
	}
	return lent
}

// socketsOf returns how many sockets each TCP address is to have, one for each
// goroutine that accepts: as many as asked for, and no fewer than a listener has
// already, which an upgrade may have brought.
func socketsOf(acceptors int, listeners []*listen.Listener) int {
	n := acceptors
	for _, l := range listeners {
		n = max(n, len(l.Sockets()))
	}
	return n
}

// applyListeners puts the configuration in force at the accept goroutine, with the
// listeners of a reload.
func (s *supervisor) applyListeners(change listen.Change) {
	s.listeners = change.Apply(s.listeners, s.log)
	s.dispatch.Configure(s.config.dispatchSettings(), toAccept(s.listeners))
	listen.CloseAll(change.Removed)
}

// closeListeners ends accepting.
func (s *supervisor) closeListeners() {
	s.dispatch.CloseListeners()
	listen.CloseAll(s.listeners)
	s.listeners = nil
}
