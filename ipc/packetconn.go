package ipc

import (
	"encoding/binary"
	"fmt"

	"github.com/usher-go/usher/fdpass"
)

// PacketConn sends and receives packets on queues: on any number of them, one after
// another, for one goroutine at a time. It holds buffers, and no descriptor. The zero
// value is ready to use. It never blocks, but for closing (see Discard, and
// Packet.Close), and does not allocate unless it returns an error other than one of
// fdpass's.
type PacketConn struct {
	// Discard, if not nil, is given the descriptors of what Receive returns an
	// error for, instead of their being closed: see fdpass.Receiver.
	Discard func(fds []int)

	sender   fdpass.Sender
	receiver fdpass.Receiver
}

// Send sends a packet, which must not be empty. After a nil return the receiver
// owns the connections, and the packet's own copies of the descriptors are
// closed and the packet is empty. After an error nothing has changed.
//
// Errors: fdpass.ErrWouldBlock and fdpass.ErrTooManyRefs (try again later),
// fdpass.ErrPeerClosed (the other end is gone), as they are; others wrapped.
func (c *PacketConn) Send(queue int, p *Packet) error {
	if p.count == 0 {
		panic("ipc: send of an empty packet")
	}
	err := c.sender.Send(queue, p.encode(), p.Descriptors())
	switch err {
	case nil:
		p.Close()
		return nil
	case fdpass.ErrWouldBlock, fdpass.ErrTooManyRefs, fdpass.ErrPeerClosed:
		return err
	}
	return fmt.Errorf("ipc: send packet: %w", err)
}

// Receive empties p, as Reset does, and fills it with the next packet. After an
// error p is empty, and every descriptor that came along is closed, or discarded.
//
// Errors: fdpass.ErrWouldBlock (nothing there) and fdpass.ErrPeerClosed, as
// they are. Others are wrapped: a *LostError (this process is out of
// descriptors; the connections of the packet are lost); ErrMalformed,
// fdpass.ErrMissing, fdpass.ErrSurplus and fdpass.ErrPayloadTruncated (the
// sender is broken).
func (c *PacketConn) Receive(queue int, p *Packet) error {
	p.Reset()
	c.receiver.Discard = c.Discard
	n, descriptors, err := c.receiver.Receive(queue, p.buffer[:], p.fds[:], announced)
	switch err {
	case nil:
	case fdpass.ErrWouldBlock, fdpass.ErrPeerClosed:
		return err
	case fdpass.ErrRightsTruncated:
		// The number of envelopes, in the payload, is all that tells; it is not checked yet.
		lost := int(binary.LittleEndian.Uint16(p.buffer[2:]))
		err = &LostError{Count: min(lost, MaxConns), Err: err}
		fallthrough
	default:
		return fmt.Errorf("ipc: receive packet: %w", err)
	}
	if err := p.index(n); err != nil {
		c.receiver.Drop(p.fds[:descriptors])
		return fmt.Errorf("ipc: receive packet: %w", err)
	}
	return nil
}

// LostError says how many connections a packet lost on its way, so that both
// sides can book them. It wraps fdpass.ErrRightsTruncated.
type LostError struct {
	Count int
	Err   error
}

func (e *LostError) Error() string { return fmt.Sprintf("%d connections lost: %v", e.Count, e.Err) }
func (e *LostError) Unwrap() error { return e.Err }
