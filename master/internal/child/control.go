package child

import (
	"errors"
	"fmt"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// control is the master's end of control: non-blocking, in Go's poller.
type control struct{ *os.File }

// tell sends a message, without waiting for room, and with it a copy of the descriptor that
// it brings (ipc.BringsDescriptor), which is borrowed. fd is of no account if it brings none.
func (c control) tell(m ipc.Message, fd int) error {
	b, err := ipc.EncodeMessage(m)
	if err != nil {
		return err
	}
	var fds []int
	if ipc.BringsDescriptor(m) {
		fds = []int{fd}
	}
	conn, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = new(fdpass.Sender).Send(int(fd), b, fds)
		return true // one try
	})
	if sent == fdpass.ErrWouldBlock {
		sent = errDeaf
	}
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// errDeaf: there is no room for another message, since none is read.
var errDeaf = errors.New("it does not read its messages")

// inbox holds the buffers of who reads what a worker says on control.
type inbox struct {
	receiver fdpass.Receiver
	payload  [ipc.MaxMessage + 1]byte // longer than any message
	fds      [1]int
}

// hear passes on the messages that come from a worker's end of control, until that is
// closed: answers to those who asked, the others to the owner. Descriptors that it did not
// announce are closed.
func (l *link) hear(in *inbox) {
	for {
		if _, more := l.hearOne(in); !more {
			return
		}
	}
}

// hearRest is hear for what is there and was not read yet: processes that a worker has
// started may go on with its end.
func (l *link) hearRest(in *inbox) {
	for left := unread(l.control.File); left > 0; {
		n, more := l.hearOne(in)
		if !more {
			return
		}
		left -= n
	}
}

// hearOne waits for one message of n bytes, and passes it on. There are no more if the end
// is closed, or the worker breaks the protocol.
func (l *link) hearOne(in *inbox) (n int, more bool) {
	n, m, memory, err := in.next(l.control)
	switch {
	case err == fdpass.ErrRightsTruncated:
		return len(in.payload), true // an answer whose memfd this process had no room for: it does not come
	case err == fdpass.ErrPeerClosed, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
		return 0, false // a death is learned by reaping, not from here
	case err != nil:
		l.owner(Broken{l.id, fmt.Errorf("control: %w", err)})
		return 0, false
	}
	if !l.asks.answered(m, memory) {
		l.owner(Said{l.id, m})
	}
	return n, true
}

// next waits for one message of n bytes, and returns it with the memfd that it brings, owned
// by the caller, or -1.
func (in *inbox) next(c control) (n int, m ipc.Message, memory int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, -1, os.ErrClosed
	}
	descriptors := 0
	waiting := raw.Read(func(fd uintptr) (done bool) {
		n, descriptors, err = in.receiver.Receive(int(fd), in.payload[:], in.fds[:], nil)
		return err != fdpass.ErrWouldBlock
	})
	switch {
	case errors.Is(waiting, os.ErrDeadlineExceeded):
		return 0, nil, -1, waiting
	case waiting != nil:
		return 0, nil, -1, os.ErrClosed // poll's own error, which os does not translate here
	case err == fdpass.ErrPayloadTruncated:
		return 0, nil, -1, fmt.Errorf("message longer than %d bytes", ipc.MaxMessage)
	case err != nil:
		return 0, nil, -1, err
	}
	m, err = ipc.ParseMessage(in.payload[:n])
	switch brings := err == nil && ipc.BringsDescriptor(m); {
	case brings && descriptors == 1:
		return n, m, in.fds[0], nil
	case brings:
		err = fmt.Errorf("%w: %T without its descriptor", ipc.ErrMalformed, m)
	}
	fdpass.CloseAll(in.fds[:descriptors])
	return n, m, -1, err
}
