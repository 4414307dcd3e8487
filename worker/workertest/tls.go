package workertest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/worker"
)

// TLS is what a server of ServeTLS proves itself with, and what it wants of its clients.
// worker.WithALPN has the protocols that it offers.
type TLS struct {
	// Certificates, with keys of RSA, ECDSA or Ed25519 in memory. A client gets one by the
	// name that it asks for, else the first; there is one at least. They are not looked at
	// for their dates, so that a test may have one that has expired.
	Certificates []tls.Certificate
	// ClientCAs are those of which a client must show a certificate; none: it needs none.
	ClientCAs []*x509.Certificate
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0: the former.
	MinVersion uint16
	// HandshakeTimeout bounds the time until a connection's Open; 0: 10 seconds.
	HandshakeTimeout time.Duration
}

// ServeTLS is Serve on a listener of tls://: all connections are taken over TLS before
// Open, by the worker's own handshakes and record layer, as under usher serve. The worker
// is given certificates and keys as a master gives them. Conn.TLS tells a handler what a
// handshake has come to.
func ServeTLS(t testing.TB, l net.Listener, h worker.Handler, with TLS, opts ...worker.Option) *Server {
	t.Helper()
	c, err := credentials.FromPairs(with.Certificates, with.ClientCAs, with.MinVersion)
	if err != nil {
		_ = l.Close() // it was to be the server's
		t.Fatal(err)
	}
	secrets := credentials.Encode(c, credentials.NewTicketKeys(time.Now()))
	defer credentials.Wipe(secrets)
	return serve(t, l, h, &forworkertest.TLS{Secrets: secrets, HandshakeTimeout: with.HandshakeTimeout}, opts)
}
