package tlshandshake

import (
	"io"
	"net"
	"time"
)

// conn is what crypto/tls has for a connection. It gives one record at a time, so that
// what comes behind the last one of the handshake stays here. Only the handshake's
// goroutine calls it.
type conn struct {
	h             *Handshake
	remote, local net.Addr
	record        []byte // of the input, being given
	seen          seen
}

// Read gives bytes of the record that is being read, or waits for the next one.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.record) == 0 {
		record, err := c.h.next()
		if err != nil {
			return 0, err
		}
		c.seen.received(record)
		c.record = record
	}
	n := copy(p, c.record)
	c.record = c.record[n:]
	return n, nil
}

// Write keeps what crypto/tls sends, until it is taken.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.h.put(b); err != nil {
		return 0, err
	}
	c.seen.written(b)
	return len(b), nil
}

func (c *conn) Close() error                     { return nil } // it is the caller's to close
func (c *conn) LocalAddr() net.Addr              { return c.local }
func (c *conn) RemoteAddr() net.Addr             { return c.remote }
func (c *conn) SetDeadline(time.Time) error      { return nil } // Abandon takes its place
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// next returns the next record of the input. While it is not here, the handshake waits,
// without a place.
func (h *Handshake) next() ([]byte, error) {
	p := h.pool
	p.mu.Lock()
	for {
		switch {
		case h.abandoned:
			p.mu.Unlock()
			return nil, errAbandoned
		case h.overfed:
			p.mu.Unlock()
			return nil, errOverfed
		case h.readyLocked():
			record := h.cutLocked()
			p.mu.Unlock()
			return record, nil
		case h.eof:
			p.mu.Unlock()
			return nil, io.EOF
		}
		h.waitLocked()
	}
}

// waitLocked gives the place back, and returns when the handshake has one again, or is
// abandoned. The lock is held before and after.
func (h *Handshake) waitLocked() {
	p := h.pool
	h.state = waiting
	next := p.giveLocked()
	news := len(h.output) > 0 || h.full || !h.waited
	h.full, h.waited = false, true
	p.mu.Unlock()
	if news {
		h.wake()
	}
	if next != nil {
		next.goOn()
	}
	<-h.resume
	p.mu.Lock()
}

// put adds b to what is to be sent.
func (h *Handshake) put(b []byte) error {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.abandoned {
		return errAbandoned
	}
	h.output = append(h.output, b...)
	return nil
}

// readyLocked reports whether there is input to give: a whole record; or what there is of
// it, if nothing follows or crypto/tls will refuse it by its header.
func (h *Handshake) readyLocked() bool {
	n := len(h.input)
	if n == 0 {
		return false
	}
	if h.eof {
		return true
	}
	length := recordLength(h.input)
	return length > 0 && (n >= length || length > headerLength+maxCiphertext)
}

// cutLocked takes a record off the input, or what there is of it.
func (h *Handshake) cutLocked() []byte {
	n := recordLength(h.input)
	if n == 0 || n > len(h.input) {
		n = len(h.input)
	}
	record := h.input[:n:n]
	h.input = h.input[n:]
	return record
}
