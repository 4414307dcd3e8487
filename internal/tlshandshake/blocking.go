package tlshandshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
)

// Serve does a handshake on a connection that blocks, and that crypto/tls serves for good:
// no secret is taken out. It blocks until the handshake is over or has failed; when the peer
// does not go on, a deadline of conn or its close ends it. It has a place of the pool, in
// turn with all others, except while conn reads or writes.
//
// config is shared, and not changed. The error is an *Error: its Answer, or crypto/tls's
// alert, which is written already, is all that is to be sent before the caller closes
// conn. NetConn of the result has a NetConn itself, which is conn.
//
// waits is told when the handshake begins to wait for its peer, and when it does so no more;
// not while it waits for a place. It must not block.
func (p *Pool) Serve(conn net.Conn, config *tls.Config, waits func(bool)) (_ *tls.Conn, err error) {
	h := &Handshake{pool: p, started: true, resume: make(chan struct{}, 1)} // this is its goroutine
	g := &gate{Conn: conn, handshake: h, waits: waits}
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	h.enter()
	defer g.remove()
	c := tls.Server(g, config)
	if err := c.Handshake(); err != nil {
		return nil, g.classify(err)
	}
	return c, nil
}

// gate is the connection of a handshake that Serve does: who waits at it has no place.
type gate struct {
	net.Conn
	handshake *Handshake // nil once it is over: then there is no gate
	waits     func(bool) // see Serve; likewise
	err       error      // of the connection, during the handshake
}

// NetConn returns what Serve was given.
func (g *gate) NetConn() net.Conn { return g.Conn }

func (g *gate) Read(b []byte) (int, error)  { return g.pass(b, g.Conn.Read) }
func (g *gate) Write(b []byte) (int, error) { return g.pass(b, g.Conn.Write) }

func (g *gate) pass(b []byte, do func([]byte) (int, error)) (int, error) {
	if g.handshake == nil {
		return do(b)
	}
	g.handshake.leave()
	g.waits(true)
	n, err := do(b)
	g.waits(false)
	g.handshake.enter()
	if err != nil {
		g.err = err
	}
	return n, err
}

func (g *gate) remove() {
	g.handshake.leave()
	g.handshake, g.waits = nil, nil
}

// enter waits for a place.
func (h *Handshake) enter() {
	p := h.pool
	p.mu.Lock()
	granted := p.wantLocked(h)
	p.mu.Unlock()
	if !granted {
		<-h.resume
	}
}

// leave gives the place to another.
func (h *Handshake) leave() {
	p := h.pool
	p.mu.Lock()
	h.state = waiting
	next := p.giveLocked()
	p.mu.Unlock()
	if next != nil {
		next.goOn()
	}
}

// classify is the package's classify, for what a connection that blocks may say besides.
func (g *gate) classify(err error) *Error {
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil { // nil: it is TLS, and has had an alert
		return notTLS(e.RecordHeader[:])
	}
	switch {
	case g.err == nil || !errors.Is(err, g.err) || errors.Is(err, io.EOF):
		return classify(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Reason: Timeout, text: "the peer has not gone on in time"}
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err // without the addresses, which the caller knows
	}
	return &Error{Reason: Closed, text: printable(err.Error())}
}
