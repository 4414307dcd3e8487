package worker

import "net/netip"

// Proxy is what a proxy in front has said of a connection, by a header of the PROXY
// protocol, at a listener with proxy=on. The addresses in it are those of RemoteAddr and
// LocalAddr too.
type Proxy struct {
	Version int // of the header: 1 or 2
	// Local says that the header had no addresses: the connection is the proxy's own, for
	// a health check, or its client has none. RemoteAddr and LocalAddr are the socket's.
	Local       bool
	Source      netip.AddrPort // the client; not valid if Local
	Destination netip.AddrPort // what the client has connected to; likewise
	TLVs        []ProxyTLV     // further facts, of version 2, in their order
}

// ProxyTLV is one further fact in a header of version 2, as the PROXY protocol's
// section 2.2 lists them by type: ALPN, the name that the client asked for, an id. The
// checksum, which has been verified, is among them; padding is not.
type ProxyTLV struct {
	Type  byte
	Value []byte
}
