package worker

import (
	"errors"
	"net"
)

// Streams is a Handler for code that was written for package net: serve is
// called once, on a goroutine of its own, with a listener whose Accept returns
// the connections of this worker as *net.TCPConn, or *net.UnixConn. They belong
// to the program: any goroutine may use them, and they may block. The loop never
// touches them; it counts them when they are closed. The worker's idle timeout
// is not theirs.
//
// Behind a listener with TLS or proxy=on, Accept returns a connection once its handshake is
// done and its PROXY header read; a client that is slow with those holds up no other. With
// TLS it is a *tls.Conn, so that a server of net/http sees the certificates, and speaks
// HTTP/2 to who has asked for it (WithALPN("h2", "http/1.1")). With a PROXY header alone it
// can all that a *net.TCPConn can, is none, and has a method NetConn, which returns that.
// RemoteAddr and LocalAddr are the header's; ProxyOf has the rest of it. Those that the
// server refuses, or that take too long, are closed and counted, and Accept does not
// return them.
//
// When the worker is to end, Accept returns the connections that have come so
// far, and then an error that is net.ErrClosed. The worker ends once serve has
// returned and every connection is closed; at the drain's deadline it closes
// those that are left: FIN first (of TLS, close_notify before it), a second later in any
// case, whatever SetLinger says. Until then a Close that lingers holds up its own
// goroutine alone. For HTTP, package httpworker ends idle connections in between, and
// loses no request:
//
//	worker.Main(worker.Streams(func(l net.Listener) error {
//		return httpworker.Serve(l, &http.Server{Handler: mux}, 2*time.Second)
//	}))
//
// A program that closes the listener, or whose serve returns nil, asks to end:
// the worker drains. If serve panics, or returns another error before Accept has
// ended, that is the error of Main and Run, at once. The listener's Addr is no
// address of a socket, since there may be several.
//
// What these connections read and write the runtime does not see: a *net.TCPConn is its
// program's alone, and by its close the kernel's own count of it is gone. So the worker's
// bytes, reads, buffers and HTTP requests, in usher status --json and /metrics, leave them
// out, and are 0 if there are no others. Accepts, closes, how long they waited, and handshakes
// are counted. A program that wants more has Counter.
//
// Closes are counted when they happen, by inotify(7): until the user has as many
// watches as it may (fs.inotify.max_user_watches), or without /proc. Then they are
// looked for, which finds them up to a second late, and counts a connection that was
// duplicated (File) when the original is closed. A warning says so.
func Streams(serve func(l net.Listener) error) Handler { return &streamHandler{serve} }

type streamHandler struct{ serve func(net.Listener) error }

var errNotOpened = errors.New("worker: Streams is to be the worker's handler, or ByListener's")

// Open makes it a Handler. It is called only if a program's own Handler wraps it, and
// then refuses the connection.
func (h *streamHandler) Open(*Conn) (Session, error) { return nil, errNotOpened }

// eachStreamHandler calls f for each Streams handler in h.
func eachStreamHandler(h Handler, f func(*streamHandler)) {
	switch h := h.(type) {
	case *streamHandler:
		f(h)
	case byListener:
		for _, h := range h {
			eachStreamHandler(h, f)
		}
	}
}

// movable reports whether any connection of h could move.
func movable(h Handler) bool {
	switch h := h.(type) {
	case *streamHandler:
		return false
	case byListener:
		for _, h := range h {
			if movable(h) {
				return true
			}
		}
		return false
	}
	return true
}
