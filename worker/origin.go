package worker

import "net/netip"

// place is where a connection came in: by which listener, at which address. Both are
// empty for one that was dialled.
type place struct {
	listener string
	local    netip.AddrPort
}

// origin is a place, and the transport that a connection's bytes pass. Plain connections
// of one place share an origin; a connection with a transport has its own. It does not
// change.
type origin struct {
	place
	transport transport // nil: none
}

// maxOrigins bounds what a stray sender could make the loop remember. A master's are as
// many as its listeners' addresses.
const maxOrigins = 1024

// originOf returns the origin that the plain connections of a place share.
func (l *loop) originOf(at place) *origin {
	if o := l.origins[at]; o != nil {
		return o
	}
	if l.origins == nil || len(l.origins) >= maxOrigins {
		l.origins = make(map[place]*origin)
	}
	o := &origin{place: at}
	l.origins[at] = o
	return o
}
