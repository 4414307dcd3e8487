package proxyheader

import "net/netip"

// Trusted reports whether a header from peer is to be believed: if one of the networks
// contains it. A peer that has no IP address, as one on a Unix socket, is trusted: who may
// open that is a matter of its file's mode. No networks trust nobody else.
//
// An IPv4 address in an IPv6 one, of a peer or a network, is that IPv4 address; so ::/0
// contains no peer that came by IPv4. A zone is ignored: fe80::/10 trusts all links.
func Trusted(peer netip.Addr, networks []netip.Prefix) bool {
	if !peer.IsValid() {
		return true
	}
	peer = peer.Unmap().WithZone("")
	for _, network := range networks {
		if unmapped(network).Contains(peer) {
			return true
		}
	}
	return false
}

// mappedBits is the length of the prefix of IPv4 addresses within IPv6 ones (RFC 4291,
// section 2.5.5.2).
const mappedBits = 96

func unmapped(network netip.Prefix) netip.Prefix {
	if network.Addr().Is4In6() && network.Bits() >= mappedBits {
		return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mappedBits)
	}
	return network
}
