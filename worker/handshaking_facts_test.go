package worker_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// A session goes on with another worker's ticket, and has what was agreed on and verified
// when it began.
func TestTicketsResumeAtAnyWorker(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			seen := make(chan worker.TLSState, 10)
			h := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				state, ok := c.TLS()
				if !ok {
					t.Error("no TLS")
				}
				seen <- state
				return worker.DataFunc(echo), nil
			})
			cache := tls.NewLRUClientSessionCache(1)
			for i := range 3 {
				s, config := newPassing(t, ipc.Hello{}, withTLS, h, worker.WithALPN("one", "two"))
				config.MaxVersion, config.ClientSessionCache, config.NextProtos = version, cache, []string{"three", "two"}
				c := s.connect().secure(config)
				c.send("x")
				c.expect("x")
				got, client := await(t, seen), c.Conn.(*tls.Conn).ConnectionState()
				want := worker.TLSState{
					Version: version, CipherSuite: client.CipherSuite, ALPN: "two", ServerName: "server.test", Resumed: i > 0,
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || client.DidResume != want.Resumed {
					t.Errorf("%+v, want %+v", got, want)
				}
				if i == 1 { // they are renewed for the next one
					s.sayWithMemory(ipc.TicketKeys{}, credentials.EncodeTicketKeys(testTicketKeys()))
				}
				next, _ := newPassing(t, ipc.Hello{}, withTLS, h)
				s.move(next)
				c.send("y")
				c.expect("y")
				if got := await(t, seen); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("moved: %+v, want %+v", got, want)
				}
				check(t, c.Close())
			}
		})
	}
}

// New ticket keys hold from when they came: what they do not open is a full handshake.
func TestTicketKeysAreRenewed(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	connect := func(resumed bool) {
		t.Helper()
		c := s.connect().secure(config)
		c.send("x")
		c.expect("x")
		if got := c.Conn.(*tls.Conn).ConnectionState().DidResume; got != resumed {
			t.Errorf("resumed: %v", got)
		}
		check(t, c.Close())
	}
	connect(false)
	connect(true)
	s.sayWithMemory(ipc.TicketKeys{}, credentials.EncodeTicketKeys(credentials.NewTicketKeys(time.Now())))
	s.say(ipc.Move{}) // is answered when that was heard
	next[ipc.Moved](s)
	connect(false)
	connect(true)
	s.sayWithMemory(ipc.TicketKeys{}, []byte("no keys")) // those that there are stay
	s.say(ipc.Move{})
	next[ipc.Moved](s)
	connect(true)
}

// newVerifying is newPassing with TLS, for clients whose certificates the CA has signed;
// nil: that need none.
func newVerifying(t *testing.T, ca *certtest.CA, h worker.Handler) (*rig, *tls.Config) {
	t.Helper()
	file := ""
	if ca != nil {
		file, _ = ca.Write(t, t.TempDir(), "ca")
	}
	s := newSealed(t, 0)
	s.secrets = credentials.Encode(testCredentials(t, file), testTicketKeys())
	sealing = s
	defer func() { sealing = nil }()
	r := newRig(t, h)
	s.client.MaxVersion = tls.VersionTLS12 // in which a client hears of it within its handshake
	return r, s.client
}

// Clients' certificates are verified by the CAs of their time, and once more where those
// are others: a client that would not be let in any more is told so and closed, and is
// not lost.
func TestClientCertificates(t *testing.T) {
	first, second := certtest.NewCA(t, "first"), certtest.NewCA(t, "second")
	pair := first.Issue(t, certtest.Want{Names: []string{"client.test"}, Client: true})
	h := worker.DataFunc(whoIsThere)
	connect := func(s *rig, config *tls.Config) *client {
		t.Helper()
		c := s.connect().secure(config)
		c.send("?")
		return c
	}
	refused := func(s *rig, c *client, want string) {
		t.Helper()
		if _, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		check(t, c.Conn.(*tls.Conn).NetConn().Close())
		s.until(func() bool { return s.entry.Closed.Load() == 1 })
		if s.entry.Lost.Load() > 0 || s.entry.HandshakesRefused.Load() != 1 {
			t.Errorf("%d lost, %d refused", s.entry.Lost.Load(), s.entry.HandshakesRefused.Load())
		}
	}
	t.Run("with one", func(t *testing.T) {
		s, config := newVerifying(t, first, h)
		config.Certificates = []tls.Certificate{pair.TLS()}
		c := connect(s, config)
		c.expect("client.test\n")
		for _, ca := range []*certtest.CA{first, nil, first, second} {
			to, _ := newVerifying(t, ca, h)
			s.move(to)
			if s = to; ca == second {
				break
			}
			c.send("?")
			c.expect("client.test\n")
		}
		refused(s, c, "bad certificate")
	})
	t.Run("without", func(t *testing.T) {
		s, config := newVerifying(t, nil, h)
		c := connect(s, config)
		c.expect("nobody\n")
		to, _ := newVerifying(t, first, h)
		s.move(to)
		refused(to, c, "bad certificate")
	})
	t.Run("with another's", func(t *testing.T) {
		s, config := newVerifying(t, second, h)
		config.Certificates = []tls.Certificate{pair.TLS()}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &config.Certificates[0], nil }
		plain := s.connect()
		if err := tls.Client(plain.Conn, config).Handshake(); err == nil {
			t.Error("it was let in")
		}
		check(t, plain.Close())
		s.expectCounts(0, 0, 1)
	})
	t.Run("resumed", func(t *testing.T) {
		s, config := newVerifying(t, first, h)
		config.Certificates, config.ClientSessionCache = []tls.Certificate{pair.TLS()}, tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			c := connect(s, config)
			c.expect("client.test\n")
			check(t, c.Close())
			s.expectCounts(uint64(i+1), uint64(i), 0)
		}
		s, again := newVerifying(t, second, h) // whose CA has not signed it: the ticket does not resume
		again.ClientSessionCache = config.ClientSessionCache
		plain := s.connect()
		if err := tls.Client(plain.Conn, again).Handshake(); err == nil {
			t.Error("it was let in")
		}
		check(t, plain.Close())
		s.expectCounts(0, 0, 1)
	})
}

// whoIsThere answers with the name in the client's certificate.
func whoIsThere(c *worker.Conn, in []byte) (int, error) {
	state, _ := c.TLS()
	name := "nobody"
	if len(state.PeerCertificates) > 0 {
		name = state.PeerCertificates[0].DNSNames[0]
	}
	_, err := fmt.Fprintln(c, name)
	return len(in), err
}
