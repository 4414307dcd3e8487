// Package forworkertest is how package worker/workertest drives a loop of package worker
// by hand, or has a whole worker in its process. It exists so that package worker need not
// export what that takes: worker sets New and Serve, and workertest, which programs import
// for their tests, calls them.
package forworkertest

import (
	"net/netip"
	"time"
)

// Loop is a worker's loop without a master, a goroutine or a clock of its own. It
// runs in the calling goroutine, one at a time, and only within these methods.
type Loop interface {
	// Connect gives the loop a connection, which the handler opens, and returns the
	// owned descriptor of its other end, a non-blocking stream socket.
	Connect(c Connection) (peer int, err error)
	// Serve serves until nothing is ready or due, and no work is outstanding.
	Serve() error
	// Advance moves the clock on.
	Advance(d time.Duration)
	// Drain asks all sessions to finish, those that come afterwards too.
	Drain()
	// End closes all connections, and the loop.
	End()
}

// Connection is what a handler can learn of a connection.
type Connection struct {
	ID            uint64
	Listener      string
	Local, Remote netip.AddrPort
	TLS           any // *worker.TLSState, which this package cannot name; nil: no TLS
	Proxy         any // *worker.Proxy, likewise; nil: no PROXY header
}

// New makes a loop for a worker.Handler and []worker.Option, which this package cannot
// name. Package worker sets it before main begins. closed is called within the methods
// of Loop, for each connection that ended, with its cause.
var New func(handler, options any, closed func(id uint64, cause error)) (Loop, error)

// Worker is a whole worker in this process, with a clock, and goroutines of its own. Any
// goroutine may call its methods.
type Worker interface {
	// Adopt hands it an accepted, non-blocking socket, for a connection of that listener and
	// those addresses; it numbers them itself. It takes ownership of fd, even on error. It
	// blocks while too many wait.
	Adopt(c Connection, fd int) error
	// Drain has the connections finish, for no longer than deadline; 0: without limit. It
	// does not wait for that.
	Drain(deadline time.Duration) error
	// Wait waits until it has ended, and returns its error.
	Wait() error
	// Close stops it, if it has not ended, waits until it has, and returns its error. It is
	// called once.
	Close() error
}

// TLS is what the connections of a Worker are taken over TLS by.
type TLS struct {
	Secrets          []byte        // as package credentials encodes them
	HandshakeTimeout time.Duration // rounded up to a millisecond; 0: the worker's own
}

// Serve starts a worker for a worker.Handler and []worker.Option. tls is of all its
// connections, and is borrowed; nil: they are plain. Package worker sets it before main
// begins.
var Serve func(handler, options any, tls *TLS) (Worker, error)
