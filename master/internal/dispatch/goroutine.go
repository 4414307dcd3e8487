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

// acceptGoroutine is what the accept goroutine, which is Acceptor.Run, has to itself: the
// epoll set, what comes in, and the dispatcher, which has the workers' queues. Others have
// an Acceptor, whose mail it reads.
type acceptGoroutine struct {
	log   hclog.Logger
	mail  *mailbox.Mailbox[posted] // the Acceptor's
	stuck *atomic.Bool             // likewise: some worker takes nothing from its queue

	set        *poller.Set
	waker      *poller.Waker // others ring it: mail has come, or a subacceptor has accepted
	events     [64]poller.Event
	clock      ipc.Clock
	ending     bool // Interrupt was called
	dispatcher dispatcher
	reserve    descriptor.Reserve // room for the descriptors of one packet, which would be lost without
	awaited    awaited
	timers     timers
	scheduling batchsched.Thread // of this thread, by clock
	coalescing coalescing        // by clock, too

	// What comes in:
	listeners    []*Listener
	sockets      []listenSocket // the listeners' own sockets, in their order
	ready        []*Listener    // with clients waiting, as of the last wait
	accepts      acceptLoop
	acceptCounts acceptCounts
	subacceptors []*subacceptor
	pending      []pendingConn // from subacceptors, and not yet counted: they wait for room
	limits       limits
	atOnce       int    // most connections to accept at a time
	lastID       uint64 // of a connection
	serial       uint64 // of the queue that was opened last
}

// The kinds of epoll tags, in the top byte; below it a listening socket's place in sockets,
// or a queue's serial.
const (
	tagWaker = iota << 56
	tagListener
	tagQueue

	tagKind = 0xff << 56
)

// newAcceptGoroutine makes what the accept goroutine has; mail and stuck are the
// Acceptor's.
func newAcceptGoroutine(setup Setup, mail *mailbox.Mailbox[posted], stuck *atomic.Bool) (*acceptGoroutine, error) {
	set, waker, err := poller.NewWithWaker(tagWaker)
	if err != nil {
		return nil, err
	}
	g := &acceptGoroutine{
		log: setup.Logger, mail: mail, stuck: stuck, set: set, waker: waker,
		accepts: acceptLoop{log: setup.Logger}, clock: ipc.NewClock(), atOnce: MostAtOnce(setup.DescriptorLimit),
	}
	g.accepts.counts = &g.acceptCounts
	g.reserve.Size = max(g.atOnce, 2) // a connection with a large state brings two
	g.dispatcher = dispatcher{log: setup.Logger, maxQueuedTotal: setup.DescriptorLimit / 2, report: setup.Report, watchQueue: g.watchQueue}
	g.dispatcher.packets.Discard = g.dispatcher.discards.discard
	g.configure(setup.Settings)
	g.setListeners(setup.Listeners)
	for range setup.Acceptors - 1 {
		s, err := newSubacceptor(g)
		if err != nil {
			g.closePending()
			_ = errors.Join(waker.Close(), set.Close()) // the first error is the one to report
			return nil, err
		}
		g.subacceptors = append(g.subacceptors, s)
	}
	return g, nil
}

// MostAtOnce is how many connections the accept goroutine of a process with this limit of
// descriptors accepts at a time. For as many it keeps descriptors in reserve.
func MostAtOnce(descriptorLimit int) int { return min(ipc.MaxConns, max(1, descriptorLimit/4)) }

// run takes turns until it is interrupted, or cannot go on.
func (g *acceptGoroutine) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g.reserve.Fill()
	g.startSubacceptors()
	for !g.ending {
		if err := g.cycle(); err != nil {
			return fmt.Errorf("accept loop: %w", err)
		}
	}
	return nil
}

// cycle takes a turn, and waits for what brings the next one.
func (g *acceptGoroutine) cycle() error {
	g.turn()
	g.coalesce()
	n, err := g.set.Wait(g.events[:], g.timeout())
	for i := range g.events[:n] {
		g.handle(g.events[i].Tag())
	}
	return err
}

// handle acts on what epoll reports: mail is acted on at once; listeners and queues are
// noted for the next turn.
func (g *acceptGoroutine) handle(tag uint64) {
	switch tag & tagKind {
	case tagWaker:
		g.waker.Clear()
		for _, p := range g.mail.Take() {
			answer := g.act(p.request)
			if p.answer != nil {
				p.answer <- answer
			}
		}
	case tagListener:
		if i := int(tag &^ tagKind); i < len(g.sockets) {
			g.ready = append(g.ready, g.sockets[i].listener)
		}
	case tagQueue:
		g.queueReadable(tag &^ tagKind)
	}
}

// queueReadable handles readiness of a queue's master end: the worker gives
// connections back, or has shut its end. They are taken when there is room for them
// elsewhere; until then the kernel holds them, and epoll is not to say so again. A worker
// that cannot move connections has nothing to give back: it is replaced.
func (g *acceptGoroutine) queueReadable(serial uint64) {
	for _, q := range g.dispatcher.all {
		if q.serial == serial && q.phase != QueueReaped && !q.gaveBack {
			_ = g.set.Del(q.spec.FD) // it is in the set
			if q.spec.Moves {
				q.gaveBack = true
			} else {
				g.dispatcher.report(QueueBroken{q.spec.Worker, errQueueBroken})
			}
			return
		}
	}
}

// watchQueue has epoll report again what a worker gives back.
func (g *acceptGoroutine) watchQueue(q *workerQueue) {
	if q.broken {
		return
	}
	if err := g.set.Add(q.spec.FD, poller.In, tagQueue|q.serial); err != nil {
		g.dispatcher.report(QueueBroken{q.spec.Worker, err})
	}
}

// openQueues is Open: it takes ownership of the descriptors.
func (g *acceptGoroutine) openQueues(specs []Queue) {
	for _, spec := range specs {
		g.serial++
		q := g.dispatcher.openQueue(spec, g.serial)
		if err := g.set.Add(spec.FD, poller.In, tagQueue|q.serial); err != nil {
			g.dispatcher.report(QueueBroken{spec.Worker, err})
		}
	}
}

// close closes all that it owns, and counts the connections among it as lost.
func (g *acceptGoroutine) close() {
	g.closePending()
	g.watchListeners(false)
	g.setListeners(nil)
	g.dispatcher.abandon()
	g.reserve.Release()
	g.reserve.Size = 0
	_ = errors.Join(g.waker.Close(), g.set.Close()) // nothing is left that could be saved
}
