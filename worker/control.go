package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// control is a member's end of the control socket, by which the master and its worker
// send each other messages. The listener, a goroutine of its own, reads from it, so that
// the end of the master is seen while a handler is stuck. Any goroutine may send, and
// none of them waits for the master. control knows neither the loop nor its connections.
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

// hello waits for the master's first message. It comes before listen.
func (c *control) hello() (ipc.Hello, error) {
	buffer := make([]byte, ipc.MaxMessage+1)
	for {
		m, err := c.receive(buffer)
		if err != nil {
			return ipc.Hello{}, err
		}
		switch m := m.(type) {
		case ipc.Hello:
			return m, nil
		case ipc.Unknown:
		default:
			return ipc.Hello{}, fmt.Errorf("%T came first", m)
		}
	}
}

// listen starts the listener, which close ends. It calls hear for each message, and gone
// when the other end is closed, both on its own goroutine.
func (c *control) listen(hear func(ipc.Message), gone func()) {
	c.done.Go(func() {
		buffer := make([]byte, ipc.MaxMessage+1)
		for {
			m, err := c.receive(buffer)
			switch {
			case err == nil:
				hear(m)
			case errors.Is(err, ipc.ErrMalformed):
				c.log.Error("control message ignored", "error", err)
			case errors.Is(err, os.ErrClosed):
				return
			default: // io.EOF, or ECONNRESET when it had not read all of ours
				gone()
				return
			}
		}
	})
}

// receive waits for one message. A read(2) of a SOCK_SEQPACKET socket is one
// packet; buffer is longer than any.
func (c *control) receive(buffer []byte) (ipc.Message, error) {
	n, err := c.file.Read(buffer)
	if err != nil {
		return nil, err
	}
	return ipc.ParseMessage(buffer[:n])
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
