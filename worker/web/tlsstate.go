package web

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/usher-go/usher/worker"
)

// keyless is a state whose ExportKeyingMaterial returns an error. That of a zero one, which
// nobody but package tls can set, panics.
var keyless = tls.Client(nil, &tls.Config{Renegotiation: tls.RenegotiateFreelyAsClient}).ConnectionState()

// connectionState returns what net/http's handlers expect in Request.TLS. It is made of
// what moves along with a connection, so that it is the same before and after a move. The
// keys of the handshake do not: ExportKeyingMaterial returns an error, and TLSUnique is
// nil.
func connectionState(s worker.TLSState) *tls.ConnectionState {
	state := keyless
	state.Version = s.Version
	state.HandshakeComplete = true
	state.DidResume = s.Resumed
	state.CipherSuite = s.CipherSuite
	state.NegotiatedProtocol = s.ALPN
	state.ServerName = s.ServerName
	state.PeerCertificates = s.PeerCertificates
	state.TLSUnique = nil
	if len(s.PeerCertificates) > 0 {
		state.VerifiedChains = [][]*x509.Certificate{s.PeerCertificates}
	}
	return &state
}
