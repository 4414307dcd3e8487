package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What a Conn with a transport does in the place of read, send and transmit (input.go,
// output.go, sendfile.go), and before FIN (closing.go), on the loop's goroutine. It is
// never plain, so the short way through (plain.go) does not look for a transport.

// encodeChunk is how many encoded bytes go out in one send(2), but for the last unit's
// rest, and how much of a file is read at a time.
const encodeChunk = 128 << 10

var errUnitSize = fmt.Errorf("worker: transport left more than %d bytes", maxUnit)

// wrap gives c a transport, for good.
func (c *Conn) wrap(t transport) {
	o := *c.origin
	o.transport = t
	c.origin = &o
	c.state.mark(traitWrapped)
}

// dropTransport wipes what is secret of c's transport, when c is closed or has left. What
// was learned of the peer stays for whoever has kept c.
func (c *Conn) dropTransport() {
	if t, ok := c.origin.transport.(tlsTransport); ok {
		t.Wipe()
		c.loop.facts.release(c.origin.tls)
	}
}

// readWrapped is read. What was left of a unit goes into the loop's buffer, in front of
// what one recv(2) gives, and both are decoded in place.
func (c *Conn) readWrapped() {
	l, have := c.loop, 0
	in := l.input[:cap(l.input)]
	if c.unfinished != nil {
		have = copy(in, c.unfinished.raw) // at most maxUnit
	}
	n, errno := c.recv(in[have:min(len(in), have+len(l.input))])
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.fail(os.NewSyscallError("read", errno))
		return
	case n > 0:
		c.progressed()
	}
	c.dropRaw()
	l.keepSwept()
	in = in[:have+n]
	c.decoded(in, c.origin.transport.decode(in, n == 0), n == 0)
}

// decoded acts on what decode has made of in. eof says that the peer's socket has finished.
func (c *Conn) decoded(in []byte, d decoded, eof bool) {
	c.keepRaw(in, &d)
	c.sendReply(&d)
	if len(d.plain) > 0 && !c.ending() {
		c.gotInput()
		c.deliver(d.plain)
	}
	switch {
	case d.err != nil:
		c.end(d.err)
	case d.end || eof:
		c.state.owe(dueEnd)
		c.endDueInput()
	}
}

// keepRaw stores what decode has left of in.
func (c *Conn) keepRaw(in []byte, d *decoded) {
	rest := in[d.used:]
	switch {
	case len(rest) == 0 || d.end || d.err != nil:
	case len(rest) > maxUnit:
		d.err = errUnitSize
	default:
		c.addUnfinished().raw = append(c.loop.buffers.Get(len(rest)), rest...)
		c.loop.grew()
	}
}

// sendReply sends what decode owes the peer.
func (c *Conn) sendReply(d *decoded) {
	if len(d.reply) > 0 {
		_ = c.sendWire(d.reply) // the connection remembers an error
	}
}

// dropRaw forgets what decode has left of the input.
func (c *Conn) dropRaw() {
	if c.unfinished != nil && c.unfinished.raw != nil {
		c.loop.buffers.Put(c.unfinished.raw)
		c.unfinished.raw = nil
		c.releaseUnfinished()
	}
}

// endDueInput ends the input if the transport has said so (dueEnd). While something holds
// input up, the end stays due.
func (c *Conn) endDueInput() {
	if !c.state.due(dueEnd) {
		return
	}
	if c.ending() {
		c.state.clear(dueEnd)
		return
	}
	if c.state.held(holdPassing) {
		return
	}
	c.state.clear(dueEnd)
	c.endInput()
}

// sendWrapped is send. Behind a file that waits bytes are kept plain: they are to be
// encoded after it.
func (c *Conn) sendWrapped(first, second []byte) error {
	if c.unfinished != nil && c.unfinished.files != nil {
		return c.spill(first, second)
	}
	return c.encode(first, second)
}

// encode has the transport encode both pieces, and sends what comes of it.
func (c *Conn) encode(first, second []byte) error {
	t, l := c.origin.transport, c.loop
	l.keepSwept()
	if l.marshals {
		c.touch() // if it is packed, that is not what it is any more: see parcel.pack
	}
	for len(first)+len(second) > 0 {
		wire := l.wire[:0]
		for len(wire) < encodeChunk && len(first)+len(second) > 0 {
			if len(first) == 0 {
				first, second = second, nil
			}
			n := min(len(first), encodeChunk-len(wire))
			wire = t.encode(wire, first[:n])
			first = first[n:]
		}
		l.wire = wire
		if err := c.sendSealed(t, wire); err != nil {
			return err
		}
	}
	return nil
}

// sendWire sends what is encoded, behind what waits encoded already and before any file.
// It keeps what the kernel does not take.
func (c *Conn) sendWire(wire []byte) error {
	if c.unfinished == nil || c.unfinished.out == nil {
		n, errno := c.sendv(wire, nil)
		if errno != 0 && errno != unix.EAGAIN {
			err := os.NewSyscallError("write", errno)
			c.fail(err)
			return err
		}
		if n > 0 {
			c.progressed()
		}
		wire = wire[n:]
	}
	if len(wire) == 0 {
		return nil
	}
	c.appendOutput(wire, nil)
	if c.loop.grew(); c.state.phase() >= phaseBroken {
		return c.cause()
	}
	return nil
}

// transmitWrapped is transmit: one piece of the file is read, encoded and sent. What
// the kernel does not take of it waits as output before the rest of the file.
func (c *Conn) transmitWrapped(o *filePart) error {
	l := c.loop
	if l.filePiece == nil {
		l.filePiece = make([]byte, encodeChunk)
	}
	for {
		n, err := unix.Pread(o.fd, l.filePiece[:min(o.size, encodeChunk)], o.offset)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("pread", err)
		case n == 0:
			return fmt.Errorf("%w: %d bytes were left", ErrShortFile, o.size)
		default:
			o.offset += int64(n)
			o.size -= int64(n)
			return c.encode(l.filePiece[:n], nil)
		}
	}
}

// sayEnd sends the transport's end mark, if all output is sent, on a connection that is
// closed next in any case. What the kernel does not take is lost.
func (c *Conn) sayEnd() {
	if c.state.is(traitWrapped) && c.state.allows(mayFlush) && !c.hasOutput() {
		c.loop.wire = c.origin.transport.finish(c.loop.wire[:0])
		_, _ = c.sendv(c.loop.wire, nil) // likewise
	}
}

// sendEndMark sends the transport's end mark, once, when all output is sent and FIN is to
// follow. It reports whether the mark has become output that waits for the peer.
func (c *Conn) sendEndMark() bool {
	if !c.state.is(traitWrapped) || c.state.phase() != phaseClosing && c.state.fin() != finDue {
		return false
	}
	wire := c.origin.transport.finish(c.loop.wire[:0])
	c.loop.wire = wire
	n, errno := c.sendv(wire, nil)
	switch {
	case errno != 0 && errno != unix.EAGAIN && c.state.held(holdEOF):
		c.fail(nil) // in order: the peer had finished, and did not wait for the mark
	case errno != 0 && errno != unix.EAGAIN:
		c.fail(os.NewSyscallError("write", errno))
	case n < len(wire):
		c.appendOutput(wire[n:], nil)
		return true
	}
	return false
}
