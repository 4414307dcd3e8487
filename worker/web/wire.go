package web

import (
	"bufio"
	"errors"
	"net"
	"os"
	"time"
)

// wire takes the bytes of one response to its connection. On a handler's goroutine it is
// the pipe to the loop; on the loop, for Inline, it is the connection itself.
//
// A response calls it from one goroutine at a time, but for setWriteDeadline and last,
// which any goroutine calls, and never again once finish has been called. An error of a
// wire is final: the response sends nothing more, and ends by closeAfter or abort.
type wire interface {
	// send takes ownership of b, a buffer of getBuffer or getLargeBuffer. It blocks while
	// the peer is slow, but not on the loop. The bytes are on their way when it returns:
	// nothing waits for more of them.
	send(b []byte) error
	// sendFile sends n bytes of f from off on, behind what was sent. It borrows f until it
	// returns. An error that is errNotSendable says that nothing of it was sent, and that
	// the response may go on.
	sendFile(f *os.File, off, n int64) error
	// finish sends the last bytes, of which it takes ownership as send does; nil is none.
	// The ending says how the connection goes on.
	finish(b []byte, end ending) error
	// setWriteDeadline bounds how long send and sendFile wait from now on; zero is no bound.
	setWriteDeadline(t time.Time) error
	// last reports whether the connection ends behind this response, whatever the request
	// says, so that the response is to say Connection: close.
	last() bool
	// streams says that the handler has flushed: who reads this response reads it while
	// it is written. It is called once at most.
	streams()
}

// hijacker is a wire whose connection can be taken over by a handler. rest is what was
// read of the connection behind the request's body; it comes first in the reader. Behind
// it the wire is not used any more.
type hijacker interface {
	hijack(rest []byte) (net.Conn, *bufio.ReadWriter, error)
}

// errNotSendable: a file that sendfile(2) cannot send; it is to be copied.
var errNotSendable = errors.New("web: not a file to send")

// ending is how a connection goes on behind a response.
type ending uint8

const (
	keepAlive  ending = iota // with the next request
	closeAfter               // it ends: FIN behind what was sent
	abort                    // it is cut: RST, since the peer could not tell otherwise that the response is not whole
)
