package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// control is a member's end of the control socket, by which the master and its worker
// send each other messages. The listener, a goroutine of its own, reads from it, so that
// the end of the master is seen while a handler is stuck. Any goroutine may send, and
// none of them waits for the master. A message may bring a descriptor, which has one owner all
// the way. control knows neither the loop nor its connections.
type control struct {
	file *os.File // non-blocking: Go's poller waits for it
	fd   int      // borrowed from file
	log  hclog.Logger
	done sync.WaitGroup // the listener, and who sends the backlog

	mu      sync.Mutex // guards the following
	closed  bool
	backlog [][]byte // messages that the socket had no room for
	sending bool     // a goroutine sends the backlog
}

// newControl takes ownership of fd.
func newControl(fd int, log hclog.Logger) *control {
	return &control{file: os.NewFile(uintptr(fd), "control"), fd: fd, log: log}
}

// hello waits for the master's first message. It comes before listen. The memfd that the
// message brings is owned by the caller; memory is -1 if there is none, as with an error.
func (c *control) hello() (hello ipc.Hello, memory int, err error) {
	var in inbox
	for {
		m, memory, err := in.next(c)
		if err != nil {
			return ipc.Hello{}, -1, err
		}
		switch m := m.(type) {
		case ipc.Hello:
			return m, memory, nil
		case ipc.Unknown:
		default:
			fdpass.CloseAll([]int{memory})
			return ipc.Hello{}, -1, fmt.Errorf("%T came first", m)
		}
	}
}

// listen starts the listener, which close ends. It calls hear for each message, and gone
// when the other end is closed, both on its own goroutine. hear takes ownership of the
// descriptor that the message brings: fd is -1 if there is none (ipc.BringsDescriptor).
func (c *control) listen(hear func(m ipc.Message, fd int), gone func()) {
	c.done.Go(func() {
		var in inbox
		for {
			m, fd, err := in.next(c)
			switch {
			case err == nil:
				hear(m, fd)
			case errors.Is(err, ipc.ErrMalformed), errors.Is(err, fdpass.ErrRightsTruncated):
				c.log.Error("control message ignored", "error", err)
			case errors.Is(err, os.ErrClosed):
				return
			default: // fdpass.ErrPeerClosed
				gone()
				return
			}
		}
	})
}

// inbox holds the buffers of who receives from control. The zero value is ready to use.
type inbox struct {
	receiver fdpass.Receiver
	payload  [ipc.MaxMessage + 1]byte // longer than any message
	fds      [1]int
}

// next waits for one message, and returns it with the descriptor that it brings, owned by
// the caller, or -1. With an error there is none. What came along without being announced is
// closed.
//
// Errors: ipc.ErrMalformed, wrapped; fdpass.ErrRightsTruncated (this process is at its
// limit of descriptors) after which the next message can be received; fdpass.ErrPeerClosed;
// os.ErrClosed, after close.
func (in *inbox) next(c *control) (m ipc.Message, fd int, err error) {
	n, descriptors, err := in.receive(c)
	if err != nil {
		return nil, -1, err
	}
	m, err = ipc.ParseMessage(in.payload[:n])
	switch brings := err == nil && ipc.BringsDescriptor(m); {
	case brings && descriptors == 1:
		return m, in.fds[0], nil
	case brings:
		err = fmt.Errorf("%w: %T without its descriptor", ipc.ErrMalformed, m)
	}
	fdpass.CloseAll(in.fds[:descriptors])
	if err != nil {
		return nil, -1, err
	}
	return m, -1, nil
}

// receive waits for one packet, which is in the payload and fds from then on.
func (in *inbox) receive(c *control) (n, descriptors int, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, 0, os.ErrClosed
	}
	waiting := raw.Read(func(fd uintptr) (done bool) {
		n, descriptors, err = in.receiver.Receive(int(fd), in.payload[:], in.fds[:], nil)
		return err != fdpass.ErrWouldBlock
	})
	switch {
	case waiting != nil:
		return 0, 0, os.ErrClosed // poll's own error, which os does not translate here
	case err == fdpass.ErrSurplus, err == fdpass.ErrPayloadTruncated:
		err = fmt.Errorf("%w: %w", ipc.ErrMalformed, err)
	}
	return n, descriptors, err
}

// send sends m, after what was sent before. It does not block, and may be called from
// any goroutine. If the socket has no room, m waits in the backlog, which is bounded by
// what there is to say: a ring each time that the master has asked for the bell, and
// each connection's id once.
func (c *control) send(m ipc.Message) {
	packet, err := ipc.EncodeMessage(m)
	if err != nil {
		panic(err) // nothing here is near the bound
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if !c.sending {
		_, err := unix.SendmsgN(c.fd, packet, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EAGAIN && err != unix.EINTR {
			return // sent, or the master is gone, which the listener sees
		}
		c.sending = true
		c.done.Go(c.sendBacklog)
	}
	c.backlog = append(c.backlog, packet)
}

// sendBringing sends a message with a copy of the descriptor that it brings, which is borrowed. It
// waits for room, but not beyond close, and is for goroutines of their own. Errors: the kernel takes no
// more descriptors now.
func (c *control) sendBringing(m ipc.Message, fd int) error {
	packet, err := ipc.EncodeMessage(m)
	if err != nil {
		panic(err) // nothing here is near the bound
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil // closed: nobody listens
	}
	var sender fdpass.Sender
	var sent error
	_ = raw.Write(func(control uintptr) (done bool) { // it fails after close
		sent = sender.Send(int(control), packet, []int{fd})
		return sent != fdpass.ErrWouldBlock
	})
	if sent == fdpass.ErrWouldBlock || sent == fdpass.ErrPeerClosed {
		return nil // likewise
	}
	return sent
}

// sendBacklog sends what is in the backlog, waiting for room, until it is empty.
func (c *control) sendBacklog() {
	for packet, ok := c.nextPacket(); ok; packet, ok = c.nextPacket() {
		if _, err := c.file.Write(packet); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.closed = true // by us, or the master is gone: nothing is to pile up
			c.backlog = nil
			return
		}
	}
}

// nextPacket takes the first packet of the backlog; false, and nobody sends any more, if
// there is none.
func (c *control) nextPacket() (packet []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.backlog) == 0 {
		c.sending = false
		return nil, false
	}
	packet, c.backlog = c.backlog[0], c.backlog[1:]
	return packet, true
}

// close closes the socket, and waits for the goroutines to end.
func (c *control) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.file.Close() // a socket has nothing to flush
	c.done.Wait()
}
