package dispatch

import (
	"sync/atomic"

	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/ipc"
)

// Acceptor is the accept goroutine as others have it: a handle. Its methods are all that
// may be asked of that goroutine. Most send it a request (requests.go), which it acts on
// between two turns, and return when it has. What it tells in its own time are events
// (event.go).
//
// The goroutine that makes an Acceptor calls New and, before Run, Inherit; or Close, if
// Run is never called. Run is the accept goroutine. From then on one goroutine, the
// supervisor's, calls the other methods; ConnsClosed, AnyStuck, Ping and Interrupt may be
// called by any.
type Acceptor struct {
	mail    mailbox.Mailbox[posted]
	stuck   atomic.Bool   // some worker takes nothing from its queue
	stopped chan struct{} // closed when Run, or Close, has ended
	resumed chan struct{} // what Resume closes; nil: it is not paused

	goroutine *acceptGoroutine // Run's own, until stopped is closed
}

// New makes the accept goroutine, which begins with Run. An error is about epoll or
// descriptors.
func New(setup Setup) (*Acceptor, error) {
	a := &Acceptor{stopped: make(chan struct{})}
	var err error
	if a.goroutine, err = newAcceptGoroutine(setup, &a.mail, &a.stuck); err != nil {
		return nil, err
	}
	a.mail.Notify = a.goroutine.waker.Wake
	return a, nil
}

// Run is the accept goroutine. It returns when Interrupt was called, or with what it
// cannot go on without. By then nothing that it owned is open.
func (a *Acceptor) Run() error {
	defer a.Close()
	return a.goroutine.run()
}

// Close closes all that the accept goroutine owns, and counts the connections among it as
// lost. Run does so at its end.
func (a *Acceptor) Close() {
	defer close(a.stopped)
	a.mail.Close() // or its waker could be rung when its descriptor is another's
	a.goroutine.close()
}

// Open lets workers have connections, all from the same moment on. It takes ownership of
// their queues' descriptors. The workers in the slots replaced get no more from that moment on: as
// by CloseQueue, but no client comes in between.
func (a *Acceptor) Open(queues []Queue, replaced ...int) { a.ask(openRequest{queues, replaced}) }

// CloseQueue stops sending to the worker in a slot. What waits in its queue goes to others
// while they have room, or stays for it.
func (a *Acceptor) CloseQueue(slot int) { a.ask(closeRequest{slot}) }

// Reaped says that the worker in a slot is reaped: what waits in its queue is placed anew,
// and QueueGone follows. When it returns, the scoreboard entry is no longer used.
func (a *Acceptor) Reaped(slot int) { a.ask(reapedRequest{slot}) }

// ConnsClosed passes on a worker's word that it has closed connections: the bell, if
// it keeps the scoreboard, or else their number; and, if there is a limit of each
// address, their ids. It does not wait.
func (a *Acceptor) ConnsClosed(slot int, closed ipc.Closed) { a.post(connsClosedRequest{slot, closed}) }

// Loads returns how many connections each worker with an open queue has, by slot.
func (a *Acceptor) Loads() map[int]int { return a.ask(loadsRequest{}).(map[int]int) }

// Snapshot returns the totals, and the counts of each living worker by slot.
func (a *Acceptor) Snapshot() (Totals, map[int]WorkerCounts) {
	s := a.ask(snapshotRequest{}).(snapshot)
	return s.totals, s.workers
}

// AnyStuck reports whether some worker takes nothing from its queue.
func (a *Acceptor) AnyStuck() bool { return a.stuck.Load() }

// Guard watches how connections fare that move to a generation: no more than limit, a
// share from 0 to 1 of those tried, may fail. GuardTripped follows if more do, and no more
// move there. Generation 0 ends it.
func (a *Acceptor) Guard(generation int, limit float64) { a.ask(guardRequest{generation, limit}) }

// AwaitLanding has Landed follow once all that a slot's worker has given back by now is
// placed.
func (a *Acceptor) AwaitLanding(slot int) { a.ask(landingRequest{slot}) }

// AwaitArrival has Arrived follow once nothing is on its way to the guarded generation:
// it has tried to thaw all that was sent to it.
func (a *Acceptor) AwaitArrival() { a.ask(arrivalRequest{}) }

// BeginMove says that a slot's worker is ordered to give back count connections, and that
// slot to is to get them, or with Nobody whoever has fewest. MoveDone follows once they
// are placed. id names the order; the worker has no other.
func (a *Acceptor) BeginMove(slot int, id uint64, to, count int) {
	a.ask(beginMoveRequest{slot, id, to, count})
}

// AnswerMove passes on a worker's answer to an order: it gives back so many, and no more;
// negative: all that it has given back so far.
func (a *Acceptor) AnswerMove(slot int, id uint64, given int) {
	a.ask(answerMoveRequest{slot, id, given})
}

// MovedSoFar returns how many an order has brought back so far, and not returned to their
// worker.
func (a *Acceptor) MovedSoFar(slot int, id uint64) int { return a.ask(movedRequest{slot, id}).(int) }

// ForgetMove ends an order: no MoveDone follows.
func (a *Acceptor) ForgetMove(slot int, id uint64) { a.ask(forgetMoveRequest{slot, id}) }

// Configure puts settings in force, and has these listeners accepted from. What
// already waits at one that is not among them any more is accepted first, as far as
// there is room; when it returns, its sockets may be closed.
func (a *Acceptor) Configure(s Settings, listeners []Listener) { a.ask(configureRequest{s, listeners}) }

// CloseListeners accepts what already waits in the backlogs, as far as there is room,
// and then nothing more. When it returns, the sockets may be closed.
func (a *Acceptor) CloseListeners() { a.ask(closeListenersRequest{}) }

// Ping has Alive follow. It does not wait.
func (a *Acceptor) Ping() { a.post(pingRequest{}) }

// Interrupt ends Run, and does not wait for that. Its argument, which a run.Group gives, is
// not used.
func (a *Acceptor) Interrupt(error) { a.post(stopRequest{}) }
