package worker_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// newPassing starts a rig whose new connections pass what transport says. Its clients are
// plain, for the test to shake hands by the configuration that is returned.
func newPassing(t *testing.T, hello ipc.Hello, transport ipc.Transport, h worker.Handler, opts ...worker.Option) (*rig, *tls.Config) {
	t.Helper()
	s := newSealed(t, 0)
	transport.Number = 7
	s.transports = []ipc.Transport{transport}
	if !transport.TLS {
		s.secrets = nil
	}
	hello.Protocol = ipc.Version
	sealing = s
	defer func() { sealing = nil }()
	return newRigWith(t, hello, h, opts...), s.client
}

var withTLS = ipc.Transport{TLS: true}

// secure shakes hands on a client's end.
func (c *client) secure(config *tls.Config) *client {
	c.t.Helper()
	conn := tls.Client(c.Conn, config)
	check(c.t, conn.Handshake())
	return &client{conn, c.t}
}

// expectCounts wants so many of the worker's counters.
func (s *rig) expectCounts(handshakes, resumed, refused uint64) {
	s.t.Helper()
	s.until(func() bool {
		return s.entry.Handshakes.Load() >= handshakes && s.entry.HandshakesRefused.Load() >= refused
	})
	if h, r, f := s.entry.Handshakes.Load(), s.entry.Resumed.Load(), s.entry.HandshakesRefused.Load(); h != handshakes || r != resumed || f != refused {
		s.t.Errorf("%d handshakes, %d resumed, %d refused; want %d, %d, %d", h, r, f, handshakes, resumed, refused)
	}
}

// Accept returns a *tls.Conn after its handshake, and what both ends send passes.
func TestStreamTLS(t *testing.T) {
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 7)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			type facts struct {
				state         tls.ConnectionState
				remote, local string
			}
			seen := make(chan facts, 2)
			s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(func(conn net.Conn) {
				secure := conn.(*tls.Conn)
				seen <- facts{secure.ConnectionState(), conn.RemoteAddr().String(), conn.LocalAddr().String()}
				streamEcho(conn)
				check(t, secure.CloseWrite())
			}), worker.WithALPN("first", "second"))
			config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			config.NextProtos = []string{"second"}
			for i := range 2 {
				plain := s.connect()
				c := plain.secure(config)
				go func() {
					_, err := c.Write(sent)
					if err := errors.Join(err, c.Conn.(*tls.Conn).CloseWrite()); err != nil {
						t.Error(err)
					}
				}()
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, %v: not what was sent", len(got), err)
				}
				f := await(t, seen)
				if !f.state.HandshakeComplete || f.state.Version != version || f.state.NegotiatedProtocol != "second" ||
					f.state.ServerName != "server.test" || f.state.DidResume != (i > 0) {
					t.Errorf("%+v", f.state)
				}
				if f.remote != plain.LocalAddr().String() || f.local != s.address {
					t.Errorf("from %s to %s", f.remote, f.local)
				}
				check(t, plain.Close())
				s.expectCounts(uint64(i+1), uint64(i), 0)
			}
			s.untilEven(2)
		})
	}
}

// Who says nothing, or stops anywhere in its handshake, holds up nobody.
func TestStreamTLSSlowClients(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(streamEcho))
	const each = 20
	for range each {
		s.connect()
		s.connect().send("\x16\x03\x01\x02")
		deaf := s.connect()
		go func() { _ = tls.Client(stopping{deaf.Conn}, config).Handshake() }() // it fails
	}
	secure := s.connect().secure(config)
	secure.send("x")
	secure.expect("x")
	check(t, secure.Close())
	s.until(func() bool { return s.entry.Closed.Load() == 1 })
	s.expectCounts(1, 0, 0)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	s.wait()
	check(t, s.err)
	s.untilEven(3*each + 1)
}

// stopping is a client's connection from which nothing is read.
type stopping struct{ net.Conn }

func (stopping) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (stopping) Close() error             { return nil }

// Who does not shake hands is refused, counted, and told why; Accept does not return it.
func TestStreamTLSRefuses(t *testing.T) {
	tests := []struct {
		name    string
		send    func(c *client, config *tls.Config)
		answer  string // what the client gets, or its beginning
		refused uint64
	}{
		{"nothing", func(c *client, _ *tls.Config) { c.closeWrite() }, "", 0},
		{"a reset", func(c *client, _ *tls.Config) { c.reset() }, "", 0},
		{"half of a hello", func(c *client, _ *tls.Config) { c.send("\x16\x03\x01\x02"); c.closeWrite() }, "", 1},
		{"HTTP", func(c *client, _ *tls.Config) {
			c.send("POST / HTTP/1.1\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100)) // more than is read
		}, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", 1},
		{"junk", func(c *client, _ *tls.Config) { c.send("hello, world") }, "", 1},
		{"an old version", func(c *client, config *tls.Config) {
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			_ = tls.Client(stopping{c.Conn}, config).Handshake() // it fails
		}, "\x15\x03", 1},
		{"another protocol", func(c *client, config *tls.Config) {
			config.NextProtos = []string{"other"}
			_ = tls.Client(stopping{c.Conn}, config).Handshake() // it fails
		}, "\x15\x03", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(func(net.Conn) { t.Error("it was accepted") }), worker.WithALPN("ours"))
			c := s.connect()
			test.send(c, config)
			got, _ := io.ReadAll(c)
			if !strings.HasPrefix(string(got), test.answer) || test.answer == "" && len(got) > 0 {
				t.Errorf("got %q, want %q", got, test.answer)
			}
			_ = c.Close() // it may have been reset
			s.untilEven(1)
			s.expectCounts(0, 0, test.refused)
		})
	}
}

// A handshake has its time, and is refused after that; what comes afterwards has all time.
func TestStreamTLSTimeout(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{TLSHandshakeTimeoutMS: 100}, withTLS, goroutinePer(streamEcho))
	late := uint64(0)
	var done *tls.Conn
	for done == nil { // this machine may be slow
		conn := tls.Client(s.connect().Conn, config)
		if conn.Handshake() == nil {
			done = conn
		} else {
			late++
		}
	}
	silent, half := s.connect(), s.connect()
	half.send("\x16\x03\x01\x02")
	silent.expectEnd()
	half.expectEnd()
	late += 2
	s.until(func() bool { return s.entry.Closed.Load() == late })
	s.expectCounts(1, 0, late)
	c := &client{done, t}
	c.send("x")
	c.expect("x")
}

// For a newcomer the oldest of those that wait for their peers is closed.
func TestStreamTLSCrowd(t *testing.T) {
	const most = 3
	s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(streamEcho), worker.WithMaxWaiting(most))
	var all []*client
	for range 3 * most {
		c := s.connect()
		c.send("\x16\x03\x01\x02")
		all = append(all, c)
		if len(all) > most {
			all[0].expectEnd()
			all = all[1:]
		}
	}
	c := s.connect().secure(config)
	c.send("x")
	c.expect("x")
	all[0].expectEnd()
	s.until(func() bool { return s.entry.Closed.Load() == 2*most+1 })
	s.expectCounts(1, 0, 2*most+1)
}

// A handshake that is under way when the drain begins is served, and so is what it leads
// to; Accept ends after that.
func TestStreamTLSDrain(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(streamEcho))
	c := s.connect()
	s.until(func() bool { return s.entry.Received.Load() == 1 })
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	secure := c.secure(config)
	secure.send("x")
	secure.expect("x")
	check(t, secure.Close())
	s.wait()
	check(t, s.err)
	s.untilEven(1)
}

// What ends all ends those that have not come to Accept, too, wherever they are.
func TestStreamTLSEnds(t *testing.T) {
	ends := []struct {
		name string
		end  func(s *rig, l net.Listener)
	}{
		{"a deadline", func(s *rig, _ net.Listener) { s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1}) }},
		{"a stop", func(s *rig, _ net.Listener) { s.tell(ipc.Stop{}) }},
		{"the program", func(s *rig, l net.Listener) {
			check(s.t, l.Close())
			next[ipc.Draining](s)
		}},
	}
	for _, test := range ends {
		t.Run(test.name, func(t *testing.T) {
			listener, accept := make(chan net.Listener, 1), make(chan struct{})
			s, config := newPassing(t, ipc.Hello{}, withTLS, worker.Streams(func(l net.Listener) error {
				listener <- l
				<-accept
				return nil
			}))
			silent, half, ready := s.connect(), s.connect(), s.connect()
			half.send("\x16\x03\x01\x02")
			secure := ready.secure(config)
			s.expectCounts(1, 0, 0)
			test.end(s, await(t, listener))
			silent.expectEnd()
			half.expectEnd()
			secure.expectEnd()
			close(accept)
			s.wait()
			check(t, s.err)
			s.untilEven(3)
			s.expectCounts(1, 0, 0)
		})
	}
}

// What Accept has returned is the program's, whenever the listener is closed.
func TestStreamTLSAcceptedThenClosed(t *testing.T) {
	for range 10 {
		s, config := newPassing(t, ipc.Hello{}, withTLS, worker.Streams(func(l net.Listener) error {
			conn, err := l.Accept()
			check(t, err)
			check(t, l.Close())
			streamEcho(conn)
			check(t, conn.Close())
			return nil
		}))
		c := s.connect().secure(config)
		next[ipc.Draining](s)
		c.send("x")
		c.expect("x")
		check(t, c.Close())
		s.wait()
		check(t, s.err)
	}
}

// recording keeps the header of the last record that was read.
type recording struct {
	net.Conn
	in bytes.Buffer
}

func (c *recording) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Write(b[:n])
	return n, err
}

// last returns the type of the last record.
func (c *recording) last() (kind byte) {
	for in := c.in.Bytes(); len(in) >= 5; in = in[5+int(in[3])<<8+int(in[4]):] {
		kind = in[0]
	}
	return kind
}

// A connection that the drain's deadline ends tells its peer so, before FIN.
func TestStreamTLSEndIsTold(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, goroutinePer(streamEcho))
	config.MaxVersion = tls.VersionTLS12 // in 1.3 alerts look as data does
	c := s.connect()
	record := &recording{Conn: c.Conn}
	c.Conn = record
	secure := c.secure(config)
	secure.send("x")
	secure.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	secure.expectEnd()
	if kind := record.last(); kind != 21 {
		t.Errorf("the last record is of type %d, want an alert", kind)
	}
	s.wait()
	check(t, s.err)
}

// A connection that passes what the master has not announced is closed.
func TestStreamOfUnknownTransport(t *testing.T) {
	s := newRig(t, goroutinePer(func(net.Conn) { t.Error("it was accepted") }))
	s.transport = 9
	s.connect().expectEnd()
	s.untilEven(1)
}
