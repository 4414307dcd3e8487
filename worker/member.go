package worker

import (
	"fmt"
	"runtime"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// member is a loop that serves for a master: it takes connections from the queue,
// tells what becomes of them, moves them away, and drains. It is made and run by serve
// (worker.go), in the worker's process. Its parts, each with a file of its own:
//
//	loop      the connections, and the goroutine on which all of this runs
//	control   messages to and from the master
//	ledger    what the master is told of connections
//	intake    the queue, as far as connections come by it
//	mover     the queue, as far as connections leave by it
//	capacity  how many connections there is room for
//	drain     the way to the end
//	lister    connections, for an operator who wants to see them
//	questions what else an operator wants to know
//	kind      what depends on whether the connections are sessions or streams
//
// All of it belongs to the loop's goroutine, except for control, questions, for hear and terminate,
// which make orders for the loop (orders.go), and for what does not change. The loop does
// not know its member: it has the ledger, and two functions (loop.go).
type member struct {
	loop    *loop
	handler Handler
	kind    kind
	exit    func(status int) // ends the process; in tests, it may return
	abort   func()           // has the process print its stacks itself when it is aborted; nil in tests
	control *control

	ledger   ledger
	intake   intake
	mover    mover
	capacity capacity
	drain    drain
	lister   lister

	questions *questions
	streaming int           // open connections of streams
	lookAt    time.Duration // when the kind is to look for closed connections, or never
	stopped   bool          // the master has said stop
	failure   error         // the error of a Streams handler, which ends the member; or nil
	ended     chan struct{} // closed when no callback runs any more
}

// kind is what the two kinds of member do differently. It is chosen once, by
// newMember: sessions, if all connections are the loop's, or streams, if some or all
// are the program's.
type kind interface {
	// start begins what the program runs beside the loop, when the master has said
	// hello.
	start()
	// over reports whether a member that was asked to end has come to its end. It may
	// take in connections that are left in the queue.
	over() (bool, error)
	// look looks for connections whose close the kernel does not report. It is called at
	// the member's lookAt.
	look()
	// cutShort ends what is not the loop's, at the drain's deadline.
	cutShort()
	// end closes all that is not the loop's, and waits for nothing.
	end()
	// close releases descriptors, after end.
	close()
}

// endpoint is what the master has given to this worker, and exit.
type endpoint struct {
	queue   int              // owned by the member
	control int              // likewise
	entry   *ipc.Entry       // borrowed
	board   *ipc.Scoreboard  // borrowed: what the entry is in; nil: the entry is all there is
	metrics *metrics         // the program's own; nil: the master is told of none
	exit    func(status int) // see member

	abort func() // see member
}

// further returns where the further counters are told: nil if the master has no room for
// them.
func (e *endpoint) further(p ipc.Place) (*ipc.FurtherCounters, error) {
	if e.board == nil {
		return nil, nil
	}
	return e.board.Further(p)
}

// newMember makes a member that serves h, on the goroutine that is to run it. It
// takes ownership of queue and control, even on error. The caller closes the member.
func newMember(e endpoint, h Handler, o options) (*member, error) {
	l, err := newLoop(o)
	if err != nil {
		fdpass.CloseAll([]int{e.queue, e.control})
		return nil, err
	}
	m := &member{loop: l, handler: h, exit: e.exit, abort: e.abort, lookAt: never, ended: make(chan struct{})}
	m.control = newControl(e.control, o.log)
	m.ledger = ledger{entry: e.entry, control: m.control}
	m.intake = intake{member: m, fd: e.queue, clock: ipc.NewClock(), retry: never}
	m.mover = mover{member: m, retry: never, version: o.stateVersion}
	m.drain = drain{member: m, deadline: never}
	m.lister = lister{member: m, clock: m.intake.clock}
	m.questions = newQuestions(m.control, o.log)
	l.obey, l.serveOther, l.ledger, l.leaves = m.obey, m.serveOther, &m.ledger, m.mover.release
	l.loosened = m.loosened
	l.refusals.ledger = &m.ledger
	l.beats = &e.entry.Sequence
	err = m.chooseKind()
	if err == nil {
		err = m.intake.watch()
	}
	if err == nil && !movable(h) {
		err = l.park()
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// begin acts on the master's hello, and starts the loop. From here on the master can
// see it beat.
func (m *member) begin(hello ipc.Hello, programMemory int64) error {
	if hello.Protocol != ipc.Version {
		return fmt.Errorf("the master speaks protocol %d, this program %d", hello.Protocol, ipc.Version)
	}
	l := m.loop
	m.ledger.reportIDs = hello.Report == ipc.ReportIDs
	m.intake.timeout = time.Duration(hello.QueueTimeoutMS) * time.Millisecond
	l.idleMS = uint32(min(hello.IdleTimeoutMS, maxIdleMS))
	l.boundMemory(memoryLimit(hello, programMemory))
	m.kind.start()
	l.start()
	if !l.parks {
		m.ledger.entry.Thread.Store(uint64(unix.Gettid()))
	}
	return nil
}

// loosened is called when the loop is to be locked to its thread no more: who samples it has
// no thread to look at, and none is a batch task.
func (m *member) loosened() {
	if m.abort != nil {
		m.abort()
	}
	m.ledger.entry.Thread.Store(0)
	m.intake.scheduling.End()
}

// ready is what the member says when it is. protos are those that it offers by ALPN.
func (m *member) ready(protos []string) ipc.Ready {
	r := ipc.Ready{Protocol: ipc.Version, Capacity: m.capacity.accepted, Moves: movable(m.handler), Closes: true, Proxy: true, AccessLog: true,
		Asks: []string{ipc.AskList, ipc.AskStacks, ipc.AskProfile, ipc.AskLogLevel}}
	if m.loop.transports.credentials != nil {
		r.TLS, r.ALPN = true, protos
	}
	return r
}

// memoryLimit returns a member's bound: the operator's, else the program's (0: none),
// else the master's proposal, else its own.
func memoryLimit(hello ipc.Hello, program int64) int64 {
	if hello.MemoryBytes > 0 && (program <= 0 || !hello.MemoryIsDefault) {
		return hello.MemoryBytes
	}
	return ownLimit(program)
}

// run returns when the member is drained or stopped, or the queue breaks the
// protocol.
func (m *member) run() error {
	for {
		if over, err := m.over(); over || err != nil {
			return err
		}
		if err := m.turn(true); err != nil {
			return err
		}
	}
}

// turn is one turn of the loop, with the member's business in between. It waits only if
// mayWait.
func (m *member) turn(mayWait bool) error {
	l := m.loop
	ofLoop, ofMember := l.nextDeadline(), m.nextDeadline()
	timeout := time.Duration(0)
	if mayWait {
		timeout = l.until(min(ofLoop, ofMember))
	}
	n, err := l.wait(timeout)
	if err != nil {
		return err
	}
	if m.intake.pending() { // the rest of a packet of an earlier turn
		if _, err := m.intake.take(); err != nil {
			return err
		}
	}
	if _, err := l.act(n, ofLoop); err != nil {
		return err
	}
	if len(m.mover.released) > 0 {
		m.mover.leave()
	}
	if ofMember != never {
		m.expire(l.turnTime())
	}
	l.mindMemory()
	if l.dialled > 0 || m.capacity.withheld > 0 || m.intake.crowded {
		m.reckon()
	}
	m.ledger.report()
	return nil
}

// nextDeadline returns when the member has something to do by the clock, beside the
// loop, or never.
func (m *member) nextDeadline() time.Duration {
	return min(m.drain.next(), m.intake.next(), m.mover.next(), m.lister.next(), m.lookAt)
}

// expire acts on what is due, of the member's parts.
func (m *member) expire(now time.Duration) {
	m.intake.expire(now)
	if m.drain.next() <= now {
		m.drain.cutShort()
	}
	if m.lookAt <= now {
		m.kind.look()
	}
	m.loop.settle()
	if m.mover.retry <= now {
		m.mover.move()
	}
	if m.lister.next() <= now {
		m.lister.list()
	}
}

// serveOther acts on an event of a descriptor that is not the loop's: the queue, or the
// watch of streams.
func (m *member) serveOther(tag uint64) error {
	if tag == tagStreams {
		m.intake.streams.ready()
		return nil
	}
	err := m.intake.ready()
	if m.intake.streams != nil && !m.loop.parks {
		runtime.Gosched() // else a goroutine that Accept has woken would wait until this thread gives up its P
	}
	return err
}

// over reports whether the member has come to its end, which may be an error.
func (m *member) over() (bool, error) {
	switch {
	case m.stopped:
		return true, nil
	case m.failure != nil:
		return true, m.failure
	case m.drain.step == stepServing:
		return false, nil
	case m.drain.step == stepAlone && m.loop.accepted() > 0:
		return false, nil
	}
	return m.kind.over()
}

// end closes what is still open, and tells the sessions.
func (m *member) end() {
	m.loop.dialer.closed = true
	m.intake.drop()
	m.loop.end()
	m.kind.end()
	m.questions.end()
	close(m.ended)
}

// close releases the descriptors, after end, and ends control's goroutines.
func (m *member) close() {
	m.kind.close()
	m.loop.close()
	m.intake.close()
	m.control.close()
}
