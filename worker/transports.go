package worker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/internal/proxyheader"
	"github.com/usher-go/usher/internal/tlshandshake"
)

// transports is what a loop knows of what the bytes of its connections pass. The zero
// value knows of nothing, and all connections are plain. It does not change once the loop
// has started, so any goroutine may read it; only the keys of tickets are replaced, within
// the configurations, which are made for that.
type transports struct {
	passages    map[uint8]*passage       // by the transport number of an envelope; nil: it has gone
	credentials *credentials.Credentials // nil: the master has given none
	pool        *tlshandshake.Pool       // where handshakes compute; nil: there is no TLS
	// handshakeTime is how long a connection may take until its Open, from its taking in.
	handshakeTime time.Duration

	// In tests alone. wrap makes a transport for a connection that is to be opened, or
	// returns nil; thaw makes one of what freeze has appended in another worker.
	wrap func(at place, dialled bool) transport
	thaw func(state []byte) (transport, error)
}

// passage is what the bytes of connections of one transport number pass, from the socket
// on. It does not change.
type passage struct {
	proxied bool           // a PROXY header comes first
	trust   []netip.Prefix // whose header is believed
	// config is what TLS handshakes begin with, of a server; nil: there is no TLS. The
	// keys of its tickets are the present ones. It is cloned, and never changed.
	config *tls.Config
}

// trusts reports whether a PROXY header of that peer, by the address of the socket, is
// believed.
func (p *passage) trusts(peer netip.Addr) bool { return proxyheader.Trusted(peer, p.trust) }

// forPlace returns the transport of a new connection, in tests, or nil.
func (t *transports) forPlace(at place, dialled bool) transport {
	if t.wrap == nil {
		return nil
	}
	return t.wrap(at, dialled)
}

// maxComputing is how many handshakes compute at a time. There is a worker for each
// processor, as a rule, and its loop wants that too.
const maxComputing = 2

var (
	// errTransport: the master has sent what it has not announced.
	errTransport = errors.New("worker: the connection's transport was not announced by the master")
	// errTransportGone: a reload has left no listener with TLS, and this worker has no
	// credentials.
	errTransportGone = errors.New("worker: no listener has TLS any more")
)

// passage returns what the connections of a transport number pass; nil, of number 0:
// nothing.
func (t *transports) passage(number uint8) (*passage, error) {
	if number == 0 {
		return nil, nil
	}
	p, announced := t.passages[number]
	switch {
	case !announced:
		return nil, fmt.Errorf("%w: number %d", errTransport, number)
	case p == nil:
		return nil, errTransportGone
	}
	return p, nil
}

// caHash tells the CAs by which clients are verified now from others; zero: there are none.
func (t *transports) caHash() (hash [8]byte) {
	if t.credentials != nil {
		hash = t.credentials.CAHash()
	}
	return hash
}

// errUnverified: a moved connection's client would not be let in any more.
var errUnverified = errors.New("worker: the client's certificate is refused by the present CAs")

// verify verifies a client that other CAs have let in, or none, by those that clients are
// verified by now. Without any, or without credentials, it is let in as it is.
func (t *transports) verify(f *tlsFacts) error {
	if hash := t.caHash(); hash == f.caHash || hash == [8]byte{} {
		return nil
	}
	if err := t.credentials.VerifyClient(f.PeerCertificates); err != nil {
		return fmt.Errorf("%w: %w", errUnverified, err)
	}
	return nil
}
