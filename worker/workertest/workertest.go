// Package workertest drives a worker's handler in a test: without a master, a
// network, another goroutine or time that passes by itself. The loop is the real
// one; the bytes go through a socket pair.
//
//	w := workertest.New(t, handler)
//	c := w.Connect()
//	c.Send("hel", "lo\n")         // one Data for each fragment
//	got := c.Received()           // what was written since
//	w.Advance(time.Minute)        // timeouts and timers that are due by then
//	closed, err := c.Closed()     // what Close of the session gets
//
// Each method returns when the worker has nothing left to do, work off the loop
// included. All are for one goroutine at a time, on which the loop then runs: a method
// of a worker.Conn called on another one panics (worker.ErrWrongGoroutine). A Streams
// handler needs no such thing: call its function with a listener of package net.
//
// For tests with real clients there is Serve: a whole worker in the test's process, which
// serves what a listener of package net accepts, with goroutines and a clock of its own.
// ServeTLS is the same with TLS.
package workertest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// The addresses that a handler sees: the first client's port is 1, and so on.
var (
	local  = netip.MustParseAddrPort("192.0.2.1:80")
	remote = netip.MustParseAddr("192.0.2.2")
)

// Worker is a worker that does something only within its methods and its clients'.
type Worker struct {
	t       testing.TB
	loop    forworkertest.Loop
	clients map[uint64]*Client
}

// New makes a worker, which ends with the test. Unless an option says otherwise it logs
// its warnings and errors by t.Log. Its hooks are called as those of any worker, Start and Ready by New
// and Stop at the end; its ticks, by Advance.
func New(t testing.TB, h worker.Handler, opts ...worker.Option) *Worker {
	t.Helper()
	w := &Worker{t: t, clients: make(map[uint64]*Client)}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: testLog{t}, DisableTime: true})
	opts = append([]worker.Option{worker.WithLogger(log)}, opts...)
	loop, err := forworkertest.New(h, opts, func(id uint64, cause error) {
		if c := w.clients[id]; c != nil { // else the handler has dialled it
			c.closed, c.cause = true, cause
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.loop = loop
	t.Cleanup(func() {
		loop.End()
		for _, c := range w.clients {
			c.release()
		}
	})
	return w
}

// testLog has a test print what is written, a line a call.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Helper()
	l.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// Connect makes a connection that comes by the listener without a name; the handler
// opens it.
func (w *Worker) Connect() *Client {
	w.t.Helper()
	return w.ConnectTo("")
}

// ConnectTo is Connect for a connection that comes by the listener of that name.
func (w *Worker) ConnectTo(listener string) *Client {
	w.t.Helper()
	return w.ConnectAs(Peer{Listener: listener})
}

// Peer is what a handler can learn of a connection.
type Peer struct {
	Listener      string           // by which it comes
	Remote, Local netip.AddrPort   // those that are not valid are made up
	TLS           *worker.TLSState // what Conn.TLS returns; nil: it has no TLS
	Proxy         *worker.Proxy    // what Conn.Proxy returns; nil: it had no PROXY header
}

// ConnectAs is Connect for a connection of that peer. What is sent and received is plain,
// with TLS too. The addresses of a PROXY header, unless it is local, are those of the
// connection.
func (w *Worker) ConnectAs(p Peer) *Client {
	w.t.Helper()
	id := uint64(len(w.clients) + 1)
	c := &Client{worker: w}
	w.clients[id] = c
	if p.Proxy != nil && !p.Proxy.Local {
		p.Remote, p.Local = p.Proxy.Source, p.Proxy.Destination
	}
	if !p.Remote.IsValid() {
		p.Remote = netip.AddrPortFrom(remote, uint16(id))
	}
	if !p.Local.IsValid() {
		p.Local = local
	}
	said := forworkertest.Connection{ID: id, Listener: p.Listener, Local: p.Local, Remote: p.Remote, TLS: p.TLS, Proxy: p.Proxy}
	var err error
	if c.fd, err = w.loop.Connect(said); err != nil {
		w.t.Fatal(err)
	}
	w.serve()
	return c
}

// Advance moves the clock on: what is due by then happens, with the lateness that
// worker.Conn.SetIdleTimeout states.
func (w *Worker) Advance(d time.Duration) {
	w.t.Helper()
	w.loop.Advance(d)
	w.serve()
}

// Drain asks every session to finish, as before the worker's end.
func (w *Worker) Drain() {
	w.t.Helper()
	w.loop.Drain()
	w.serve()
}

// serve lets the worker act and the clients read, until neither has anything to do.
func (w *Worker) serve() {
	w.t.Helper()
	for more := true; more; {
		if err := w.loop.Serve(); err != nil {
			w.t.Fatal(err)
		}
		more = false
		for _, c := range w.clients {
			more = c.read() || more
		}
	}
}

// Client is the other end of a connection. It reads at once all that is written.
type Client struct {
	worker   *Worker
	fd       int    // owned; -1 once closed
	received []byte // since the last call of Received
	ended    bool   // it has read the end
	closed   bool   // the worker has closed the connection
	cause    error  // if closed: what Close of the session got
}

// Send sends fragments, one after the other: the handler is given each before the
// next is sent. One of more than 64 KiB comes in parts.
func (c *Client) Send(fragments ...string) {
	c.worker.t.Helper()
	for _, fragment := range fragments {
		for len(fragment) > 0 && c.fd >= 0 {
			n, err := unix.SendmsgN(c.fd, []byte(fragment), nil, nil, unix.MSG_NOSIGNAL)
			if err == unix.EPIPE || err == unix.ECONNRESET {
				return // the worker has closed it, as Closed tells
			}
			if err != nil {
				c.worker.t.Fatalf("the worker does not read: %v", err)
			}
			fragment = fragment[n:]
			c.worker.serve()
		}
	}
}

// CloseWrite sends the end of the client's input.
func (c *Client) CloseWrite() {
	c.worker.t.Helper()
	_ = unix.Shutdown(c.fd, unix.SHUT_WR) // it may be closed
	c.worker.serve()
}

// Close closes the client's end.
func (c *Client) Close() {
	c.worker.t.Helper()
	c.release()
	c.worker.serve()
}

// Received returns what the worker has written since the last call.
func (c *Client) Received() string {
	got := string(c.received)
	c.received = nil
	return got
}

// Ended reports whether the worker has sent the end: it writes no more.
func (c *Client) Ended() bool { return c.ended }

// Closed reports whether the worker has closed the connection, and why: what
// Close of the session gets. After its own end (Ended) a worker waits, for two
// seconds, for the client's.
func (c *Client) Closed() (bool, error) { return c.closed, c.cause }

// read takes what has come, and reports whether there was anything.
func (c *Client) read() (some bool) {
	var buffer [64 << 10]byte
	for c.fd >= 0 && !c.ended {
		n, err := unix.Read(c.fd, buffer[:])
		if err == unix.EAGAIN {
			break
		}
		some = true
		if n <= 0 {
			c.ended = true
			break
		}
		c.received = append(c.received, buffer[:n]...)
	}
	return some
}

// release closes the descriptor, if it is open.
func (c *Client) release() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // a client that leaves
		c.fd = -1
	}
}
