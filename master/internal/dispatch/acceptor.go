package dispatch

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/batchsched"
	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/descriptor"
)

// Acceptor is the accept goroutine. It alone places connections and touches the
// workers' queues and the books. Its exported methods are for others, and send it
// requests that are values (requests.go); it acts on them between two turns (turn.go).
// What it tells in its own time are events (event.go).
//
// Run is the goroutine. New, Inherit and Close, if Run was not called, are for the
// goroutine that makes it.
type Acceptor struct {
	log hclog.Logger

	// What others use, too:
	mail    mailbox.Mailbox[posted]
	waker   *poller.Waker
	stuck   atomic.Bool   // some worker takes nothing from its queue
	stopped chan struct{} // closed when Run has returned
	resumed chan struct{} // of whoever calls Pause and Resume; nil: it is not paused

	// The accept goroutine's alone:
	set        *poller.Set
	events     [64]poller.Event
	clock      ipc.Clock
	ending     bool // Interrupt was called
	dispatcher dispatcher
	reserve    descriptor.Reserve // for one packet: a receiver without room would lose the connections in it
	awaited    awaited
	timers     timers
	scheduling batchsched.Thread // by clock
	coalescing coalescing        // likewise

	// What comes in:
	listeners    []*Listener
	sockets      []listenSocket // the listeners' own sockets, in their order
	ready        []*Listener    // with clients waiting, as of the last wait
	accepts      acceptLoop
	subacceptors []*subacceptor
	pending      []pendingConn // from subacceptors, and not yet counted: they wait for room
	limits       limits
	atOnce       int    // most connections to accept at a time
	lastID       uint64 // of a connection
	serial       uint64 // of the queue that was opened last
}

// The kinds of epoll tags, in the top byte; a socket's place or a queue's serial below.
const (
	tagWaker = iota << 56
	tagListener
	tagQueue

	tagKind = 0xff << 56
)

// New makes the accept goroutine, which begins with Run. An error is about epoll or
// descriptors.
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

// Run is the accept goroutine. It returns when Interrupt was called, or with what it
// cannot go on without. By then nothing that it owned is open.
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

// queueReadable handles readiness of a queue's master end: the worker gives
// connections back, or has shut its end. They are taken when there is room for them
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

// watchQueue has epoll say again what a worker gives back.
func (a *Acceptor) watchQueue(q *workerQueue) {
	if q.broken {
		return
	}
	if err := a.set.Add(q.spec.FD, poller.In, tagQueue|q.serial); err != nil {
		a.dispatcher.report(QueueBroken{q.spec.Worker, err})
	}
}

// Close closes all that it owns, and counts the connections among it as lost. Run does
// so at its end.
func (a *Acceptor) Close() {
	defer close(a.stopped)
	a.mail.Close() // or its waker could be rung when its descriptor is another's
	a.closePending()
	a.watchListeners(false)
	a.setListeners(nil)
	a.dispatcher.abandon()
	a.reserve.Release()
	a.reserve.Size = 0
	_ = errors.Join(a.waker.Close(), a.set.Close()) // nothing is left that could be saved
}
