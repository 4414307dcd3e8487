package ipc

import (
	"fmt"

	"github.com/usher-go/usher/fdpass"
)

// Courier sends and receives packets on queues: any number of them, for one
// goroutine at a time. The zero value is ready to use. It never blocks, and
// does not allocate unless it returns an error other than one of fdpass's.
type Courier struct {
	sender   fdpass.Sender
	receiver fdpass.Receiver
}

// Send sends a packet that is not empty. After a nil return the receiver owns
// the connections, and the packet's own copies of the descriptors are closed
// and the packet is empty. After an error nothing has changed.
//
// Errors: fdpass.ErrWouldBlock and fdpass.ErrTooManyRefs (try again later),
// fdpass.ErrPeerClosed (the worker is gone), as they are; others wrapped.
func (c *Courier) Send(queue int, p *Packet) error {
	err := c.sender.Send(queue, p.encode(), p.fds[:p.count])
	switch err {
	case nil:
		p.Close()
		return nil
	case fdpass.ErrWouldBlock, fdpass.ErrTooManyRefs, fdpass.ErrPeerClosed:
		return err
	}
	return fmt.Errorf("ipc: send packet: %w", err)
}

// Receive fills p, which is empty, with the next packet. After an error p is
// empty, and every descriptor that came along is closed.
//
// Errors: fdpass.ErrWouldBlock (nothing there) and fdpass.ErrPeerClosed, as
// they are. Others are wrapped: fdpass.ErrRightsTruncated and
// fdpass.ErrMissing (this process is out of descriptors; the connections of
// the packet are lost), ErrMalformed and the remaining ones of fdpass (the
// sender is broken).
func (c *Courier) Receive(queue int, p *Packet) error {
	n, count, err := c.receiver.Receive(queue, p.buffer[:], p.fds[:], announced)
	switch err {
	case nil:
	case fdpass.ErrWouldBlock, fdpass.ErrPeerClosed:
		return err
	default:
		return fmt.Errorf("ipc: receive packet: %w", err)
	}
	if err := p.index(n); err != nil {
		fdpass.CloseAll(p.fds[:count])
		return err
	}
	return nil
}
