package worker

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/buffers"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/internal/pace"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/internal/timerwheel"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// eventsPerTurn bounds the work between two looks at what is due by the clock.
const eventsPerTurn = 256

// loop is the event loop of a worker, and owns its connections. Everything here
// is its goroutine's alone, except for calls, messages, ended, and what never
// changes.
//
// One turn: wait; serve each ready connection once, settling after each what its
// callbacks have changed, and a share of what was posted; then what is due by the
// clock; then news for the master.
type loop struct {
	owner   uintptr     // the goroutine that it runs on, as package caller has it
	strict  bool        // a call on another one panics
	strayed atomic.Bool // there was one

	station station
	control *control
	handler Handler
	log     hclog.Logger
	hooks   Hooks
	ticks   []tick

	set      *poller.Set
	events   []poller.Event
	sequence uint64 // as in ipc.Entry
	epoch    time.Time
	clock    func() time.Duration // since epoch, from any goroutine
	waker    *poller.Waker
	calls    mailbox.Mailbox[func()]  // what the loop itself is to do
	messages mailbox.Bounded[message] // see message
	served   bool                     // this turn's share of messages is used up
	offloop  offloop
	// mustYield: the loop always waits through the scheduler. parks: as a
	// goroutine, on whatever thread, since all connections are other goroutines'.
	mustYield, parks bool
	ended            chan struct{}

	turn   time.Duration // the time of this turn, if known
	known  bool
	wheel  *timerwheel.Wheel[alarm]
	timers []*Timer // that are to run
	idleMS uint32   // the idle timeout of connections that set none

	table     table
	dialled   int // of those in the table
	room      room
	dialer    *Dialer // does not change
	dirty     []*Conn // to settle
	input     []byte  // what was just read
	reading   *Conn   // or nil: while its Data or EOF runs
	cork      []byte  // what was just written, to
	corked    *Conn
	buffers   buffers.Store
	memory    memory
	leftovers []*leftovers // free ones
	origins   map[origin]*origin

	maxInput, maxOutput, highWater, lowWater int
	programMemory                            int64 // by WithMemory
	flushTime                                time.Duration

	queue   intake
	pace    pace.Pace
	drain   drain
	streams *streams // nil without Streams handlers
	mover   *mover   // nil until connections are to move: it is large

	stateVersion   string
	thawing        *Conn // or nil
	thawingVersion string
	opening        *Conn         // of thawing: while its Open runs
	frozenAt       time.Duration // on CLOCK_MONOTONIC: what was thawed last
	losses         losses

	ending    func(id uint64, cause error) // nil but in workertest
	reportIDs bool
	closedIDs []uint64 // to report
	stopped   bool
	hungUp    bool // nothing more is dialled, unless one more connection comes
}

// newLoop takes ownership of the station's queue, even on error. The caller
// closes the loop.
func newLoop(s station, link *control, h Handler, o options) (*loop, error) {
	l := &loop{
		station: s, control: link, handler: h, log: o.log, hooks: o.hooks, ticks: o.ticks,
		events: make([]poller.Event, eventsPerTurn),
		epoch:  time.Now(),
		ended:  make(chan struct{}),
		wheel:  timerwheel.New[alarm](),
		table:  newTable(),
		input:  make([]byte, inputSize),
		cork:   make([]byte, 0, corkSize),

		maxInput: o.maxInput, maxOutput: o.maxOutput,
		highWater: min(highWater, o.maxOutput), lowWater: min(lowWater, o.maxOutput/4),
		flushTime: o.flushTime, stateVersion: o.stateVersion,
		strict: o.strict, programMemory: o.memory,
	}
	l.bind()
	l.dialer = newDialer(l)
	l.boundMemory(ipc.Hello{MemoryBytes: math.MaxInt64, MemoryIsDefault: true}) // until hello
	l.clock = func() time.Duration { return time.Since(l.epoch) }
	l.queue.clock = ipc.NewClock()
	set, err := poller.New()
	if err != nil {
		_ = unix.Close(s.queue) // the error of New is the one to report
		return nil, err
	}
	l.set = set
	// Without asynchronous preemption no signal would end a raw wait, and a
	// stop of the world could wait for it for ever.
	l.mustYield = strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1")
	waker, err := poller.NewWaker(set, tagWaker)
	if err == nil {
		l.waker, l.calls.Notify = waker, waker.Wake
		l.messages.Limit, l.messages.Notify = maxMessages, waker.Wake
		err = set.Add(s.queue, poller.In, tagQueue)
	}
	if err == nil {
		l.streams, err = newStreams(l, h)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	if l.parks = !movable(h); l.parks {
		if err := set.Park(); err != nil {
			l.close()
			return nil, err
		}
	}
	l.mustYield = l.mustYield || l.streams != nil
	set.Yield(l.mustYield)
	l.queue.watched = true
	return l, nil
}

// begin binds the loop to this goroutine, and to its thread unless it parks. From
// here on the master can see it beat.
func (l *loop) begin(hello ipc.Hello) error {
	if hello.Protocol != ipc.Version {
		return fmt.Errorf("the master speaks protocol %d, this program %d", hello.Protocol, ipc.Version)
	}
	l.reportIDs = hello.Report == ipc.ReportIDs
	l.queue.timeout = time.Duration(hello.QueueTimeoutMS) * time.Millisecond
	l.idleMS = uint32(min(hello.IdleTimeoutMS, maxIdleMS))
	l.boundMemory(hello)
	l.streams.start()
	if !l.parks {
		runtime.LockOSThread()
		l.station.entry.Thread.Store(uint64(unix.Gettid()))
	}
	l.bind()
	l.beat()
	return nil
}

// run returns when the loop is drained or stopped, or the queue breaks the
// protocol.
func (l *loop) run() error {
	for {
		if over, err := l.over(); over || err != nil {
			return err
		}
		next := l.nextDeadline()
		if _, err := l.turnOver(next, l.until(next)); err != nil {
			return err
		}
	}
}

// turnOver is one turn, which waits for so long unless messages are left. It returns
// how many events came and messages were read.
func (l *loop) turnOver(next, timeout time.Duration) (int, error) {
	if l.messages.Left() {
		timeout = 0
	}
	l.beat()
	n, err := l.set.Wait(l.events, timeout)
	l.beat()
	if err != nil {
		return 0, err
	}
	return l.act(n, next != never)
}

// act is what a turn does once n events have come, and returns how many it found.
// Without due nothing is planned for any time.
func (l *loop) act(n int, due bool) (int, error) {
	l.known = false
	l.served = false
	if l.queue.pending() { // of an earlier turn
		if _, err := l.takeIn(); err != nil {
			return n, err
		}
	}
	for i := range n {
		if i > 0 {
			l.progress()
		}
		if err := l.serve(&l.events[i]); err != nil {
			return n, err
		}
	}
	if l.messages.Left() { // of an earlier turn
		n += l.readMessages()
	}
	if due {
		l.expire(l.turnTime())
	}
	if l.memory.full || l.memory.news || l.buffers.Held() > l.memory.look {
		l.mindMemory()
	}
	if l.dialled > 0 || l.room.withheld > 0 || l.room.held {
		l.reckon()
	}
	l.sendIDs()
	l.sendLosses()
	return n, nil
}

// end closes what is still open, tells the sessions, and unbinds the goroutine.
func (l *loop) end() {
	l.hungUp = true
	l.dropPacket()
	l.table.each(func(c *Conn) {
		if c.state.phase() != phaseLingering { // that one has ended but for its peer
			c.blame(ErrStopped)
		}
		c.finish()
	})
	l.settle() // callbacks may have touched what was closed after them
	if l.memory.news {
		l.tellMemory()
	}
	l.streams.end()
	close(l.ended)
	if !l.parks {
		runtime.UnlockOSThread()
	}
}

// close releases the loop's descriptors, after end.
func (l *loop) close() {
	if l.waker != nil {
		l.calls.Close()
		l.messages.Close()
		_ = l.waker.Close() // an eventfd has nothing to flush
	}
	l.streams.close()
	_ = l.set.Close()               // an epoll set has nothing to flush
	_ = unix.Close(l.station.queue) // what is unread is the master's again
}

// beat moves the sequence number on: odd while handlers run, even while
// waiting.
func (l *loop) beat() {
	l.sequence++
	l.station.entry.Sequence.Store(l.sequence)
}

// progress shows, within a turn, that the last handler has returned: many quick
// ones are no hang.
func (l *loop) progress() {
	l.sequence += 2
	l.station.entry.Sequence.Store(l.sequence)
}

// serve acts on one event.
func (l *loop) serve(event *poller.Event) error {
	switch tag := event.Tag(); tag {
	case tagQueue:
		if !l.queue.watched || l.queue.pending() {
			return nil // it was left in this turn, or has had its share of it
		}
		_, err := l.takeIn()
		if l.streams != nil && !l.parks {
			runtime.Gosched() // Accept is ready now, and would wait for the P that this thread keeps into its system call
		}
		return err
	case tagWaker:
		l.runCalls()
		l.readMessages()
	case tagStreams:
		l.streams.ready()
	default:
		if c := l.table.lookup(tag); c != nil {
			if event.Ready() == poller.In && c.plain() {
				c.readPlain()
			} else {
				c.ready(event.Ready())
			}
			if l.corked == c && len(l.dirty) == 0 && len(l.cork) > 0 {
				c.writePlain()
			} else {
				l.settle()
			}
			killpoint.Reach(killpoint.Answered)
		}
	}
	return nil
}

// settle sends what the last callback wrote, and acts on all that it touched;
// the callbacks that this makes may touch more.
func (l *loop) settle() {
	for i := 0; ; i++ {
		l.uncork()
		if i == len(l.dirty) {
			break
		}
		c := l.dirty[i]
		l.dirty[i] = nil
		c.settle()
	}
	l.dirty = l.dirty[:0]
}

// obey does what the master says. It is called on the listener's goroutine.
func (l *loop) obey(m ipc.Message) {
	switch m := m.(type) {
	case ipc.Drain:
		deadline := never
		if m.DeadlineMS > 0 {
			deadline = l.now() + time.Duration(m.DeadlineMS)*time.Millisecond
		}
		l.calls.Put(func() {
			l.drain.told = true
			l.beginDrain(deadline, m.Mode == ipc.DrainMove)
		})
	case ipc.Move:
		l.calls.Put(func() {
			switch {
			case m.Count == 0 && m.ID == 0:
				l.keep()
				l.control.send(ipc.Moved{Staying: l.accepted()}) // those before it are on their way
			case m.Count == 0:
				l.cancelOrder(m.ID)
			case !l.drain.on:
				l.beginMove(m.ID, m.Count)
			}
		})
	case ipc.Stop:
		l.calls.Put(func() { l.stopped = true })
		select {
		case <-l.ended:
		case <-time.After(stopTime):
			l.station.exit(0) // a handler is stuck
		}
	default:
		l.log.Debug("control message ignored", "reason", fmt.Sprintf("%T", m))
	}
}

// terminate is called on a goroutine of its own when this process alone, not by
// the master, was asked to end. The master says how: connections may have
// somewhere to go, at once or soon, and are not asked to finish before that is
// known. Until then they are served.
func (l *loop) terminate() {
	l.control.send(ipc.Draining{})
	l.calls.Put(func() {
		if l.drain.on {
			return
		}
		if !movable(l.handler) {
			l.beginDrain(never, false)
			return
		}
		l.drain.alone = true
	})
}

// stopTime is how long a stop waits for the callback that runs.
const stopTime = 500 * time.Millisecond

func (l *loop) nextDeadline() time.Duration {
	next := min(l.drain.next(), l.queue.next(), l.mover.next(), l.nextTick(), l.pace.Due(), l.memory.next(), l.streams.next())
	if deadline, ok := l.wheel.Next(); ok {
		next = min(next, deadline)
	}
	return next
}

func (l *loop) expire(now time.Duration) {
	l.ringAlarms()
	if l.pace.Due() <= now {
		l.pace.Judge(now)
	}
	if l.queue.next() <= now && !l.queue.pending() {
		l.retryQueue()
	}
	if l.drain.next() <= now {
		l.cutShort()
	}
	if l.streams.next() <= now {
		l.streams.look()
	}
	l.settle()
	l.tick(now)
	if l.mover.next() <= now {
		l.move()
	}
}

// countClosed books a closed connection, after close(2).
func (l *loop) countClosed(id uint64) {
	if l.station.entry.AddClosed(1) {
		l.control.send(ipc.Closed{})
	}
	if l.reportIDs {
		l.closedIDs = append(l.closedIDs, id)
	}
}

// sendIDs tells the master which connections were closed in this turn.
func (l *loop) sendIDs() {
	for ids := l.closedIDs; len(ids) > 0; {
		n := min(len(ids), ipc.MaxIDs)
		l.control.send(ipc.Closed{IDs: ids[:n]})
		ids = ids[n:]
	}
	l.closedIDs = l.closedIDs[:0]
}
