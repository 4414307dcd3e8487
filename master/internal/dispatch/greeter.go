package dispatch

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/batchsched"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
)

// greeter is a further accept goroutine (--acceptors): it accepts from sockets of
// its own, one for each TCP listener and in one SO_REUSEPORT group with it, among
// which the kernel spreads the clients. What it accepts it leaves in its tray, and
// the accept goroutine, which alone knows the workers, takes it from there: so each
// connection is placed as exactly as with one.
//
// The tray holds a batch or two. While nobody takes from it, no more is accepted,
// and the clients wait in the kernel.
type greeter struct {
	log    hclog.Logger
	set    *poller.Set
	waker  *poller.Waker
	notify func() // that there is something in the tray
	clock  ipc.Clock
	batch  int

	// Between start and stop these are the goroutine's.
	doors      []door
	events     [16]poller.Event
	accepts    acceptLoop
	fresh      []arrival
	scheduling batchsched.Thread

	quit, done chan struct{} // nil: it does not run
	room       chan struct{} // has room for one: the tray was emptied

	mu   sync.Mutex
	tray []arrival
}

// door is a socket that is accepted from; it is borrowed.
type door struct {
	fd       int
	listener *Listener
	watched  bool
}

// arrival is a connection that was accepted and is not yet counted.
type arrival struct {
	accepted ipc.Envelope // but for its id
	fd       int          // owned
}

func newGreeter(a *Acceptor) (*greeter, error) {
	set, err := poller.New()
	if err != nil {
		return nil, err
	}
	waker, err := poller.NewWaker(set, tagWaker)
	if err != nil {
		_ = set.Close() // the first error is the one to report
		return nil, err
	}
	return &greeter{
		log: a.log, accepts: acceptLoop{log: a.log}, set: set, waker: waker, notify: a.waker.Wake, clock: a.clock, batch: a.batch,
		room: make(chan struct{}, 1),
	}, nil
}

// start begins to accept from sockets. The accept goroutine calls it and the
// functions below, up to close.
func (g *greeter) start(doors []door) {
	g.doors, g.quit, g.done = doors, make(chan struct{}), make(chan struct{})
	go g.run()
}

// stop returns when nothing more is accepted. What is in the tray stays.
func (g *greeter) stop() {
	if g.quit == nil {
		return
	}
	close(g.quit)
	g.waker.Wake()
	<-g.done
	g.quit = nil
}

// take moves at most n arrivals, in their order, from the tray into b.
func (g *greeter) take(b []arrival, n int) []arrival {
	g.mu.Lock()
	n = min(n, len(g.tray))
	b = append(b, g.tray[:n]...)
	g.tray = append(g.tray[:0], g.tray[n:]...)
	g.mu.Unlock()
	if n > 0 {
		select {
		case g.room <- struct{}{}:
		default: // it has been told
		}
	}
	return b
}

// show returns what is in the tray, and leaves it there.
func (g *greeter) show() []arrival {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.tray)
}

// waiting reports whether there is anything in the tray.
func (g *greeter) waiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tray) > 0
}

// close releases everything, after stop.
func (g *greeter) close() {
	for _, arrival := range g.take(nil, math.MaxInt) {
		closeConn(arrival.fd)
	}
	_ = g.waker.Close() // an eventfd has nothing to flush
	_ = g.set.Close()   // nor has an epoll set
}

// run is the greeter's goroutine.
func (g *greeter) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(g.done)
	defer g.watch(false)
	for g.rest() && g.deliver() {
		g.watch(true)
		n, err := g.set.Wait(g.events[:], g.timeout())
		if err != nil {
			g.log.Error("cannot wait for clients, retrying", "error", err)
			g.accepts.pause.Grow(time.Now())
		}
		for i := range g.events[:n] {
			if tag := g.events[i].Tag(); tag == tagWaker {
				g.waker.Clear()
			} else {
				g.greet(g.doors[tag&^tagKind].listener, g.doors[tag&^tagKind].fd)
			}
		}
		if due := g.scheduling.Due(); due <= g.clock.Now() {
			g.scheduling.EndWindow(g.clock.Now())
		}
	}
	g.putDown()
}

// greet accepts a batch at most.
func (g *greeter) greet(l *Listener, socket int) {
	now := g.clock.Now()
	conns, _ := g.accepts.take(l, socket, g.batch)
	for _, c := range conns {
		g.fresh = append(g.fresh, arrival{ipc.Envelope{Local: l.Bound, Listener: l.Name, Accepted: now, Remote: c.peer}, c.fd})
	}
	g.scheduling.Came(len(conns), now)
}

// deliver puts what was accepted into the tray, and waits until there is room for
// more. It returns false when the greeter is to stop.
func (g *greeter) deliver() bool {
	for {
		if g.putDown() < g.batch {
			select {
			case <-g.quit:
				return false
			default:
				return true
			}
		}
		select {
		case <-g.quit:
			return false
		case <-g.room:
		}
	}
}

// putDown returns how many are in the tray.
func (g *greeter) putDown() int {
	g.mu.Lock()
	before := len(g.tray)
	g.tray = append(g.tray, g.fresh...)
	after := len(g.tray)
	g.mu.Unlock()
	g.fresh = g.fresh[:0]
	if before == 0 && after > 0 {
		g.notify()
	}
	return after
}

// rest waits out a lack of descriptors, or the like. It returns false when the
// greeter is to stop.
func (g *greeter) rest() bool {
	if g.accepts.pause.Over(time.Now) {
		return true
	}
	select {
	case <-g.quit:
		return false
	case <-time.After(time.Until(g.accepts.pause.Until())):
		return true
	}
}

// watch puts the sockets into the epoll set, or takes them out.
func (g *greeter) watch(on bool) {
	for i := range g.doors {
		d := &g.doors[i]
		switch {
		case d.watched == on:
		case !on:
			_ = g.set.Del(d.fd) // it is in the set: Del cannot fail
			d.watched = false
		default:
			err := g.set.Add(d.fd, poller.In, tagListener|uint64(i))
			if d.watched = err == nil; err != nil {
				g.log.Error("cannot watch a listener, retrying", "listener", d.listener.Address, "error", err)
			}
		}
	}
}

// timeout returns how long the next wait may last.
func (g *greeter) timeout() time.Duration {
	wait := time.Duration(-1)
	if due := g.scheduling.Due(); due != math.MaxInt64 {
		wait = max(0, due-g.clock.Now())
	}
	for i := range g.doors {
		if !g.doors[i].watched {
			wait = time.Second // to try again
		}
	}
	return wait
}
