package dispatch

import "net/netip"

// census counts connections by where they come from, for the limit of each
// client address. It needs to know when each one ends: a worker sends their ids.
//
// The zero value counts nothing. It belongs to the accept goroutine.
type census struct {
	limit     int // most connections from one origin; 0: no limit, and nothing is counted
	origins   map[netip.Prefix]int
	residents map[uint64]resident // by ConnID
}

type resident struct {
	origin netip.Prefix
	seat   uint64 // serial of the seat it was last sent to; 0: of none yet
}

func newCensus(limit int) census {
	if limit == 0 {
		return census{}
	}
	return census{limit: limit, origins: make(map[netip.Prefix]int), residents: make(map[uint64]resident)}
}

func (c *census) on() bool { return c.limit > 0 }

// originOf is what is counted as one client: an IPv4 address, or an IPv6
// network of 64 bits, which one client has whole.
func originOf(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // of a Unix socket: they are not limited
	}
	return prefix
}

// admit counts a new connection, unless its origin has as many as it may.
func (c *census) admit(id uint64, addr netip.Addr) bool {
	origin := originOf(addr)
	if !c.on() || !origin.IsValid() {
		return true
	}
	if c.origins[origin] >= c.limit {
		return false
	}
	c.origins[origin]++
	c.residents[id] = resident{origin: origin}
	return true
}

// sent notes which seat a connection was sent to.
func (c *census) sent(id, seat uint64) {
	if r, ok := c.residents[id]; ok {
		r.seat = seat
		c.residents[id] = r
	}
}

// gone forgets a connection that has ended. Ids that are not known, or not any
// more, are passed over.
func (c *census) gone(id uint64) {
	r, ok := c.residents[id]
	if !ok {
		return
	}
	delete(c.residents, id)
	if c.origins[r.origin]--; c.origins[r.origin] == 0 {
		delete(c.origins, r.origin)
	}
}

// evict forgets all that were at a seat whose worker is dead.
func (c *census) evict(seat uint64) {
	for id, r := range c.residents {
		if r.seat == seat {
			c.gone(id)
		}
	}
}
