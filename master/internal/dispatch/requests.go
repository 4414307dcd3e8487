package dispatch

import (
	"fmt"

	"github.com/usher-go/usher/ipc"
)

// The requests: what other goroutines ask of the accept goroutine. Each method of
// Acceptor that is for others sends one, and act is where all are acted on, between two
// turns. The answer to each is nil but where it says otherwise.
type (
	openRequest struct {
		queues   []Queue
		replaced []int // slots
	}
	closeRequest       struct{ slot int }
	reapedRequest      struct{ slot int }
	connsClosedRequest struct {
		slot   int
		closed ipc.Closed
	}
	loadsRequest    struct{} // answered by a map[int]int
	snapshotRequest struct{} // answered by a snapshot
	metersRequest   struct{} // answered by Meters
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
		return a.goroutine.act(request)
	}
}

// act acts on a request, and returns the answer to it.
func (g *acceptGoroutine) act(request any) (answer any) {
	d := &g.dispatcher
	switch r := request.(type) {
	case openRequest:
		g.openQueues(r.queues)
		for _, slot := range r.replaced {
			d.closeQueue(slot)
		}
	case closeRequest:
		d.closeQueue(r.slot)
	case reapedRequest:
		if q := d.reaped(r.slot); q != nil {
			_ = g.set.Del(q.spec.FD) // it may have been taken out when it broke
		}
	case connsClosedRequest:
		d.connsClosed(r.slot, r.closed)
	case loadsRequest:
		return d.loads()
	case snapshotRequest:
		return d.snapshot()
	case metersRequest:
		m := d.meters()
		m.Listeners, m.Failed = g.acceptCounts.read()
		return m
	case guardRequest:
		d.guardMoves(r.generation, r.limit)
	case landingRequest:
		d.awaitLanding(r.slot)
	case arrivalRequest:
		g.awaited.arriving = true
	case beginMoveRequest:
		d.beginMove(r)
	case answerMoveRequest:
		d.answerMove(r)
	case movedRequest:
		return d.movedSoFar(r.slot, r.id)
	case forgetMoveRequest:
		d.forgetMove(r.slot, r.id)
	case configureRequest:
		g.reconfigure(r)
	case closeListenersRequest:
		g.closeListeners()
	case pingRequest:
		d.report(Alive{})
	case pauseRequest:
		g.pause(r)
	case stopRequest:
		g.ending = true
	default:
		panic(fmt.Sprintf("the accept goroutine was asked a %T", r))
	}
	return nil
}
