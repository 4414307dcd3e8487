package web

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// pipe takes what a handler's goroutine writes to the loop, in batches: one Put for all
// that was written since the loop last came by.
//
//	send, sendFile ──► queue ──one Put──► obey: Conn.Write, Conn.SendFile
//	      ▲                                        │
//	      └──── waits: more than maxQueued, or Choked ◄── Low, Close, deadline
//
// Its methods are for the handler's goroutine, but for those that say otherwise.
type pipe struct {
	conn *worker.Conn

	mu       sync.Mutex
	moved    sync.Cond // of mu: there is room, an error, or another deadline
	queue    []piece
	first    [2]piece // what queue begins in
	queued   int      // bytes in queue
	posted   bool     // obey is about to be called
	choked   bool     // the connection's output is above its high-water mark
	err      error    // nothing can be written any more
	deadline time.Time
}

// piece is something to send: bytes of getBuffer, or a part of a file. The last one may
// have a function, which the loop calls behind it.
type piece struct {
	b     []byte
	file  *os.File // borrowed, until something is sent to taken
	off   int64
	n     int64
	call  func(c *worker.Conn)
	taken chan error // gets an error, or nil when all is done; nil: nobody waits
}

// maxQueued is how many bytes wait for the loop before send waits. What it writes at once is
// a piece or two more, and comes on top of the worker's high-water mark: see Handler.
const maxQueued = 128 << 10

// open makes a zero pipe ready.
func (p *pipe) open(c *worker.Conn) {
	p.conn = c
	p.moved.L = &p.mu
	p.queue = p.first[:0]
}

// send is wire's.
func (p *pipe) send(b []byte) error {
	if len(b) == 0 {
		putBuffer(b)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.wait(); err != nil {
		putBuffer(b)
		return err
	}
	p.add(piece{b: b})
	return nil
}

// sendFile is wire's. It returns once the loop has a descriptor of its own.
func (p *pipe) sendFile(f *os.File, off, n int64) error {
	taken := make(chan error, 1)
	p.mu.Lock()
	if err := p.wait(); err != nil {
		p.mu.Unlock()
		return err
	}
	p.add(piece{file: f, off: off, n: n, taken: taken})
	p.mu.Unlock()
	return <-taken
}

// end has the loop call over behind all that was sent, and b first, of which it takes
// ownership. Nothing is sent behind that until over was called.
func (p *pipe) end(b []byte, over func(c *worker.Conn), taken chan error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		putBuffer(b)
		return p.err
	}
	p.add(piece{b: b, call: over, taken: taken})
	return nil
}

// shut has the loop call over behind all that was sent. Whatever is called later fails
// with net.ErrClosed, and so does a send that waits.
func (p *pipe) shut(over func(c *worker.Conn)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.add(piece{call: over})
	p.err = net.ErrClosed
	p.moved.Broadcast()
	return nil
}

// late reports whether the deadline has passed.
func (p *pipe) late() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deadline.IsZero() && time.Until(p.deadline) <= 0
}

// setWriteDeadline is wire's. It is for any goroutine.
func (p *pipe) setWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.moved.Broadcast()
	return p.err
}

// wait returns once there is room. The caller holds mu.
func (p *pipe) wait() error {
	for p.err == nil {
		late := time.Duration(0)
		if !p.deadline.IsZero() {
			if late = time.Until(p.deadline); late <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		if !p.choked && p.queued < maxQueued {
			return nil
		}
		if late == 0 {
			p.moved.Wait()
			continue
		}
		alarm := time.AfterFunc(late, p.wake)
		p.moved.Wait()
		alarm.Stop()
	}
	return p.err
}

// wake has who waits look again. It is for any goroutine.
func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved.Broadcast()
}

// add puts a piece into the queue, and has the loop come by. The caller holds mu.
func (p *pipe) add(o piece) {
	p.queue = append(p.queue, o)
	p.queued += len(o.b)
	if p.posted {
		return
	}
	p.posted = true
	forweb.Of(p.conn).Put(p.obey) // if not, it is closed, and fail about to be called
}

// obey writes what is in the queue. It is for the loop.
func (p *pipe) obey(c *worker.Conn) {
	p.mu.Lock()
	queue, deadline := p.queue, p.deadline
	p.queue, p.queued, p.posted = nil, 0, false
	p.mu.Unlock()
	var failed error
	for i := range queue {
		if err := p.write(c, &queue[i]); err != nil && failed == nil {
			failed = err
		}
	}
	if failed == nil && !deadline.IsZero() && c.Buffered() > 0 {
		c.SetWriteDeadline(deadline)
	}
	if last := &queue[len(queue)-1]; last.call != nil {
		if failed == nil {
			last.call(c)
		}
		if last.taken != nil {
			last.taken <- failed
		}
	}
	if failed != nil {
		p.fail(failed)
		closeQuietly(c) // what it has is sent
	}
}

// write gives one piece to the connection, and takes note whether that is choked now.
func (p *pipe) write(c *worker.Conn, o *piece) (err error) {
	if o.file == nil {
		if len(o.b) > 0 {
			_, err = c.Write(o.b)
		}
		putBuffer(o.b)
	} else {
		err = c.SendFile(o.file, o.off, o.n)
	}
	if forweb.Of(c).Choked() {
		p.setChoked(true)
	} else {
		p.wake()
	}
	if o.file == nil {
		return err
	}
	o.taken <- fileError(err)
	if errors.Is(err, worker.ErrFull) {
		return err
	}
	return nil // the handler has the error, and may go on; else the connection has ended
}

// setChoked says whether the connection's output is above the high-water mark, or has
// fallen below the low one. It is for the loop.
func (p *pipe) setChoked(choked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choked = choked
	p.moved.Broadcast()
}

// fileError returns the error of a wire's sendFile for one of Conn.SendFile.
func fileError(err error) error {
	if err == nil || errors.Is(err, worker.ErrClosed) {
		return err
	}
	return errors.Join(errNotSendable, err)
}

// fail has everything fail with err from now on. It is for any goroutine.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, worker.ErrWriteTimeout) {
		err = os.ErrDeadlineExceeded // the deadline is the pipe's: the loop was first to see it pass
	}
	if p.err == nil {
		p.err = err
	}
	for i := range p.queue {
		putBuffer(p.queue[i].b)
		if p.queue[i].taken != nil {
			p.queue[i].taken <- p.err
		}
	}
	p.queue, p.queued = nil, 0
	p.moved.Broadcast()
}
