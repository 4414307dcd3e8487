package worker

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/usher-go/usher/ipc"
)

// Serve is Run on given descriptors, which it takes over, in the calling
// goroutine of a process that goes on. Its entry is the board's first.
func Serve(ctx context.Context, queue, control int, board *ipc.Scoreboard, exit func(int), h Handler, opts ...Option) error {
	return serve(ctx, endpoint{queue: queue, control: control, entry: board.Entry(0), board: board, exit: exit}, h, opts...)
}

// RunBare runs a loop without a master, in the calling goroutine, for sockets that it
// takes over, until all are closed.
func RunBare(h Handler, idle time.Duration, sockets ...int) error {
	l, err := newLoop(newOptions(nil))
	if err != nil {
		return err
	}
	defer l.close()
	l.idleMS = millis(idle)
	l.start()
	defer l.end()
	for i, fd := range sockets {
		l.adopt(&ipc.Envelope{ID: uint64(i + 1)}, fd).openNew(h)
	}
	return l.run(new(bool))
}

// Strict has calls on the wrong goroutine panic, or not, however the test was built.
func Strict(on bool) Option { return func(o *options) { o.strict = on } }

// WithFlushTime replaces flushTime, which a test cannot wait for.
func WithFlushTime(d time.Duration) Option { return func(o *options) { o.flushTime = d } }

// WithMaxWaiting replaces maxWaiting.
func WithMaxWaiting(n int) Option { return func(o *options) { o.maxWaiting = n } }

const (
	ReservedFDs = reservedFDs
	HighWater   = highWater
	LowWater    = lowWater
)

// Ordered reports whether the loop of c has orders to obey.
func Ordered(c *Conn) bool { return !c.loop.orders.Empty() }

// Held returns the capacity of what the worker of c has buffered. It is for callbacks.
func Held(c *Conn) int { return c.loop.buffers.Held() }

// MissCloses runs f on the loop of a stream's listener, and has the loop lose
// what the kernel tells of it, as when the kernel's queue is full.
func MissCloses(l net.Listener, f func()) {
	streams := l.(*streamListener).streams
	streams.member.loop.messages.Put(message{f: func(*Conn) {
		f()
		streams.watch.Take(func(int32) {}, func() {})
		streams.missed()
	}})
}

// MemoryLimit returns the bound of what Held counts.
func MemoryLimit(c *Conn) int { return c.loop.memory.limit }

// StopWatching has the loop of a stream's listener watch no further connection, as
// when the user has no more watches. It returns when that is so.
func StopWatching(l net.Listener) {
	streams, done := l.(*streamListener).streams, make(chan struct{})
	streams.member.loop.messages.Put(message{f: func(*Conn) {
		streams.watch.Close()
		streams.watch, streams.watchErr = nil, errors.New("for the test")
		close(done)
	}})
	<-done
}

// Metrics are a program's own, of no process.
type Metrics struct{ metrics }

// NewMetrics makes some.
func NewMetrics() *Metrics { return new(Metrics) }

// Add makes a series.
func (m *Metrics) Add(s ipc.Series) { m.add(s, nil) }
