package listen

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// Change is what a reload does to the listeners: planned and bound while the old ones
// serve, put in force in one go, or dropped. Those added are owned by it until then.
// The zero value changes nothing but the backlog, and keeps every listener.
type Change struct {
	Added   []*Listener
	Removed []*Listener

	kept    map[*Listener]Address // as they are called from now on
	order   map[Address]int       // of their places in the configuration
	backlog int
}

// Plan compares addresses with the listeners there are, and binds those that are
// new. A listener stays that is written as before, port 0 and inherited ones
// included, or is bound to what another spelling means; one whose file is gone is
// made anew. It looks up no name, and changes nothing of held, which are borrowed. It
// blocks as Unix does.
func Plan(s Settings, held []*Listener) (Change, error) {
	change := Change{kept: make(map[*Listener]Address), order: make(map[Address]int), backlog: s.Backlog}
	old := make(map[Address][]*Listener)
	for _, l := range held {
		old[l.From.place()] = append(old[l.From.place()], l)
	}
	var respelled, fresh []Resolved // not written as before; and of those, not bound by any of held
	for i, address := range s.Addresses {
		change.order[address.place()] = i
		kept, ok := old[address.place()]
		if !ok {
			respelled = append(respelled, address)
			continue
		}
		if address.Network == "systemd" {
			delete(old, address.place())
		} else if kept, old[address.place()] = cutPort(kept, address.Address); len(old[address.place()]) == 0 {
			delete(old, address.place())
		}
		for _, l := range kept {
			change.kept[l] = address.Address
		}
	}
	for _, address := range respelled {
		if missing, ok := change.keepBound(address, held); ok {
			fresh = append(fresh, missing)
		}
	}
	for _, l := range held {
		address, stays := change.kept[l]
		if stays && l.lostFile() {
			delete(change.kept, l)
			fresh, stays = append(fresh, Resolved{Address: address}), false
		}
		if !stays {
			change.Removed = append(change.Removed, l)
		}
	}
	var err error
	change.Added, err = openAll(Settings{Addresses: fresh, Sockets: s.Sockets}, &Passed{}, held)
	return change, err
}

// keepBound keeps those of held that are bound to what an address means. It returns what
// of the address is still to be bound: nothing, all of it, or the one of its two that is
// missing, at the other's port.
func (c *Change) keepBound(address Resolved, held []*Listener) (missing Resolved, ok bool) {
	one := c.find(address, held)
	if one != nil {
		c.kept[one] = address.Address
	}
	if !address.also.IsValid() {
		return address, one == nil
	}
	first, second := address, address
	first.also, second.also = netip.AddrPort{}, netip.AddrPort{}
	second.bind = address.also
	if one != nil {
		second = second.atPort(one.Bound.Port())
	}
	other := c.find(second, held)
	switch {
	case other != nil:
		c.kept[other] = address.Address
		missing = first.atPort(other.Bound.Port())
	case one != nil:
		missing = second
	default:
		return address, true
	}
	missing.Address, missing.half = address.Address, true
	return missing, one == nil || other == nil
}

// find returns the listener of held that is bound to what an address asks for, and not
// kept for another; nil: there is none.
func (c *Change) find(address Resolved, held []*Listener) *Listener {
	for _, l := range held {
		if _, taken := c.kept[l]; !taken && l.is(address) {
			return l
		}
	}
	return nil
}

// atPort returns an address that is to be at a port, in the place of its own or any.
func (r Resolved) atPort(port uint16) Resolved {
	r.Port, r.bind = port, netip.AddrPortFrom(r.bind.Addr(), port)
	return r
}

// cutPort returns the listeners that have the port of one, and the others: of the same
// address written again, as with port 0 it may be. That one is the likeliest to be meant:
// written with the same name and options, else with TLS or without as well, else the first.
func cutPort(listeners []*Listener, address Address) (cut, rest []*Listener) {
	one := listeners[0]
	for _, alike := range []func(l *Listener) bool{
		func(l *Listener) bool { return l.From.Transport.TLS == address.Transport.TLS },
		func(l *Listener) bool { return l.From == address },
	} {
		if i := slices.IndexFunc(listeners, alike); i >= 0 {
			one = listeners[i]
		}
	}
	for _, l := range listeners {
		if l.Bound.Port() == one.Bound.Port() {
			cut = append(cut, l)
		} else {
			rest = append(rest, l)
		}
	}
	return cut, rest
}

// Apply returns the listeners there are from now on, in the order of the
// configuration: those that stay of held, with the names and the modes that they are
// written with now, and those added, which the caller owns from now on. It does not
// close those removed, which is left to the caller. What cannot be changed is logged.
func (c Change) Apply(held []*Listener, log hclog.Logger) []*Listener {
	for l, address := range c.kept {
		if err := l.update(address); err != nil {
			log.Warn("cannot change a socket's mode", "listener", l.Address, "mode", fmt.Sprintf("%04o", l.mode()), "error", err)
		}
	}
	listeners := slices.Clone(c.Added)
	for _, l := range held {
		if !slices.Contains(c.Removed, l) {
			listeners = append(listeners, l)
		}
	}
	slices.SortStableFunc(listeners, func(l, m *Listener) int {
		return c.order[l.From.place()] - c.order[m.From.place()]
	})
	SetBacklog(listeners, c.backlog, log)
	return listeners
}

// update gives a listener that stays the name and the mode that it is written with
// now.
func (l *Listener) update(address Address) error {
	if address.Network != "systemd" || address.Name != "" {
		l.Name = address.Name
	}
	before := l.From.Mode
	l.From = address
	if l.file.isNone() || address.Mode == before {
		return nil
	}
	return l.file.setMode(l.mode())
}

// mode returns what mode the file of a Unix socket is to have.
func (l *Listener) mode() fs.FileMode {
	if l.From.Mode != 0 {
		return l.From.Mode
	}
	return 0o777 &^ umask()
}
