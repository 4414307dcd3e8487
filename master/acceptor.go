package master

import (
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// acceptor is the accept goroutine as the supervisor needs it: a *dispatch.Acceptor,
// whose methods have their descriptions. Each returns when the accept goroutine has done
// what it says, but for ConnsClosed and Ping, which do not wait, and AnyStuck, which asks
// nobody. What takes longer is told by an event, which handle acts on; on Alive happened
// does, on the accept goroutine. All that passes are values, but for dispatch.Queue.Entry.
type acceptor interface {
	Open(q []dispatch.Queue, replaced ...int) // takes ownership of the descriptors
	CloseQueue(slot int)                      // the worker gets no more
	Reaped(slot int)                          // QueueGone follows
	ConnsClosed(slot int, closed ipc.Closed)  // by the worker's word
	Loads() map[int]int                       // of those that get connections, by slot
	Snapshot() (dispatch.Totals, map[int]dispatch.WorkerCounts)
	Meters() dispatch.Meters
	AnyStuck() bool

	Guard(generation int, limit float64)          // GuardTripped follows if too many moves fail
	AwaitLanding(slot int)                        // Landed follows
	AwaitArrival()                                // Arrived follows
	BeginMove(slot int, id uint64, to, count int) // MoveDone follows
	AnswerMove(slot int, id uint64, given int)
	MovedSoFar(slot int, id uint64) int
	ForgetMove(slot int, id uint64)

	Pause() (dispatch.State, error) // with ErrHolding BatchEmpty follows
	Resume()
	Ping() // Alive follows

	Configure(dispatch.Settings, []dispatch.Listener) // borrows the sockets: each until a list comes that it is not in
	CloseListeners()
}

// queue describes the queue of the slot's worker to the accept goroutine, which
// takes ownership of the descriptors with Open.
func (s *supervisor) queue(slot *slot) dispatch.Queue {
	fd, workerEnd := slot.process.Queue()
	return dispatch.Queue{
		Worker: slot.worker(), FD: fd, WorkerEnd: workerEnd,
		Capacity: slot.capacity(), Closes: slot.ready.Closes, Moves: slot.ready.Moves, Memory: slot.memory(),
	}
}

// capacity is the most connections that the slot's worker gets at a time: as many as it
// has said, or the default, but no more than it may.
func (s *slot) capacity() int {
	capacity := s.ready.Capacity
	if capacity <= 0 {
		capacity = s.config.defaultCapacity
	}
	if most := s.config.MaxConnsPerWorker; most > 0 {
		capacity = min(capacity, most)
	}
	return capacity
}

// dropQueue closes both ends of a queue that the accept goroutine was not given. It
// does not block: a worker that was never ready may have sent something all the same,
// which is closed with the queue, whatever it is.
func dropQueue(queue, workerEnd int) {
	go fdpass.CloseAll([]int{queue, workerEnd})
}

// dispatchSettings are the part of a configuration that the accept goroutine acts on.
func (c *Config) dispatchSettings() dispatch.Settings {
	return dispatch.Settings{
		Policy: c.Dispatch, MaxConns: c.MaxConns, MaxConnsPerIP: c.MaxConnsPerIP, AcceptRate: c.AcceptRate,
		CloseOverLimit: c.Overload == OverloadClose,
	}
}

// listenSettings are the part of a configuration that the listeners have.
func (c *Config) listenSettings(addresses []listen.Resolved, sockets int) listen.Settings {
	return listen.Settings{Addresses: addresses, Sockets: sockets, Backlog: c.Backlog}
}

// toAccept lends the sockets of listeners to the accept goroutine. Their transports have
// numbers.
func toAccept(listeners []*listen.Listener, numbers *listen.Numbers) []dispatch.Listener {
	lent := make([]dispatch.Listener, len(listeners))
	for i, l := range listeners {
		lent[i] = dispatch.Listener{
			Name: l.Name, Transport: numbers.Of(l.From.Transport), Address: l.Address, Bound: l.Bound,
			FD: l.FD, More: l.More, Shared: l.From.Network == "systemd",
		}
	}
	return lent
}

// socketsOf returns how many sockets each TCP address is to have, one for each
// goroutine that accepts: as many as asked for, and no fewer than a listener has
// already, which an upgrade may have brought.
func socketsOf(acceptors int, listeners []*listen.Listener) int {
	n := acceptors
	for _, l := range listeners {
		n = max(n, len(l.Sockets()))
	}
	return n
}

// applyListeners puts the configuration in force at the accept goroutine, with the
// listeners of a reload.
func (s *supervisor) applyListeners(change listen.Change) {
	s.listeners = change.Apply(s.listeners, s.log)
	s.dispatch.Configure(s.config.dispatchSettings(), toAccept(s.listeners, &s.numbers))
	for _, l := range change.Added {
		s.log.Debug("listener opened", "listener", l.Address)
	}
	for _, l := range change.Removed {
		s.log.Debug("listener closed", "listener", l.Address)
	}
	listen.CloseAll(change.Removed)
}

// closeListeners ends accepting.
func (s *supervisor) closeListeners() {
	s.dispatch.CloseListeners()
	listen.CloseAll(s.listeners)
	s.listeners = nil
}
