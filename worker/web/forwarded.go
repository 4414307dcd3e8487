package web

import (
	"net/http"
	"net/netip"
)

// credit sets r.RemoteAddr, which is the peer's address, or, if the peer is a trusted
// proxy, the client's that it speaks for.
func (p *parser) credit(r *http.Request, peer netip.AddrPort) {
	if !peer.IsValid() {
		r.RemoteAddr = "@" // as net/http tells a client of a Unix socket
		return
	}
	r.RemoteAddr = peer.String()
}
