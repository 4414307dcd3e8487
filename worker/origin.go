package worker

import "net/netip"

// place is where a connection came in: by which listener, at which address, and which
// transport its bytes are to pass. All are empty for one that was dialled.
type place struct {
	listener string
	local    netip.AddrPort // or, by a PROXY header, what the client has connected to
	number   uint8          // of the transport (ipc.Envelope), 0: plain
}

// origin is a place, what a connection passes and what was learned of it on that way.
// Plain connections of one place share an origin; one that passes something has its own, and
// shares the place unless a PROXY header has told another. It does not change once the
// connection is open.
type origin struct {
	*place
	transport transport // nil: none
	tls       *tlsFacts // nil: no TLS
	proxy     *Proxy    // nil: no PROXY header
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
	o := &origin{place: &at}
	l.origins[at] = o
	return o
}
