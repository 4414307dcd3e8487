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

// subacceptor is a further goroutine that accepts (--acceptors): from sockets of its
// own, one for each TCP listener and in one SO_REUSEPORT group with it, among which the
// kernel spreads the clients. The accept goroutine, which alone knows the workers, takes
// from it what it has accepted: so each connection is placed as exactly as with one.
//
// It keeps a batch or two. While nobody takes from it, it accepts no more, and the clients
// wait in the kernel. start to close are for the accept goroutine; run and what follows are
// the subacceptor's own.
type subacceptor struct {
	log    hclog.Logger
	set    *poller.Set
	waker  *poller.Waker
	notify func() // that something was accepted, and nothing was there before
	clock  ipc.Clock
	batch  int // most connections to accept at a time

	// Between start and stop these are the goroutine's.
	sockets    []listenSocket
	events     [16]poller.Event
	accepts    acceptLoop
	fresh      []pendingConn // not yet in accepted
	scheduling batchsched.Thread

	quit, done chan struct{} // nil: it does not run
	room       chan struct{} // has room for one: something was taken from accepted

	mu       sync.Mutex
	accepted []pendingConn // the accept goroutine takes from here
}

// pendingConn is a connection that was accepted and is not yet counted.
type pendingConn struct {
	accepted ipc.Envelope // but for its id
	fd       int          // owned
}

func newSubacceptor(g *acceptGoroutine) (*subacceptor, error) {
	set, waker, err := poller.NewWithWaker(tagWaker)
	if err != nil {
		return nil, err
	}
	return &subacceptor{
		log: g.log, accepts: acceptLoop{log: g.log, counts: &g.acceptCounts}, set: set, waker: waker, notify: g.waker.Wake, clock: g.clock, batch: g.atOnce,
		room: make(chan struct{}, 1),
	}, nil
}

// start begins to accept from sockets, which are borrowed until stop.
func (s *subacceptor) start(sockets []listenSocket) {
	s.sockets, s.quit, s.done = sockets, make(chan struct{}), make(chan struct{})
	go s.run()
}

// stop returns when nothing more is accepted. What was accepted stays.
func (s *subacceptor) stop() {
	if s.quit == nil {
		return
	}
	close(s.quit)
	s.waker.Wake()
	<-s.done
	s.quit = nil
}

// take appends at most n of those accepted, in their order, to b.
func (s *subacceptor) take(b []pendingConn, n int) []pendingConn {
	s.mu.Lock()
	n = min(n, len(s.accepted))
	b = append(b, s.accepted[:n]...)
	s.accepted = append(s.accepted[:0], s.accepted[n:]...)
	s.mu.Unlock()
	if n > 0 {
		select {
		case s.room <- struct{}{}:
		default: // it has been told
		}
	}
	return b
}

// peek returns those accepted, and leaves them there: the subacceptor is stopped.
func (s *subacceptor) peek() []pendingConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}

// anyAccepted reports whether there is something to take.
func (s *subacceptor) anyAccepted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accepted) > 0
}

// close releases everything, after stop.
func (s *subacceptor) close() {
	for _, conn := range s.take(nil, math.MaxInt) {
		closeConn(conn.fd)
	}
	_ = s.waker.Close() // an eventfd has nothing to flush
	_ = s.set.Close()   // nor has an epoll set
}

// run is the subacceptor's goroutine.
func (s *subacceptor) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	defer watch(s.sockets, false, s.set, s.log)
	for s.waitOutPause() && s.deliver() {
		watch(s.sockets, true, s.set, s.log) // what fails is tried again: see timeout
		n, err := s.set.Wait(s.events[:], s.timeout())
		if err != nil {
			s.log.Error("cannot wait for clients, retrying", "error", err)
			s.accepts.pause.Grow(time.Now())
		}
		for i := range s.events[:n] {
			if tag := s.events[i].Tag(); tag == tagWaker {
				s.waker.Clear()
			} else {
				s.accept(s.sockets[tag&^tagKind].listener, s.sockets[tag&^tagKind].fd)
			}
		}
		if due := s.scheduling.Due(); due <= s.clock.Now() {
			s.scheduling.EndWindow(s.clock.Now())
		}
	}
	s.publish()
}

// accept accepts at most a batch from a socket.
func (s *subacceptor) accept(l *Listener, socket int) {
	envelope := l.envelope(s.clock.Now())
	conns, _ := s.accepts.take(l, socket, s.batch)
	for _, c := range conns {
		envelope.Remote = c.peer
		s.fresh = append(s.fresh, pendingConn{envelope, c.fd})
	}
	s.scheduling.Came(len(conns), envelope.Accepted)
}

// deliver publishes what was accepted, and waits until there is room for more. It
// returns false when the subacceptor is to stop.
func (s *subacceptor) deliver() bool {
	for {
		if s.publish() < s.batch {
			select {
			case <-s.quit:
				return false
			default:
				return true
			}
		}
		select {
		case <-s.quit:
			return false
		case <-s.room:
		}
	}
}

// publish moves what is fresh to what can be taken, and returns how many that are.
func (s *subacceptor) publish() int {
	s.mu.Lock()
	before := len(s.accepted)
	s.accepted = append(s.accepted, s.fresh...)
	after := len(s.accepted)
	s.mu.Unlock()
	s.fresh = s.fresh[:0]
	if before == 0 && after > 0 {
		s.notify()
	}
	return after
}

// waitOutPause waits while accepting pauses for a lack of descriptors, or the like. It
// returns false when the subacceptor is to stop.
func (s *subacceptor) waitOutPause() bool {
	if s.accepts.pause.Over(time.Now) {
		return true
	}
	select {
	case <-s.quit:
		return false
	case <-time.After(time.Until(s.accepts.pause.Until())):
		return true
	}
}

// timeout returns how long the next wait may last.
func (s *subacceptor) timeout() time.Duration {
	wait := time.Duration(-1)
	if due := s.scheduling.Due(); due != math.MaxInt64 {
		wait = max(0, due-s.clock.Now())
	}
	for i := range s.sockets {
		if !s.sockets[i].watched {
			wait = time.Second // to try again
		}
	}
	return wait
}
