package fdpass

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SendOne passes one descriptor to whoever calls [ReceiveOne], or listens, at
// name (see [Listen]). Either side may come first: SendOne waits for a receiver,
// and until it has taken the descriptor, or until ctx is done. It borrows fd for
// the call.
//
// A nil return says that one receiver took the packet from its queue and
// closed the connection; one that goes away without having taken it does not
// count, and SendOne waits for the next. So a receiver written with [Listen] has
// to close its Conn, at the latest when it reads ErrPeerClosed.
//
// Errors: those of [Dial] other than ENOENT and ECONNREFUSED, those of
// [Conn.Send], or ctx.Err(). When ctx is done a receiver may hold the descriptor
// already, or take it later.
func SendOne(ctx context.Context, name string, fd int) error {
	return retry(ctx, func() error { return sendOne(ctx, name, fd) },
		unix.ENOENT, unix.ECONNREFUSED, unix.EAGAIN, // no receiver yet, or too many senders
		ErrPeerClosed, unix.ECONNRESET, // it went away without having taken it
		ErrTooManyRefs)
}

// sendOne tries one receiver, if there is one.
func sendOne(ctx context.Context, name string, fd int) error {
	c, err := dial(name)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(ctx, []byte{0}, []int{fd}); err != nil {
		return err
	}
	return c.finish(ctx)
}

// finish sends nothing more and waits until the peer closes. The kernel tells an
// end that was closed with everything read, which is nil, from one that was
// not, which is ECONNRESET.
func (c *Conn) finish(ctx context.Context) error {
	if err := c.socket.CloseWrite(); err != nil && !errors.Is(err, unix.ENOTCONN) { // closed already
		return fmt.Errorf("fdpass: send: %w", err)
	}
	err := interruptible(ctx, c.socket.SetReadDeadline, func() error {
		buffer := make([]byte, 1)
		for {
			n, err := c.socket.Read(buffer)
			if n == 0 {
				return err
			}
			// It was not asked, and is not heard.
		}
	})
	if err != io.EOF {
		return fmt.Errorf("fdpass: send: wait until it is taken: %w", err)
	}
	return nil
}

// ReceiveOne listens at name (see [Listen]) until it has received one descriptor
// or ctx is done. It returns an owned descriptor, close-on-exec; the name is
// removed. With an error there is none: what came along is closed.
//
// Connections of users other than this one and root are closed unread, as are
// those that end without a word. One that stays and says nothing holds up the
// others until ctx is done, so give ctx a deadline.
//
// Errors: those of [Listen]; ErrMissing or ErrSurplus when the packet has not
// exactly one descriptor, ErrPayloadTruncated when its payload, which means
// nothing, has not exactly one byte, ErrRightsTruncated; or ctx.Err().
func ReceiveOne(ctx context.Context, name string) (fd int, err error) {
	l, err := Listen(ctx, name)
	if err != nil {
		return -1, err
	}
	defer l.Close()
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			return -1, err
		}
		fd, err := c.receiveOne(ctx)
		_ = c.Close() // nothing was sent that could be lost
		if err != ErrPeerClosed {
			return fd, err
		}
	}
}

// receiveOne returns ErrPeerClosed for a peer to pass over.
func (c *Conn) receiveOne(ctx context.Context) (fd int, err error) {
	peer, err := c.Peer()
	if err != nil {
		return -1, err
	}
	if peer.UID != os.Geteuid() && peer.UID != 0 {
		return -1, ErrPeerClosed
	}
	fds := []int{-1}
	_, _, err = c.Receive(ctx, make([]byte, 1), fds, func([]byte) (int, error) { return 1, nil })
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}
