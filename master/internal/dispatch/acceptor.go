package dispatch

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/batchsched"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/descriptor"
)

// Acceptor is the accept goroutine: it alone accepts, and it alone touches the
// queues. Others have it run a function between two turns.
//
// A turn, in this order: place the hand; rescue what waits in the queues of
// workers that leave; accept. Each step starts only when the one before it has
// nothing left and some worker has room. Without room the listeners leave the
// epoll set, and the kernel's backlog holds the clients; a bell (see ipc.Entry)
// or a message ends the wait, not a poll. While clients come by the ten thousand,
// gathering puts a moment between two turns.
type Acceptor struct {
	log        hclog.Logger
	set        *poller.Set
	waker      *poller.Waker
	mail       mailbox.Mailbox[posted]
	events     [64]poller.Event
	dispatcher dispatcher
	reserve    descriptor.Reserve // for one packet: a receiver without room would lose the connections in it

	listeners    []*Listener
	sockets      []listenSocket // the listeners' own sockets, in their order
	subacceptors []*subacceptor
	pending      []pendingConn // from greeters, and not yet counted: it waits for room
	ready        []*Listener   // with clients waiting, as of the last wait
	accepts      acceptLoop
	clock        ipc.Clock
	lastID       uint64
	serial       uint64
	atOnce       int // most connections to accept at a time
	limits       limits
	bucket       bucket
	refusals     logLimiter
	scheduling   batchsched.Thread // by clock
	coalescing   coalescing        // likewise

	retries int       // turns in a row that a full queue ended
	retryAt time.Time // when to try full queues again; zero: none is
	noWait  bool      // room was found at the last look: no wait
	// unfinished: settling stopped at its bound, and nothing else would go on with it.
	unfinished bool

	strandedUntil time.Time // when to give up moved connections that nobody can thaw; zero: there are none

	awaited awaited // what the supervisor waits for

	inspectAt time.Time // when to look for stuck workers; zero: nothing waits

	stuck atomic.Bool // some worker takes nothing from its queue; any goroutine may read it

	resumed chan struct{} // the supervisor's: closed by Resume; nil: it has not paused
	stopped chan struct{} // closed when run has returned
	ending  bool
}

// The kinds of epoll tags, in the top byte; a seat's serial below.
const (
	tagWaker = iota << 56
	tagListener
	tagQueue

	tagKind = 0xff << 56
)

// strandedLimit is how long moved connections wait in the hand for a worker that
// can thaw them, while there is none: its successor may be starting.
const strandedLimit = 5 * time.Second

// New makes the accept goroutine, which begins with run.
func New(setup Setup) (*Acceptor, error) {
	set, err := poller.New()
	if err != nil {
		return nil, err
	}
	waker, err := poller.NewWaker(set, tagWaker)
	if err != nil {
		_ = set.Close() // the first error is the one to report
		return nil, err
	}
	a := &Acceptor{
		log: setup.Logger, set: set, waker: waker, accepts: acceptLoop{log: setup.Logger},
		clock:   ipc.NewClock(),
		atOnce:  MostAtOnce(setup.DescriptorLimit),
		stopped: make(chan struct{}),
	}
	a.mail.Notify = waker.Wake
	a.reserve.Size = max(a.atOnce, 2) // a connection with a large state brings two
	a.dispatcher = dispatcher{log: setup.Logger, maxQueuedTotal: setup.DescriptorLimit / 2, report: setup.Report, watchQueue: a.watchQueue}
	a.dispatcher.packets.Discard = a.dispatcher.discards.discard
	a.configure(setup.Settings)
	a.setListeners(setup.Listeners)
	for range setup.Acceptors - 1 {
		s, err := newSubacceptor(a)
		if err != nil {
			a.closePending()
			_ = errors.Join(waker.Close(), set.Close()) // the first error is the one to report
			return nil, err
		}
		a.subacceptors = append(a.subacceptors, s)
	}
	return a, nil
}

// MostAtOnce is how many connections are accepted at a time, and how many descriptors
// are kept in reserve for them, with a limit of descriptors.
func MostAtOnce(descriptorLimit int) int { return min(ipc.MaxConns, max(1, descriptorLimit/4)) }

// run is the accept goroutine.
func (a *Acceptor) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer a.Close()
	a.reserve.Fill()
	a.startSubacceptors()
	for !a.ending {
		if err := a.cycle(); err != nil {
			return fmt.Errorf("accept loop: %w", err)
		}
	}
	return nil
}

// cycle takes a turn, and waits for what brings the next one.
func (a *Acceptor) cycle() error {
	a.turn()
	a.coalesce()
	n, err := a.set.Wait(a.events[:], a.timeout())
	for i := range a.events[:n] {
		a.handle(a.events[i].Tag())
	}
	return err
}

func (a *Acceptor) handle(tag uint64) {
	switch tag & tagKind {
	case tagWaker:
		a.waker.Clear()
		for _, p := range a.mail.Take() {
			answer := a.act(p.request)
			if p.answer != nil {
				p.answer <- answer
			}
		}
	case tagListener:
		if i := int(tag &^ tagKind); i < len(a.sockets) {
			a.ready = append(a.ready, a.sockets[i].listener)
		}
	case tagQueue:
		a.queueReadable(tag &^ tagKind)
	}
}

// returned handles readiness of a queue's master end: a worker gives
// connections back, or shut its end. They are taken when there is room for them
// elsewhere; until then the kernel holds them, and epoll is not to say so again.
func (a *Acceptor) queueReadable(serial uint64) {
	for _, q := range a.dispatcher.all {
		if q.serial == serial && q.phase != QueueReaped && !q.gaveBack {
			_ = a.set.Del(q.spec.FD) // it is in the set
			if q.spec.Moves {
				q.gaveBack = true
			} else {
				a.dispatcher.report(QueueBroken{q.spec.Worker, errQueueBroken})
			}
			return
		}
	}
}

// rewatch is the end of that.
func (a *Acceptor) watchQueue(q *workerQueue) {
	if q.broken {
		return
	}
	if err := a.set.Add(q.spec.FD, poller.In, tagQueue|q.serial); err != nil {
		a.dispatcher.report(QueueBroken{q.spec.Worker, err})
	}
}

// turn does all that can be done without waiting, and arranges what ends the wait.
func (a *Acceptor) turn() {
	d := &a.dispatcher
	a.noWait, a.unfinished = false, false
	if !a.retryAt.IsZero() && !time.Now().Before(a.retryAt) {
		a.retryAt = time.Time{}
		d.unblock()
	}
	if !a.inspectAt.IsZero() && !time.Now().Before(a.inspectAt) {
		a.inspectAt, d.inspectAgain = time.Time{}, false // the survey finds it anew
		a.stuck.Store(d.inspectQueues())
	}
	if a.untilWindowEnds() == 0 {
		a.scheduling.EndWindow(a.clock.Now())
	}
	d.capacity = d.measure()
	a.placeAll()
	a.noWait = a.takePending() && a.anyPending()
	came := 0
	for _, l := range a.ready {
		if !a.accepts.pause.Over(time.Now) {
			break // it is reported again as long as clients wait
		}
		switch quota := a.quota(); {
		case quota > 0:
			n, _ := a.acceptFrom(l, l.FD, quota)
			came += n
			a.placeAll()
		case a.turnsAway():
			a.turnAway(l)
		}
	}
	a.ready = a.ready[:0]
	if came > 0 {
		a.coalescing.came(came, a.clock.Now())
	}
	resumed, quota := a.accepts.pause.Over(time.Now), a.quota()
	a.watchListeners(resumed && (quota > 0 || a.turnsAway()))
	if quota == 0 {
		a.waitForRoom()
	} else if d.awaitsGuard() {
		a.setBells()
		d.capacity = d.measure()
		a.noWait = !d.awaitsGuard()
	}
	a.noWait = a.noWait || a.unfinished
	a.planRetry()
	a.reportAwaited()
	if d.inspectAgain && a.inspectAt.IsZero() {
		a.inspectAt = time.Now().Add(stuckAfter)
	}
}

// mostFetches is how many packets one settling takes back: more wait for the next
// turn, since a worker may give back as fast as it is given.
const mostReclaims = 64

// settle places the hand, and then what there is to fetch, as far as the latest
// survey found room. What is left in the hand found nobody.
func (a *Acceptor) placeAll() {
	d := &a.dispatcher
	for fetches := 0; ; fetches++ {
		d.returnMoved()
		for before := -1; d.batch.Len() > 0 && d.capacity.room > 0; {
			if d.place() {
				break
			}
			d.capacity = d.measure() // some queue refused: without it
			left := d.held()
			if left == before {
				break // moved ones, and nobody who can thaw them has room
			}
			before = left
		}
		if d.batch.Len() > 0 {
			return
		}
		if fetches == mostReclaims {
			a.unfinished = true
		} else if a.reclaim() {
			continue
		}
		a.reserve.Fill()
		return
	}
}

// fetch takes a packet that was given back, or is to be rescued, into the hand,
// which is empty, and reports whether it did. The reserve makes room for it.
func (a *Acceptor) reclaim() bool {
	d := &a.dispatcher
	if d.anyTakeable() {
		a.reserve.Release()
		if d.takeBack() {
			return true
		}
	}
	if d.capacity.room == 0 || !d.rescuable() {
		return false
	}
	a.reserve.Release()
	return d.rescue()
}

// acceptFrom accepts into the hand, which is empty, no more than quota, from one
// of a listener's sockets. It returns how many came in, and whether there may be more.
func (a *Acceptor) acceptFrom(l *Listener, socket, quota int) (n int, more bool) {
	envelope := ipc.Envelope{Local: l.Bound, Listener: l.Name, Accepted: a.clock.Now()}
	conns, more := a.accepts.take(l, socket, quota)
	for i := range conns {
		envelope.Remote = conns[i].peer
		if a.admit(&envelope, conns[i].fd) {
			n++
		}
	}
	a.scheduling.Came(n, envelope.Accepted)
	return n, more
}

// welcome takes an accepted connection into the hand, and gives it its id, unless
// it is one too many of its address.
func (a *Acceptor) admit(e *ipc.Envelope, fd int) bool {
	a.lastID++
	e.ID = a.lastID
	if !a.dispatcher.perIP.admit(e.ID, e.Remote.Addr()) {
		a.refuse(fd, e.Remote, "max-conns-per-ip")
		return false
	}
	a.dispatcher.addAccepted(e, fd)
	killpoint.Reach(killpoint.Accepted)
	a.dispatcher.totals.accepted++
	a.dispatcher.capacity.admit()
	a.bucket.take(1)
	return true
}

// watchListeners puts all listeners into the epoll set, or takes them out.
func (a *Acceptor) watchListeners(on bool) {
	for i := range a.sockets {
		if on {
			a.watch(&a.sockets[i], uint64(i))
		} else {
			a.unwatch(&a.sockets[i])
		}
	}
}

func (a *Acceptor) watch(s *listenSocket, index uint64) {
	if s.watched {
		return
	}
	if err := a.set.Add(s.fd, poller.In, tagListener|index); err != nil {
		a.log.Error("cannot watch a listener, retrying", "listener", s.listener.Address, "error", err)
		a.retryAt = time.Now().Add(time.Second)
		return
	}
	s.watched = true
}

func (a *Acceptor) unwatch(s *listenSocket) {
	if s.watched {
		_ = a.set.Del(s.fd) // it is in the set: Del cannot fail
		s.watched = false
	}
}

func (a *Acceptor) Close() {
	defer close(a.stopped)
	a.closePending()
	a.watchListeners(false)
	a.setListeners(nil)
	a.dispatcher.abandon()
	a.reserve.Release()
	_ = errors.Join(a.waker.Close(), a.set.Close()) // nothing is left that could be saved
}
