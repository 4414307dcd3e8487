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
	kept    map[*listener]Address // as they are called from now on
	order   map[Address]int       // of their places in the configuration
	backlog int
}

// planListeners compares addresses with the listeners there are, and binds
// those that are new. A listener stays that is written as before, port 0 and
// inherited ones included, or is bound to what another spelling means; one whose
// file is gone is made anew. It looks up no name.
func (a *acceptor) planListeners(addresses []resolved, backlog int) (listenerChange, error) {
	change := listenerChange{kept: make(map[*listener]Address), order: make(map[Address]int), backlog: backlog}
	var held []*listener
	a.do(func() { held = slices.Clone(a.listeners) })
	old := make(map[Address][]*listener)
	for _, l := range held {
		old[l.from.place()] = append(old[l.from.place()], l)
	}
	var respelled, fresh []resolved
	for i, address := range addresses {
		change.order[address.place()] = i
		kept, ok := old[address.place()]
		if !ok {
			respelled = append(respelled, address)
			continue
		}
		if address.Network == "systemd" {
			delete(old, address.place())
		} else if kept, old[address.place()] = cutPort(kept); len(old[address.place()]) == 0 {
			delete(old, address.place())
		}
		for _, l := range kept {
			change.kept[l] = address.Address
		}
	}
	for _, address := range respelled {
		free := func(l *listener) bool { _, taken := change.kept[l]; return !taken && l.is(address) }
		if i := slices.IndexFunc(held, free); i >= 0 {
			change.kept[held[i]] = address.Address
		} else {
			fresh = append(fresh, address)
		}
	}
	for _, l := range held {
		address, stays := change.kept[l]
		if stays && l.lostFile() {
			delete(change.kept, l)
			fresh, stays = append(fresh, resolved{Address: address}), false
		}
		if !stays {
			change.removed = append(change.removed, l)
		}
	}
	var err error
	change.added, err = listenAll(fresh, a.acceptors(), &inheritance{}, held...)
	return change, err
}

// cutPort returns the listeners that have the first one's port, and the others: of
// the same address written again, as with port 0 it may be.
func cutPort(listeners []*listener) (first, rest []*listener) {
	for _, l := range listeners {
		if l.addr.Port() == listeners[0].addr.Port() {
			first = append(first, l)
		} else {
			rest = append(rest, l)
		}
	}
	return first, rest
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
		for l, address := range change.kept {
			a.call(l, address)
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
		a.setBacklog(change.backlog)
	})
}

// call gives a listener that stays the name and the mode that it is written with
// now.
func (a *acceptor) call(l *listener, address Address) {
	if address.Network != "systemd" || address.Name != "" {
		l.name = address.Name
	}
	before := l.from.Mode
	l.from = address
	if l.file == nil || address.Mode == before {
		return
	}
	mode := address.Mode
	if mode == 0 {
		mode = 0o777 &^ umask()
	}
	if err := l.file.setMode(mode); err != nil {
		a.log.Warn("cannot change a socket's mode", "listener", l.address, "mode", fmt.Sprintf("%04o", mode), "error", err)
	}
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
