package tlshandshake

import (
	"crypto/tls"
	"errors"
	"testing"
)

// recorded is what a client sends in a handshake, record by record, to a server that
// answers it.
func recorded(t testing.TB, config, client *tls.Config) (records [][]byte) {
	t.Helper()
	conn, s := serve(t, NewPool(1), config, 0)
	c := &copying{end: conn}
	finish(t, s, tls.Client(c, client))
	for b := c.sent; len(b) > 0; b = b[recordLength(b):] {
		records = append(records, b[:recordLength(b)])
	}
	return records
}

// copying keeps what a client sends.
type copying struct {
	*end
	sent []byte
}

func (c *copying) Write(p []byte) (int, error) {
	c.sent = append(c.sent, p...)
	return c.end.Write(p)
}

// TestAbandonAtEveryStep: before and after each wake and each piece of a handshake, with a
// place and without. TestMain sees that no goroutine is left.
func TestAbandonAtEveryStep(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		pool := NewPool(1)
		stopped := 0
		for ; ; stopped++ {
			conn, end := newPair()
			s := start(t, end, &server{pool: pool, config: withCA(root()), chunk: 200, stop: 1 + stopped})
			client := tls.Client(conn, withCertificate(version, root()))
			go client.Handshake() // fails, or the end of the test ends it
			if got := <-s.result; got.err == nil {
				break
			} else if got.err != errStopped {
				t.Error(got.err)
			}
		}
		if stopped < 4 {
			t.Errorf("abandoned at %d steps", stopped)
		}
		connect(t, pool, serverConfig(ecdsaKey()), clientConfig(version)) // and the place is free
	})
}

// TestAbandonQueued: a handshake without a place is given up where it stands, begun or not.
func TestAbandonQueued(t *testing.T) {
	pool := NewPool(1)
	config := serverConfig(ecdsaKey())
	hello := clientHello(t, clientConfig(tls.VersionTLS13))
	begun := hold(t, pool, config, hello)
	begun.flight()
	computing, leave := make(chan struct{}), make(chan struct{})
	slow := config.Clone()
	slow.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(computing)
		<-leave
		return nil, errors.New("a callback's error")
	}
	blocked := hold(t, pool, slow, hello)
	<-computing
	fresh := hold(t, pool, config, hello)
	begun.EOF()
	fresh.Abandon()
	begun.Abandon()
	if pool.first != nil {
		t.Error("one is queued")
	}
	blocked.Abandon()
	close(leave)
	connect(t, pool, config, clientConfig(tls.VersionTLS13))
	for _, h := range []*held{begun, fresh, blocked} {
		if len(h.wakes) != 0 {
			t.Error("woken after it was abandoned")
		}
	}
}

// TestEOF: the end of the input at every byte of a handshake is an error, and no goroutine
// stays.
func TestEOF(t *testing.T) {
	pool := NewPool(1)
	config := serverConfig(ecdsaKey())
	records := recorded(t, config, clientConfig(tls.VersionTLS12))
	hello := records[0]
	for n := range records[1] {
		h := hold(t, pool, config, hello)
		h.flight()
		h.Feed(records[1][:n])
		h.EOF()
		if _, done := h.taken(); !done {
			t.Fatal("not done")
		}
		if _, err := h.Result(); err.(*Error).Reason != Closed {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}
