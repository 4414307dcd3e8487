// Package proxyheader reads the header by which a proxy says for whom a connection is:
// the PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt). It is pure:
// its caller has the bytes, waits for more, and closes what is refused.
//
//	n, err := proxyheader.Length(buffered)
//	switch {
//	case err != nil: // no header, and none will come: close
//	case n == 0: // wait for more, as long as the caller likes
//	default:
//		header, err := proxyheader.Parse(buffered[:n]) // what follows is the client's
//	}
//
// The headers are parsed by github.com/pires/go-proxyproto, over exactly the bytes of
// one. Where the specification leaves a choice:
//
//   - What a LOCAL header of version 2 has in it is ignored, its family and any checksum
//     too; so is what follows UNKNOWN in version 1.
//   - A family without IP addresses (UNSPEC, Unix sockets) is taken as if there were no
//     addresses, not refused; its TLVs are read.
//   - UDP is taken as TCP is: the addresses are the client's.
//   - A checksum (CRC32c) is verified; more than one is refused. Padding (NOOP) is dropped.
//   - An IPv4 address in an IPv6 one (::ffff:1.2.3.4) is that IPv4 address; one without
//     that prefix in a line of TCP6 is refused, as is anything else that the
//     specification does not allow: zones, signs, zeros that lead, ports over 65,535.
//
// Who may send a header is Trusted's to say: who is believed may claim any address.
package proxyheader

import "net/netip"

// Header is what a header says.
type Header struct {
	Version int // 1 or 2
	// Local says that there are no addresses: the proxy's own connection (a health check),
	// or one whose client has no IP address. Those of the socket hold.
	Local bool
	// Source is the client, Destination what it has connected to. They are not valid if
	// Local. Neither is an IPv4 address in an IPv6 one, and neither has a zone.
	Source, Destination netip.AddrPort
	TLVs                []TLV // of version 2, in their order; without padding
}

// TLV is one further fact in a header of version 2 (section 2.2). Its types are in the
// specification; some have more TLVs in their value.
type TLV struct {
	Type  byte
	Value []byte // never shared with the header that was parsed
}
