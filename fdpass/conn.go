package fdpass

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is one end of a connection over a named socket. It is a [Sender] and a
// [Receiver] that wait: one goroutine may send while another receives. The
// waiting is the scheduler's; no thread blocks.
type Conn struct {
	socket   *net.UnixConn
	raw      syscall.RawConn
	sender   Sender
	receiver Receiver
}

// Dial connects to the socket of that name (see [Listen]). It does not wait for
// a listener to appear; while one has a full backlog, Dial waits until ctx is
// done. The caller owns the Conn and closes it.
//
// Errors wrap ENOENT (no such name), ECONNREFUSED (nobody listens: a dead
// socket, or no socket), EACCES, EPROTOTYPE (the socket is no SOCK_SEQPACKET),
// ENAMETOOLONG, EINVAL or ctx.Err().
func Dial(ctx context.Context, name string) (*Conn, error) {
	var c *Conn
	err := retry(ctx, func() (err error) {
		c, err = dial(name)
		return err
	}, unix.EAGAIN) // of a full backlog; connect(2) would block, but no poll tells when it has room
	return c, err
}

// dial does not wait.
func dial(name string) (*Conn, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("fdpass: dial: %w", err)
	}
	socket, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("fdpass: %w", err)
	}
	return newConn(socket)
}

// newConn takes ownership of socket, even on error.
func newConn(socket *net.UnixConn) (*Conn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		_ = socket.Close() // the first error is the one to know
		return nil, fmt.Errorf("fdpass: %w", err)
	}
	return &Conn{socket: socket, raw: raw}, nil
}

// Send is [Sender.Send] that waits for room, until ctx is done. It borrows
// payload and fds for the call: keep the files open until it returns. After an
// error nothing was sent.
//
// A nil return says that the packet is in the peer's queue. Should the peer
// never take it, the kernel closes its descriptors with the queue.
//
// It returns the sentinel errors of Send except ErrWouldBlock, and wraps
// ctx.Err(), net.ErrClosed and *os.SyscallError.
func (c *Conn) Send(ctx context.Context, payload []byte, fds []int) error {
	var sendErr error
	err := interruptible(ctx, c.socket.SetWriteDeadline, func() error {
		return c.raw.Write(func(sock uintptr) (done bool) {
			sendErr = c.sender.Send(int(sock), payload, fds)
			return sendErr != ErrWouldBlock
		})
	})
	return waitError("send", err, sendErr)
}

// Receive is [Receiver.Receive] that waits for a packet, until ctx is done. It
// fills payload and fds and returns how much of each it filled. The descriptors
// are owned by the caller and close-on-exec. After an error there are none: what
// came along is closed.
//
// What a descriptor refers to is shared with whoever sent it: its offset, its
// O_NONBLOCK and its locks are one for both (open(2), "open file description").
//
// It returns the sentinel errors of Receive except ErrWouldBlock, and wraps
// ctx.Err(), net.ErrClosed and *os.SyscallError; an error of expect it returns
// as it is.
func (c *Conn) Receive(ctx context.Context, payload []byte, fds []int, expect func(payload []byte) (int, error)) (n, nfds int, err error) {
	var receiveErr error
	err = interruptible(ctx, c.socket.SetReadDeadline, func() error {
		return c.raw.Read(func(sock uintptr) (done bool) {
			n, nfds, receiveErr = c.receiver.Receive(int(sock), payload, fds, expect)
			return receiveErr != ErrWouldBlock
		})
	})
	return n, nfds, waitError("receive", err, receiveErr)
}

// waitError returns the error of a wait, or, when that has none, the one of the last
// attempt, which is ErrWouldBlock in a wait that was cut short.
func waitError(operation string, waitErr, err error) error {
	var syscallErr *os.SyscallError
	switch {
	case waitErr != nil:
		return fmt.Errorf("fdpass: %s: %w", operation, waitErr)
	case errors.As(err, &syscallErr):
		return fmt.Errorf("fdpass: %s: %w", operation, err)
	}
	return err
}

// Peer returns who connected, for a Conn from Accept, or who listens, for one
// from Dial.
func (c *Conn) Peer() (Peer, error) {
	var peer Peer
	var peerErr error
	err := c.raw.Control(func(sock uintptr) { peer, peerErr = PeerOf(int(sock)) })
	if err != nil {
		return Peer{}, fmt.Errorf("fdpass: peer: %w", err)
	}
	return peer, peerErr
}

// Close closes this end. What it sent before can still be received. It may be
// called while another goroutine sends or receives, which ends with
// net.ErrClosed.
func (c *Conn) Close() error {
	if err := c.socket.Close(); err != nil {
		return fmt.Errorf("fdpass: %w", err)
	}
	return nil
}
