package master

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// listenerChange is what a reload does to the listeners. Those added are owned
// by it until it is applied.
type listenerChange struct {
	added   []*listener
	removed []*listener
	names   map[*listener]string // of those that stay
	order   map[Address]int      // of their places in the configuration
	backlog int
}

// planListeners compares addresses with the listeners there are, and binds
// those that are new. One whose address has not changed keeps its socket, port
// 0 and inherited ones included. It looks up no name.
func (a *acceptor) planListeners(addresses []resolved, backlog int) (change listenerChange, err error) {
	old := make(map[Address][]*listener)
	a.do(func() {
		for _, l := range a.listeners {
			old[l.from.place()] = append(old[l.from.place()], l)
		}
	})
	change = listenerChange{names: make(map[*listener]string), order: make(map[Address]int), backlog: backlog}
	var fresh []resolved
	for i, address := range addresses {
		change.order[address.place()] = i
		kept, ok := old[address.place()]
		if !ok {
			fresh = append(fresh, address)
			continue
		}
		if address.Network == "systemd" || len(kept) == 1 {
			delete(old, address.place())
		} else { // the same address again, as port 0 may be
			kept, old[address.place()] = kept[:1], kept[1:]
		}
		for _, l := range kept {
			change.names[l] = address.Name
		}
	}
	for _, removed := range old {
		change.removed = append(change.removed, removed...)
	}
	change.added, err = listenAll(fresh, a.acceptors(), &inheritance{})
	return change, err
}

// apply puts a configuration in force, and takes over the listeners that are
// added. What already waits at a listener that is removed is accepted first, as
// far as there is room.
func (a *acceptor) apply(c *Config, change listenerChange) {
	a.do(func() {
		a.configure(c)
		a.dismiss()
		defer a.hire()
		a.watchListeners(false) // their tags are their places in the list
		a.ready = nil
		removed := make(map[*listener]bool)
		for _, l := range change.removed {
			removed[l] = true
			l.stopQueueing()
			a.takeBacklog(l)
			l.close()
		}
		kept := change.added
		for _, l := range a.listeners {
			if !removed[l] {
				kept = append(kept, l)
			}
		}
		slices.SortStableFunc(kept, func(l, m *listener) int {
			return change.order[l.from.place()] - change.order[m.from.place()]
		})
		a.listeners = kept
		for l, name := range change.names {
			if l.from.Network != "systemd" || name != "" {
				l.name = name
			}
		}
		a.setBacklog(change.backlog)
	})
}

// configure sets policy and limits.
func (a *acceptor) configure(c *Config) {
	a.limit(c)
	a.dispatcher.policy, a.dispatcher.byPeer = policies[c.Dispatch], c.Dispatch == "hash"
}

// setBacklog bounds how many clients wait in the kernel for each listener.
// listen(2) may be called again for that.
func (a *acceptor) setBacklog(n int) {
	for _, l := range a.listeners {
		for _, socket := range l.sockets() {
			if err := unix.Listen(socket, backlogOr(n)); err != nil {
				a.log.Warn("cannot change the backlog", "listener", l.address, "limit", n, "error", fmt.Errorf("listen: %w", err))
			}
		}
	}
}

// backlogOr returns n, or for 0 as many as the kernel allows: listen(2) cuts
// larger values to somaxconn.
func backlogOr(n int) int {
	if n == 0 {
		return 1<<31 - 1
	}
	return n
}
