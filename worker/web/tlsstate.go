package web

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/usher-go/usher/worker"
)

// connectionState returns what net/http's handlers expect in Request.TLS. It is made of
// what moves along with a connection, so that it is the same before and after a move. The
// keys of the handshake do not: ExportKeyingMaterial returns an error, and TLSUnique is
// nil.
func connectionState(s worker.TLSState) *tls.ConnectionState {
	state := &tls.ConnectionState{
		Version:            s.Version,
		HandshakeComplete:  true,
		DidResume:          s.Resumed,
		CipherSuite:        s.CipherSuite,
		NegotiatedProtocol: s.ALPN,
		ServerName:         s.ServerName,
		PeerCertificates:   s.PeerCertificates,
	}
	if len(s.PeerCertificates) > 0 {
		state.VerifiedChains = [][]*x509.Certificate{s.PeerCertificates}
	}
	return state
}
