package worker

import (
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/buffers"
	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/internal/timerwheel"
)

// loop is an event loop, and owns its connections. It needs no master, and knows none:
// its owner is a client (RunClient), a test (package workertest), or a member, which
// adds what a worker has to do with its master.
//
// Everything here belongs to the loop's goroutine, except for orders, messages, beats,
// strayed, and what does not change once the loop has started. The loop touches its
// connections' sockets, and nothing else of the process.
//
// A loop makes turns (turn.go). In each it waits, serves every ready connection once,
// acts on a share of what was posted and on what is due by the clock, and looks at
// the memory that buffers take. After each callback it settles: it sends what the
// callback wrote, and acts on the connections that the callback touched.
type loop struct {
	owner   uintptr     // the goroutine that it runs on, as package caller names it
	strict  bool        // a call on another goroutine panics
	strayed atomic.Bool // there was such a call

	// What the loop's owner gives to it before it starts. A client gives obey alone; a
	// test, nothing.
	obey       func(order)            // acts on an order
	serveOther func(tag uint64) error // acts on an event of a descriptor that the owner added to set
	loosened   func()                 // called when the loop is to be locked to its thread no more; nil: nobody minds
	leaves     func(c *Conn) bool     // reports whether c, which was engaged, is to leave; nil: none do
	ledger     *ledger                // counts accepted connections; nil: nobody counts them

	log       hclog.Logger
	accessLog *AccessLog // for any goroutine
	hooks     Hooks
	ticks     []tick

	set       *poller.Set
	events    []poller.Event
	mustYield bool // each wait goes through Go's scheduler
	locked    bool // to its thread
	parks     bool // the loop waits as a goroutine, without a thread: it has no connections of its own
	meter     meter
	sequence  uint64         // odd while handlers run, even while the loop waits; it grows with each step
	beats     *atomic.Uint64 // a copy of sequence for others to read: a member's is in its scoreboard entry

	epoch   time.Time
	clock   func() time.Duration // the time since epoch; any goroutine may call it
	offloop offloop

	waker    *poller.Waker
	orders   mailbox.Mailbox[order]
	messages mailbox.Bounded[message]

	messagesRead bool // this turn's share of messages was acted on

	turnAt      time.Duration // the time of this turn, if turnAtKnown: see turnTime
	turnAtKnown bool
	wheel       *timerwheel.Wheel[alarm]
	timers      []*Timer // those that are armed
	idleMS      uint32   // the idle timeout of connections that set none

	table       table
	freshConns  stock[Conn]
	freshLayers stock[secured]
	dialled     int     // of those in the table
	dialer      *Dialer // does not change
	dirty       []*Conn // touched by callbacks; settle acts on them
	input       []byte  // what was just read, from any connection
	reading     *Conn   // the one whose Data or EOF runs, or nil
	corked      *Conn   // the one that was just written to, or nil
	cork        []byte  // what was written to it, and is not yet sent
	wire        []byte  // scratch space: what a transport has encoded
	filePiece   []byte  // scratch space: what a transport is to encode of a file
	buffers     buffers.Store
	memory      memory
	freeRecords []*unfinished // to be used again
	origins     map[place]*origin

	maxInput, maxOutput, highWater, lowWater int
	flushTime                                time.Duration

	lookedAt reflect.Type          // of the latest session: see lookAt
	looks    map[reflect.Type]bool // all of them

	thawing        *Conn  // the one that is being thawed, or nil
	thawingVersion string // of the session's state: see Conn.StateVersion
	opening        *Conn  // thawing, while its Open runs, or nil
	marshals       bool   // a MarshalBinary runs: connections may be packed

	transports transports
	handshakes handshakes
	facts      factsTable
	ciphers    ciphers
	refusals   refusals
	engaged    int                          // connections: see engaged.go
	draining   bool                         // connections are to move or to finish
	drainBy    time.Duration                // the deadline of that, or never
	called     bool                         // that deadline has come
	drains     bool                         // connections that come are asked to finish
	reported   func(id uint64, cause error) // told of each connection that has ended; nil but in workertest
}

// newLoop makes a loop, on the goroutine that is to run it. The caller closes it.
func newLoop(o options) (*loop, error) {
	l := &loop{
		strict: o.strict, log: o.log, accessLog: o.accessLog, hooks: o.hooks, ticks: o.ticks,
		events: make([]poller.Event, eventsPerTurn),
		beats:  new(atomic.Uint64),
		epoch:  time.Now(),
		wheel:  timerwheel.New[alarm](),
		table:  newTable(),
		input:  make([]byte, inputSize),
		cork:   make([]byte, 0, corkSize),

		maxInput: o.maxInput, maxOutput: o.maxOutput,
		highWater: min(highWater, o.maxOutput), lowWater: min(lowWater, o.maxOutput/4),
		flushTime: o.flushTime, transports: o.transports, meter: newMeter(),
		// Without asynchronous preemption no signal would end a raw wait, and a
		// stop of the world could wait for it for ever.
		mustYield: strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1"),
	}
	l.bind()
	l.refusals.log = o.log
	l.dialer = newDialer(l)
	l.drainBy = never
	l.handshakes.most = o.maxWaiting
	l.boundMemory(math.MaxInt64) // until its owner sets a bound
	l.clock = func() time.Duration { return time.Since(l.epoch) }
	var err error
	if l.set, l.waker, err = poller.NewWithWaker(tagWaker); err != nil {
		return nil, err
	}
	l.set.Yield(l.mustYield)
	l.orders.Notify = l.waker.Wake
	l.messages.Limit, l.messages.Notify = maxMessages, l.waker.Wake
	return l, nil
}

// park has the loop wait as a goroutine, without a thread of its own. It is called
// before start.
func (l *loop) park() error {
	l.parks = true
	return l.set.Park()
}

// start binds the loop to this goroutine, and to its thread unless it parks.
func (l *loop) start() {
	if !l.parks {
		runtime.LockOSThread()
		l.locked = true
	}
	l.bind()
	l.beat()
}

// beat tells whoever watches the loop that it stops waiting and runs handlers, and the
// next time that it waits again. The master takes a number that stays odd for a hang.
func (l *loop) beat() {
	l.sequence++
	l.beats.Store(l.sequence)
}

// progress tells them within a turn that a handler has returned, so that many quick
// ones do not look like a hang.
func (l *loop) progress() {
	l.sequence += 2
	l.beats.Store(l.sequence)
}

// drainSessions asks every session to finish.
func (l *loop) drainSessions() {
	l.table.each(func(c *Conn) {
		c.askToDrain()
		l.uncork()
	})
}

// askToDrain asks c's session to finish, once.
func (c *Conn) askToDrain() {
	session, ok := c.session.(DrainSession)
	if !ok || c.ending() || c.state.is(traitDrained) {
		return
	}
	c.state.mark(traitDrained)
	if err := c.callDrain(session); err != nil {
		c.end(err)
	}
}

// end closes what is still open, tells the sessions, and frees the goroutine's thread.
func (l *loop) end() {
	l.dialer.closed = true
	l.table.each(func(c *Conn) {
		if c.state.phase() != phaseLingering { // a lingering one has ended, and waits for its peer alone
			c.blame(ErrStopped)
		}
		c.sayEnd()
		c.closeNow()
	})
	l.settle() // callbacks may have touched what was closed after them
	l.refusals.end()
	if l.memory.news {
		l.logMemory()
	}
	l.tellCounts()
	if l.locked {
		runtime.UnlockOSThread()
	}
}

// close releases the loop's own descriptors, after end.
func (l *loop) close() {
	l.orders.Close()
	l.messages.Close()
	_ = l.waker.Close() // an eventfd has nothing to flush
	_ = l.set.Close()   // an epoll set has nothing to flush
}
