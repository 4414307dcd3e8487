package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// credit sets r.RemoteAddr: to the peer's address or, if the peer is a trusted proxy, to
// the client's that it speaks for. Of the addresses that proxies have named, each of them
// that by which it was reached, the rightmost counts that is no trusted proxy's; if all
// are, the leftmost. The first that is malformed or hidden, and what is to the left of it,
// counts for nothing. A port that no proxy has named is 0, so that RemoteAddr is
// "address:port" as ever.
//
// A peer that is not trusted loses the lines by which a proxy speaks, so that a handler
// which finds X-Forwarded-Proto or X-Forwarded-Host knows that a trusted one has let it
// pass. r.Host, r.URL and r.TLS are of the connection, whatever those lines say. A client
// of a Unix socket is trusted once any proxy is: the socket's mode says who may be one.
func (p *parser) credit(r *http.Request, peer netip.AddrPort) {
	if len(p.trusted) > 0 {
		if peer.IsValid() && !p.trusts(peer.Addr()) {
			for _, name := range forwardedHeaders {
				delete(r.Header, name)
			}
		} else {
			peer = p.client(r, peer)
		}
	}
	if !peer.IsValid() {
		r.RemoteAddr = "@" // as net/http has it of a client of a Unix socket
		return
	}
	r.RemoteAddr = peer.String()
}

var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"}

func (p *parser) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, prefix := range p.trusted {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client walks from the peer, a trusted proxy, to the client.
func (p *parser) client(r *http.Request, peer netip.AddrPort) netip.AddrPort {
	name := "X-Forwarded-For"
	if p.forwarded {
		name = "Forwarded"
	}
	lines := r.Header[name]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var element string
			rest, element, more = cutLastElement(rest)
			if p.forwarded {
				element = forParameter(element)
			}
			hop, ok := parseHop(element)
			if !ok {
				return peer
			}
			if peer = hop; !p.trusts(hop.Addr()) {
				return peer
			}
		}
	}
	return peer
}

// cutLastElement cuts the last element off a list by commas. A comma within quotes is
// found as well: what is cut there is malformed, and ends the walk.
func cutLastElement(list string) (rest, element string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", strings.Trim(list, " \t"), false
	}
	return list[:i], strings.Trim(list[i+1:], " \t"), true
}

// forParameter returns the value of an element's for (RFC 7239, section 4), without its
// quotes; empty if there is none, or more than one.
func forParameter(element string) (value string) {
	for pair := range strings.SplitSeq(element, ";") {
		name, v, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if value != "" {
			return ""
		}
		value = v
	}
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value
}

// parseHop reads an address, of IPv6 with or without brackets, with or without a port.
// A name, "unknown" and "_hidden" (RFC 7239, section 6) are none.
func parseHop(s string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 0), strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]")
	}
	ap, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), err == nil
}
