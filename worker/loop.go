package worker

import (
	"math"
	"os"
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
// Everything here is the loop's goroutine's alone, except for orders, messages,
// strayed, and what does not change once the loop has started. It touches its
// connections' sockets, and of the process nothing else.
//
// One turn (turn.go): wait; serve each ready connection once, settling after each
// what its callbacks have changed, and a share of what was posted; then what is due
// by the clock; then what the buffers take.
type loop struct {
	owner   uintptr     // the goroutine that it runs on, as package caller has it
	strict  bool        // a call on another one panics
	strayed atomic.Bool // there was one

	// What the owner of the loop has given to it, before it starts. A client gives it
	// obey alone; a test, nothing.
	obey       func(order)            // acts on an order
	serveOther func(tag uint64) error // acts on an event of what is the owner's and no connection
	ledger     *ledger                // counts connections that were accepted; nil: nobody does

	log   hclog.Logger
	hooks Hooks
	ticks []tick

	set    *poller.Set
	events []poller.Event
	// mustYield: the loop always waits through the scheduler. parks: as a
	// goroutine, on whatever thread, since all connections are other goroutines'.
	mustYield, parks bool
	sequence         uint64         // how often beat was called, and progress twice
	beats            *atomic.Uint64 // the same for others to look at: a member's is in its scoreboard entry

	epoch   time.Time
	clock   func() time.Duration // since epoch, from any goroutine
	offloop offloop

	waker    *poller.Waker
	orders   mailbox.Mailbox[order]   // see order
	messages mailbox.Bounded[message] // see message

	messagesRead bool // this turn's share of them was acted on

	turnAt      time.Duration // when this turn is, once turnTime was asked
	turnAtKnown bool
	wheel       *timerwheel.Wheel[alarm]
	timers      []*Timer // that are to run
	idleMS      uint32   // the idle timeout of connections that set none

	table       table
	dialled     int     // of those in the table
	dialer      *Dialer // does not change
	dirty       []*Conn // to settle
	input       []byte  // what was just read
	reading     *Conn   // or nil: while its Data or EOF runs
	cork        []byte  // what was just written, to
	corked      *Conn
	wire        []byte // scratch space: what a transport has encoded
	filePiece   []byte // likewise: what it is to encode of a file
	buffers     buffers.Store
	memory      memory
	freeRecords []*unfinished // of what is unfinished
	origins     map[place]*origin

	maxInput, maxOutput, highWater, lowWater int
	flushTime                                time.Duration

	thawing        *Conn // or nil
	thawingVersion string
	opening        *Conn // of thawing: while its Open runs

	transports transports
	reported   func(id uint64, cause error) // nil but in workertest
}

// newLoop makes a loop, on the goroutine that is to run it. The caller closes it.
func newLoop(o options) (*loop, error) {
	l := &loop{
		strict: o.strict, log: o.log, hooks: o.hooks, ticks: o.ticks,
		events: make([]poller.Event, eventsPerTurn),
		beats:  new(atomic.Uint64),
		epoch:  time.Now(),
		wheel:  timerwheel.New[alarm](),
		table:  newTable(),
		input:  make([]byte, inputSize),
		cork:   make([]byte, 0, corkSize),

		maxInput: o.maxInput, maxOutput: o.maxOutput,
		highWater: min(highWater, o.maxOutput), lowWater: min(lowWater, o.maxOutput/4),
		flushTime: o.flushTime, transports: o.transports,
		// Without asynchronous preemption no signal would end a raw wait, and a
		// stop of the world could wait for it for ever.
		mustYield: strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1"),
	}
	l.bind()
	l.dialer = newDialer(l)
	l.boundMemory(math.MaxInt64) // until whoever runs it says
	l.clock = func() time.Duration { return time.Since(l.epoch) }
	var err error
	if l.set, err = poller.New(); err != nil {
		return nil, err
	}
	l.set.Yield(l.mustYield)
	if l.waker, err = poller.NewWaker(l.set, tagWaker); err != nil {
		_ = l.set.Close() // the error of NewWaker is the one to report
		return nil, err
	}
	l.orders.Notify = l.waker.Wake
	l.messages.Limit, l.messages.Notify = maxMessages, l.waker.Wake
	return l, nil
}

// park has the loop wait as a goroutine, without a thread of its own. It comes
// before start.
func (l *loop) park() error {
	l.parks = true
	return l.set.Park()
}

// start binds the loop to this goroutine, and to its thread unless it parks.
func (l *loop) start() {
	if !l.parks {
		runtime.LockOSThread()
	}
	l.bind()
	l.beat()
}

// beat says that handlers run, or, every other time, that the loop waits: the number
// is odd while they run.
func (l *loop) beat() {
	l.sequence++
	l.beats.Store(l.sequence)
}

// progress says, within a turn, that the last handler has returned: many quick
// ones are no hang.
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

// askToDrain tells the session, once.
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

// end closes what is still open, tells the sessions, and unbinds the goroutine.
func (l *loop) end() {
	l.dialer.closed = true
	l.table.each(func(c *Conn) {
		if c.state.phase() != phaseLingering { // that one has ended but for its peer
			c.blame(ErrStopped)
		}
		c.closeNow()
	})
	l.settle() // callbacks may have touched what was closed after them
	if l.memory.news {
		l.logMemory()
	}
	if !l.parks {
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
