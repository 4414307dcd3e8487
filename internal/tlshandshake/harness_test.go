package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// server does for one connection what a loop does, on a goroutine of its own, and
// echoes once the handshake is done.
type server struct {
	conn   net.Conn
	pool   *Pool
	config *tls.Config
	chunk  int           // bytes that are read at a time; 0: 64 KiB
	stop   int           // after as many reads and wakes the handshake is abandoned; 0: never
	wakes  chan struct{} // one at most
	came   chan []byte   // closed at the end of the input
	quit   chan struct{} // closed when serve returns
	result chan outcome  // one

	started chan *Handshake // nil, or it gets the handshake, for callbacks of its config
}

var errStopped = errors.New("abandoned by the test")

// outcome is what Result has returned.
type outcome struct {
	*Result
	err error
}

// serve begins to serve the other end of the connection that it returns, and ends that
// with the test.
func serve(t testing.TB, pool *Pool, config *tls.Config, chunk int) (*end, *server) {
	client, conn := newPair()
	return client, start(t, conn, &server{pool: pool, config: config, chunk: chunk})
}

// start begins to serve a connection, which the test's end closes.
func start(t testing.TB, conn net.Conn, s *server) *server {
	s.conn = conn
	s.wakes = make(chan struct{}, 1)
	s.came = make(chan []byte)
	s.quit = make(chan struct{})
	s.result = make(chan outcome, 1)
	if s.chunk == 0 {
		s.chunk = 64 << 10
	}
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		s.read()
	}()
	go func() {
		defer close(s.quit)
		defer conn.Close()
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-s.quit
		<-reader
	})
	return s
}

func (s *server) read() {
	defer close(s.came)
	buffer := make([]byte, s.chunk)
	for {
		n, err := s.conn.Read(buffer)
		if err != nil {
			return
		}
		select {
		case s.came <- bytes.Clone(buffer[:n]):
		case <-s.quit:
			return
		}
	}
}

func (s *server) wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

func (s *server) serve() {
	hello, err := s.hello()
	if err != nil {
		s.result <- outcome{nil, err}
		return
	}
	h := s.pool.Start(s.config, hello, memoryAddress("client"), memoryAddress("server"), s.wake)
	if s.started != nil {
		s.started <- h
	}
	result, err := s.shake(h)
	if err != nil {
		s.result <- outcome{nil, err}
		return
	}
	rest := bytes.Clone(result.Rest)
	s.result <- outcome{result, nil}
	s.echo(result, rest)
}

// hello reads until a handshake may start.
func (s *server) hello() ([]byte, error) {
	var raw []byte
	for b := range s.came {
		raw = append(raw, b...)
		whole, err := WholeHello(raw)
		if err != nil {
			s.conn.Write(err.(*Error).Answer())
			return nil, err
		}
		if whole {
			return raw, nil
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// shake feeds and sends until the handshake is done.
func (s *server) shake(h *Handshake) (*Result, error) {
	came := s.came
	for events := 1; ; events++ {
		if events == s.stop {
			h.Abandon()
			return nil, errStopped
		}
		select {
		case b, ok := <-came:
			if !ok {
				h.EOF()
				came = nil
			} else if !h.Feed(b) {
				came = nil
			}
		case <-s.wakes:
			came = s.came
			out, done := h.Take()
			s.conn.Write(out)
			if done {
				return h.Result()
			}
		}
	}
}

// echo sends back what comes, through the record layer.
func (s *server) echo(result *Result, raw []byte) {
	for {
		opened := result.Layer.Open(raw)
		s.conn.Write(result.Layer.Seal(opened.Reply, opened.Plain))
		if opened.Err != nil || opened.End {
			return
		}
		raw = raw[opened.Used:]
		b, ok := <-s.came
		if !ok {
			return
		}
		raw = append(raw, b...)
	}
}

// exchange has the client send something and get it back, twice.
func exchange(client *tls.Conn) error {
	for i := range 2 {
		sent := fmt.Appendf(nil, "message %d", i)
		if _, err := client.Write(sent); err != nil {
			return err
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(client, got); err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			return fmt.Errorf("got %q, want %q", got, sent)
		}
	}
	return nil
}

// connect does a handshake with a client of crypto/tls, and has it exchange messages.
// It fails the test if one of the ends fails.
func connect(t testing.TB, pool *Pool, config, client *tls.Config) (*tls.Conn, *Result) {
	t.Helper()
	conn, s := serve(t, pool, config, 0)
	return finish(t, s, tls.Client(conn, client))
}

// finish is the rest of connect.
func finish(t testing.TB, s *server, client *tls.Conn) (*tls.Conn, *Result) {
	t.Helper()
	if err := client.Handshake(); err != nil {
		t.Fatalf("client: %v", err)
	}
	got := <-s.result
	if got.err != nil {
		t.Fatalf("server: %v", got.err)
	}
	if err := exchange(client); err != nil {
		t.Fatalf("after the handshake: %v", err)
	}
	return client, got.Result
}

// refuse does a handshake that fails, and returns the errors of server and client. The
// client of TLS 1.3 may only learn of it when it reads.
func refuse(t testing.TB, config, client *tls.Config) (err *Error, clientErr error) {
	t.Helper()
	conn, s := serve(t, NewPool(1), config, 0)
	c := tls.Client(conn, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	conn.Close()
	got := <-s.result
	if got.err == nil {
		t.Fatal("the handshake has not failed")
	}
	return got.err.(*Error), clientErr
}
