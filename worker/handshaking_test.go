package worker_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// halting is a client's socket that stops in the middle of its handshake: before its
// write of that number, counted from 1, or after a part of it.
type halting struct {
	net.Conn
	at, after int           // the write, and how many bytes of it are sent
	stopped   chan struct{} // closed when it has come so far
	goOn      chan struct{} // closed when it is to go on
	writes    int
}

func newHalting(conn net.Conn, at, after int) *halting {
	return &halting{Conn: conn, at: at, after: after, stopped: make(chan struct{}), goOn: make(chan struct{})}
}

func (c *halting) Write(b []byte) (int, error) {
	c.writes++
	if c.writes != c.at {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:min(c.after, len(b))])
	if err != nil {
		return n, err
	}
	close(c.stopped)
	<-c.goOn
	rest, err := c.Conn.Write(b[n:])
	return n + rest, err
}

// halt begins a handshake that stops so. finish has it go on, and returns its client.
func (c *client) halt(config *tls.Config, at, after int) (finish func() *client) {
	c.t.Helper()
	socket := newHalting(c.Conn, at, after)
	secure := tls.Client(socket, config)
	done := make(chan error, 1)
	go func() { done <- secure.Handshake() }()
	await(c.t, socket.stopped)
	goOn := sync.OnceFunc(func() { close(socket.goOn) })
	c.t.Cleanup(goOn)
	return func() *client {
		goOn()
		check(c.t, await(c.t, done))
		return &client{secure, c.t}
	}
}

// A connection moves with a part of its ClientHello, wherever it is cut.
func TestMoveInTheMiddleOfAClientHello(t *testing.T) {
	for _, after := range []int{0, 1, 4, 5, 6, 100, 1 << 20} {
		old, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
		next, _ := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
		c := old.connect()
		finish := c.halt(config, 1, after)
		if after == 1<<20 { // then the handshake begins in the old one, and goes with it
			secure := finish()
			secure.send("x")
			secure.expect("x")
			old.move(next)
			secure.send("y")
			secure.expect("y")
			check(t, secure.Close())
			continue
		}
		old.move(next)
		secure := finish()
		secure.send("x")
		secure.expect("x")
		next.expectCounts(1, 0, 0)
		check(t, secure.Close())
	}
}

// A worker without credentials refuses who has not shaken hands yet, and loses nobody: that
// is no state of a session. Who has goes on.
func TestMoveToWhereTLSIsGone(t *testing.T) {
	for _, after := range []int{0, 100} {
		old, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
		s := newSealed(t, 0)
		s.transports, s.secrets = []ipc.Transport{{Number: 7, TLS: true}}, nil
		sealing = s
		next := newRigWith(t, ipc.Hello{Protocol: ipc.Version}, worker.DataFunc(echo))
		sealing = nil
		c := old.connect()
		c.halt(config, 1, after)
		open := old.connect().secure(config)
		old.tell(ipc.Drain{Mode: ipc.DrainMove})
		old.route(next, 2)
		old.expectDrained()
		next.expectCounts(0, 0, 1)
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("after %d bytes: got %q, %v", after, got, err)
		}
		open.send("x")
		open.expect("x")
		next.until(func() bool { return next.entry.Closed.Load() == 1 })
		if lost := next.entry.Lost.Load(); lost > 0 {
			t.Errorf("after %d bytes: %d are lost", after, lost)
		}
		check(t, open.Close())
	}
}

// A handshake under way stays, nothing waits for it, and once it is done the connection
// moves.
func TestHandshakeUnderWayMovesAfterwards(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		h := newCounting()
		old, config := newPassing(t, ipc.Hello{}, withTLS, h)
		next, _ := newPassing(t, ipc.Hello{}, withTLS, h)
		config.MaxVersion = version
		finish := old.connect().halt(config, 2, 3) // before its Finished
		old.tell(ipc.Drain{Mode: ipc.DrainMove})
		await(t, old.messages) // Moved: all that can
		c := finish()
		old.route(next, 1)
		old.expectDrained()
		c.send("a line\n")
		c.expect("hello\n1 a line\n")
		old.expectCounts(1, 0, 0)
		check(t, c.Close())
	}
}

// What comes right behind the handshake, with its last record, is given to Data after
// Open. With TLS 1.2 a client has something to send then if it resumes.
func TestDataBehindTheHandshake(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		h := &collector{closed: make(chan error, 1), after: (*worker.Conn).Close}
		s, config := newPassing(t, ipc.Hello{}, ipc.Transport{TLS: true, Proxy: true, Trust: behindProxy.Trust}, h)
		config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		for _, join := range []bool{false, true} {
			c := s.connect()
			c.send(header1)
			joined := &joining{Conn: c.Conn, join: join}
			secure := &client{tls.Client(joined, config), t}
			large := strings.Repeat("much", 5000)
			secure.send(large)
			check(t, secure.Conn.(*tls.Conn).CloseWrite())
			check(t, joined.flush())
			secure.expect("got " + large)
			secure.expectEnd()
			check(t, c.Close())
			expectClose(t, h.closed, nil)
		}
	}
}

// joining is a socket whose writes, from the second on, are sent together if it joins.
type joining struct {
	net.Conn
	join   bool
	writes int
	kept   bytes.Buffer
}

func (c *joining) Write(b []byte) (int, error) {
	if c.writes++; c.join && c.writes > 1 {
		return c.kept.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *joining) flush() error {
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil { // CloseWrite has set one
		return err
	}
	_, err := c.Conn.Write(c.kept.Bytes())
	return err
}

// A client that goes on to send while its handshake waits for a place holds up nobody, and
// nothing is lost.
func TestMuchIsSentDuringTheHandshake(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
	var all sync.WaitGroup
	for range 8 {
		c := s.connect()
		all.Go(func() {
			secure := tls.Client(c.Conn, config)
			sent := bytes.Repeat([]byte("0123456789abcdef"), 20000)
			go func() {
				if _, err := secure.Write(sent); err != nil {
					t.Error(err)
				}
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(secure, got); err != nil || !bytes.Equal(got, sent) {
				t.Error(err)
			}
			_ = secure.Close() // the peer is done
		})
	}
	all.Wait()
}

// Whoever cannot shake hands is told so as far as TLS has a word for it, closed and counted.
func TestHandshakesRefused(t *testing.T) {
	alert := func(number uint8) func(*testing.T, []byte) {
		return func(t *testing.T, got []byte) {
			if len(got) != 7 || got[0] != 21 || got[5] != 2 || got[6] != number {
				t.Errorf("got %q, want alert %d", got, number)
			}
		}
	}
	isHTTP := func(t *testing.T, got []byte) {
		if want := "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"; string(got) != want {
			t.Errorf("got %q", got)
		}
	}
	nothing := func(t *testing.T, got []byte) {
		if len(got) > 0 {
			t.Errorf("got %q", got)
		}
	}
	tests := []struct {
		name, send string
		expect     func(*testing.T, []byte)
	}{
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", isHTTP},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", nothing},
		{"a wrong record", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", alert(50)},
		{"a record without end", "\x16\x03\x01\xff\xff", alert(22)},
		{"TLS 1.1", clientHello(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), alert(70)},
		{"only CBC", clientHello(func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}), alert(40)},
		{"another ALPN", clientHello(func(c *tls.Config) { c.NextProtos = []string{"other"} }), alert(120)},
		{"data", clientHello(func(*tls.Config) {}) + "\x17\x03\x03\x00\x05hello", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newPassing(t, ipc.Hello{}, withTLS, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
				t.Error("it was opened")
				return worker.DataFunc(echo), nil
			}), worker.WithALPN("ours"))
			c := s.connect()
			c.send(test.send)
			got, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			if test.expect != nil {
				test.expect(t, got)
			}
			check(t, c.Close())
			s.until(func() bool { return s.entry.Closed.Load() == 1 })
			s.expectCounts(0, 0, 1)
		})
	}
}

// A client that leaves within its ClientHello has failed; one that has not begun, such as a
// browser that connects in advance, has not.
func TestClientLeavesBeforeItsHandshake(t *testing.T) {
	for send, refused := range map[string]uint64{"": 0, "\x16": 1, "\x16\x03\x01\x02\x00\x01": 1} {
		s, _ := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo))
		c := s.connect()
		c.send(send)
		check(t, c.Close())
		s.until(func() bool { return s.entry.Closed.Load() == 1 })
		s.expectCounts(0, 0, refused)
	}
}

// clientHello returns what a client begins with.
func clientHello(change func(*tls.Config)) string {
	config := &tls.Config{ServerName: "server.test"}
	change(config)
	conn := &dictated{}
	_ = tls.Client(conn, config).Handshake() // it comes to an end at once
	return conn.sent.String()
}

// dictated is a connection that takes what is sent, and has its end.
type dictated struct {
	net.Conn
	sent bytes.Buffer
}

func (c *dictated) Write(b []byte) (int, error)      { return c.sent.Write(b) }
func (c *dictated) Read([]byte) (int, error)         { return 0, io.EOF }
func (c *dictated) SetDeadline(time.Time) error      { return nil }
func (c *dictated) SetReadDeadline(time.Time) error  { return nil }
func (c *dictated) SetWriteDeadline(time.Time) error { return nil }
func (c *dictated) Close() error                     { return nil }

// Clients that stop anywhere before Open cost others nothing, are bounded in time, and in
// number: the one that has waited longest goes first.
func TestHandshakesAreBounded(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		s, _ := newPassing(t, ipc.Hello{TLSHandshakeTimeoutMS: 200}, withTLS, worker.DataFunc(echo))
		const each = 50
		hello := clientHello(func(*tls.Config) {})
		for range each {
			s.connect()                      // says nothing
			s.connect().send("\x16\x03\x01") // stops in its ClientHello
			s.connect().send(hello)          // does not go on
		}
		s.expectCounts(0, 0, 3*each)
		s.until(func() bool { return s.entry.Closed.Load() == 3*each })
	})
	t.Run("in number", func(t *testing.T) {
		s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo), worker.WithMaxWaiting(3))
		var waiting []*client
		for range 3 {
			waiting = append(waiting, s.connect())
		}
		waiting[0].send("\x16") // that is no reason to wait for it longer
		secure := s.connect().secure(config)
		secure.send("x")
		secure.expect("x")
		if _, err := waiting[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the oldest: %v", err)
		}
		s.expectCounts(1, 0, 1)
		secure = waiting[1].secure(config)
		secure.send("y")
		secure.expect("y")
	})
}

// A client that sends so much of a ClientHello that its handshake begins, and then no more, is
// one of those that are waited for, too.
func TestHandshakesWithoutAWholeHelloAreBounded(t *testing.T) {
	s, config := newPassing(t, ipc.Hello{}, withTLS, worker.DataFunc(echo), worker.WithMaxWaiting(2))
	const record = 8 << 10
	begun := strings.Repeat("\x16\x03\x01\x20\x00"+"\x01\x00\xf0\x00"+strings.Repeat("x", record-4), 2)
	clients := []*client{s.connect(), s.connect(), s.connect()}
	for _, c := range clients {
		c.send(begun)
	}
	s.expectCounts(0, 0, 1) // the other two wait, or compute and will wait
	handshakes := uint64(0)
	for s.entry.HandshakesRefused.Load() < 2 { // while they compute they are not the oldest that wait
		if handshakes++; handshakes > 1000 {
			t.Fatal("two wait all the same")
		}
		secure := s.connect().secure(config)
		secure.send("x")
		secure.expect("x")
	}
	s.expectCounts(handshakes, 0, 2)
}
