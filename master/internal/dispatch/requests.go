package dispatch

import (
	"fmt"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
)

// The requests: what other goroutines ask of the accept goroutine. Each method of
// Acceptor that is for others sends one, and act is where all are acted on, between two
// turns. The answer to each is nil but where it says otherwise.
type (
	openRequest        struct{ queues []Queue }
	closeRequest       struct{ slot int }
	reapedRequest      struct{ slot int }
	connsClosedRequest struct {
		slot   int
		closed ipc.Closed
	}
	loadsRequest    struct{} // answered by a map[int]int
	snapshotRequest struct{} // answered by a snapshot
	guardRequest    struct {
		generation int
		limit      float64
	}
	landingRequest   struct{ slot int }
	arrivalRequest   struct{}
	beginMoveRequest struct {
		slot      int
		id        uint64
		to, count int
	}
	answerMoveRequest struct {
		slot  int
		id    uint64
		given int
	}
	movedRequest struct { // answered by an int
		slot int
		id   uint64
	}
	forgetMoveRequest struct {
		slot int
		id   uint64
	}
	configureRequest struct {
		settings  Settings
		listeners []Listener
	}
	closeListenersRequest struct{}
	pingRequest           struct{}
	stopRequest           struct{}
	pauseRequest          struct {
		paused  chan paused // has room for one
		resumed chan struct{}
	}
)

// posted is a request on its way. Whoever waits for the answer is sent it, which may
// be nil; without answer nobody waits.
type posted struct {
	request any
	answer  chan any // has room for one
}

// act acts on a request, and returns the answer to it.
func (a *Acceptor) act(request any) (answer any) {
	d := &a.dispatcher
	switch r := request.(type) {
	case openRequest:
		a.openQueues(r.queues)
	case closeRequest:
		d.closeQueue(r.slot)
	case reapedRequest:
		if q := d.reaped(r.slot); q != nil {
			_ = a.set.Del(q.spec.FD) // it may have been taken out when it broke
		}
	case connsClosedRequest:
		d.connsClosed(r.slot, r.closed)
	case loadsRequest:
		return d.loads()
	case snapshotRequest:
		return d.snapshot()
	case guardRequest:
		d.guardMoves(r.generation, r.limit)
	case landingRequest:
		d.awaitLanding(r.slot)
	case arrivalRequest:
		a.awaited.arriving = true
	case beginMoveRequest:
		d.beginMove(r)
	case answerMoveRequest:
		d.answerMove(r)
	case movedRequest:
		return d.movedSoFar(r.slot, r.id)
	case forgetMoveRequest:
		d.forgetMove(r.slot, r.id)
	case configureRequest:
		a.reconfigure(r)
	case closeListenersRequest:
		a.closeListeners()
	case pingRequest:
		d.report(Alive{})
	case pauseRequest:
		a.pause(r)
	case stopRequest:
		a.ending = true
	default:
		panic(fmt.Sprintf("the accept goroutine was asked a %T", r))
	}
	return nil
}

// post leaves a request for which nobody waits.
func (a *Acceptor) post(request any) { a.mail.Put(posted{request: request}) }

// ask returns the answer to a request when it was acted on. When the accept goroutine has
// ended, ask acts on the request itself: nobody else does then.
func (a *Acceptor) ask(request any) any {
	p := posted{request, make(chan any, 1)}
	a.mail.Put(p)
	select {
	case answer := <-p.answer:
		return answer
	case <-a.stopped:
	}
	select {
	case answer := <-p.answer:
		return answer
	default:
		return a.act(request)
	}
}

// Open lets workers have connections, all from the same moment on. It takes ownership of
// their queues' descriptors. Like all that follow it is for any goroutine but the accept
// goroutine, and returns when it is done, unless it says otherwise.
func (a *Acceptor) Open(queues []Queue) { a.ask(openRequest{queues}) }

// CloseQueue stops sending to a worker that is asked to finish.
func (a *Acceptor) CloseQueue(slot int) { a.ask(closeRequest{slot}) }

// Reaped says that the worker in a slot is reaped: what waits in its queue is placed anew,
// and QueueGone follows. When it returns, the scoreboard entry is no longer used.
func (a *Acceptor) Reaped(slot int) { a.ask(reapedRequest{slot}) }

// ConnsClosed passes on a worker's word that it has closed connections: the bell, if
// it keeps the scoreboard, or else their number; and, if asked for, their ids. It does
// not wait.
func (a *Acceptor) ConnsClosed(slot int, closed ipc.Closed) { a.post(connsClosedRequest{slot, closed}) }

// Loads returns how many connections each worker that gets more has, by slot.
func (a *Acceptor) Loads() map[int]int { return a.ask(loadsRequest{}).(map[int]int) }

// Snapshot returns the totals, and the counts of each living worker by slot.
func (a *Acceptor) Snapshot() (Totals, map[int]WorkerCounts) {
	s := a.ask(snapshotRequest{}).(snapshot)
	return s.totals, s.workers
}

// AnyStuck reports whether some worker takes nothing from its queue. It may be called
// from any goroutine.
func (a *Acceptor) AnyStuck() bool { return a.stuck.Load() }

// Guard watches how connections fare that move to a generation: no more than limit, a
// share from 0 to 1 of those tried, may fail. GuardTripped follows if more do. Generation 0 ends it.
func (a *Acceptor) Guard(generation int, limit float64) { a.ask(guardRequest{generation, limit}) }

// AwaitLanding has Landed follow once nothing that a worker has given back is on its way.
func (a *Acceptor) AwaitLanding(slot int) { a.ask(landingRequest{slot}) }

// AwaitArrival has Arrived follow once nothing is on its way to the guarded generation.
func (a *Acceptor) AwaitArrival() { a.ask(arrivalRequest{}) }

// BeginMove says who is to get what a worker gives back by an order, so many; MoveDone
// follows once they have it. The worker has no other order.
func (a *Acceptor) BeginMove(slot int, id uint64, to, count int) {
	a.ask(beginMoveRequest{slot, id, to, count})
}

// AnswerMove passes on a worker's word that it gives back so many by an order, and no
// more; negative: all that it has given so far.
func (a *Acceptor) AnswerMove(slot int, id uint64, given int) {
	a.ask(answerMoveRequest{slot, id, given})
}

// MovedSoFar returns how many have come back by an order so far.
func (a *Acceptor) MovedSoFar(slot int, id uint64) int { return a.ask(movedRequest{slot, id}).(int) }

// ForgetMove ends an order.
func (a *Acceptor) ForgetMove(slot int, id uint64) { a.ask(forgetMoveRequest{slot, id}) }

// Ping has Alive follow. It does not wait.
func (a *Acceptor) Ping() { a.post(pingRequest{}) }

// Interrupt ends Run, and does not wait for that. Its argument is for a run.Group.
func (a *Acceptor) Interrupt(error) { a.post(stopRequest{}) }

// openQueues is Open.
func (a *Acceptor) openQueues(specs []Queue) {
	for _, spec := range specs {
		a.serial++
		q := a.dispatcher.openQueue(spec, a.serial)
		if err := a.set.Add(spec.FD, poller.In, tagQueue|q.serial); err != nil {
			a.dispatcher.report(QueueBroken{spec.Worker, err})
		}
	}
}
