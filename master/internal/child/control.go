package child

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
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

// hear tells the owner of the messages that come from a worker's end of control, until
// that is closed.
func hear(from io.Reader, id ID, owner func(Event)) {
	packet := make([]byte, ipc.MaxMessage+1)
	for {
		n, err := from.Read(packet)
		switch {
		case errors.Is(err, unix.ECONNRESET):
			continue // said once, before the messages of a worker that died without having read all of its own
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return // a death is learned by reaping, not from here
		case err != nil:
			owner(Broken{id, fmt.Errorf("control: %w", err)})
			return
		case n > ipc.MaxMessage:
			owner(Broken{id, fmt.Errorf("control: message longer than %d bytes", ipc.MaxMessage)})
			return
		}
		m, err := ipc.ParseMessage(packet[:n])
		if err != nil {
			owner(Broken{id, fmt.Errorf("control: %w", err)})
			return
		}
		owner(Said{id, m})
	}
}
