package dispatch

import "net/netip"

// perIPLimiter counts connections by where they come from, for the limit of each
// client address. It needs to know when each one ends: workers send their ids.
//
// The zero value counts nothing. It belongs to the accept goroutine.
type perIPLimiter struct {
	limit   int                   // most connections from one prefix; 0: no limit, and nothing is counted
	counts  map[netip.Prefix]int  // of entries
	entries map[uint64]perIPEntry // by ConnID
}

// perIPEntry is a connection that counts.
type perIPEntry struct {
	prefix netip.Prefix
	queue  uint64 // serial of the queue it was last sent to; 0: of none yet
}

func newPerIPLimiter(limit int) perIPLimiter {
	if limit == 0 {
		return perIPLimiter{}
	}
	return perIPLimiter{limit: limit, counts: make(map[netip.Prefix]int), entries: make(map[uint64]perIPEntry)}
}

func (l *perIPLimiter) on() bool { return l.limit > 0 }

// prefixOf is what is counted as one client: an IPv4 address, or an IPv6
// network of 64 bits, which one client has whole.
func prefixOf(addr netip.Addr) netip.Prefix {
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

// admit counts a new connection, unless its prefix has as many as it may.
func (l *perIPLimiter) admit(id uint64, addr netip.Addr) bool {
	prefix := prefixOf(addr)
	if !l.on() || !prefix.IsValid() {
		return true
	}
	if l.counts[prefix] >= l.limit {
		return false
	}
	l.counts[prefix]++
	l.entries[id] = perIPEntry{prefix: prefix}
	return true
}

// sent notes which queue a connection was sent to.
func (l *perIPLimiter) sent(id, queue uint64) {
	if e, ok := l.entries[id]; ok {
		e.queue = queue
		l.entries[id] = e
	}
}

// forget forgets a connection that has ended. Ids that are not known, or not any
// more, are passed over.
func (l *perIPLimiter) forget(id uint64) {
	e, ok := l.entries[id]
	if !ok {
		return
	}
	delete(l.entries, id)
	if l.counts[e.prefix]--; l.counts[e.prefix] == 0 {
		delete(l.counts, e.prefix)
	}
}

// forgetQueue forgets all that were sent to a queue, whose worker is reaped.
func (l *perIPLimiter) forgetQueue(queue uint64) {
	for id, e := range l.entries {
		if e.queue == queue {
			l.forget(id)
		}
	}
}
