package dispatch

import (
	"time"

	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

// This file is a turn of the accept goroutine, in this order: place the batch; reclaim
// what workers give back, or leave in their queues; accept. Each step starts only when
// the one before it has nothing left and some worker has room. Without room the
// listeners leave the epoll set, and the kernel's backlog holds the clients. Nothing is
// polled then: a worker rings when it has room, or a request comes (timeouts.go). While
// clients come by the ten thousand a second, a moment passes between two turns
// (coalescing.go).

// turn does all that can be done without waiting, and arranges what ends the wait.
func (g *acceptGoroutine) turn() {
	g.timers.noWait, g.timers.unfinished = false, false
	g.actOnTimers()
	g.dispatcher.capacity = g.dispatcher.measure()
	g.placeAll()
	g.timers.noWait = g.takePending() && g.anyPending()
	g.acceptReady()
	g.arrangeWait()
	g.reportAwaited()
}

// acceptReady accepts from the listeners that were found ready, each a batch at most, or
// turns their clients away.
func (g *acceptGoroutine) acceptReady() {
	came := 0
	for _, l := range g.ready {
		if !g.accepts.pause.Over(time.Now) {
			break // it is reported again as long as clients wait
		}
		switch quota := g.quota(); {
		case quota > 0:
			n, _ := g.acceptFrom(l, l.FD, quota)
			came += n
			g.placeAll()
		case g.turnsAway():
			g.turnAway(l)
		}
	}
	g.ready = g.ready[:0]
	if came > 0 {
		g.coalescing.came(came, g.clock.Now())
	}
}

// mostReclaims is how many packets placeAll takes out of queues: more wait for the next
// turn, since a worker may give back as fast as it is given.
const mostReclaims = 64

// placeAll places the batch, and then what there is to reclaim, as far as there was room
// when it was measured last. What is left in the batch found no worker.
func (g *acceptGoroutine) placeAll() {
	d := &g.dispatcher
	for reclaims := 0; ; reclaims++ {
		d.returnMoved()
		for before := -1; d.batch.Len() > 0 && d.capacity.room > 0; {
			if d.place() {
				break
			}
			d.capacity = d.measure() // some queue refused: without it
			left := d.held()
			if left == before {
				break // what is left are moved ones, and nobody who can thaw them has room
			}
			before = left
		}
		if d.batch.Len() > 0 {
			return
		}
		if reclaims == mostReclaims {
			g.timers.unfinished = true
		} else if g.reclaim() {
			continue
		}
		g.reserve.Fill()
		return
	}
}

// reclaim takes a packet that was given back, or that a worker leaves unread, into the
// batch, which is empty, and reports whether it did. The reserve makes room for its
// descriptors.
func (g *acceptGoroutine) reclaim() bool {
	d := &g.dispatcher
	if d.anyTakeable() {
		g.reserve.Release()
		if d.takeBack() {
			return true
		}
	}
	if d.capacity.room == 0 || !d.rescuable() {
		return false
	}
	g.reserve.Release()
	return d.rescue()
}

// acceptFrom accepts into the batch, which is empty, no more than quota, from one
// of a listener's sockets. It returns how many came in, and whether there may be more.
func (g *acceptGoroutine) acceptFrom(l *Listener, socket, quota int) (n int, more bool) {
	envelope := l.envelope(g.clock.Now())
	conns, more := g.accepts.take(l, socket, quota)
	for i := range conns {
		envelope.Remote = conns[i].peer
		if g.admit(&envelope, conns[i].fd) {
			n++
		}
	}
	g.scheduling.Came(n, envelope.Accepted)
	return n, more
}

// admit takes ownership of an accepted connection, gives it its id and puts it into the
// batch; or refuses it, if it is one too many of its address.
func (g *acceptGoroutine) admit(e *ipc.Envelope, fd int) bool {
	g.lastID++
	e.ID = g.lastID
	if !g.dispatcher.perIP.admit(e.ID, e.Remote.Addr()) {
		g.refuse(fd, e.Remote, refusedByAddress)
		return false
	}
	g.dispatcher.addAccepted(e, fd)
	killpoint.Reach(killpoint.Accepted)
	g.dispatcher.totals.accepted++
	g.dispatcher.capacity.admit()
	g.limits.bucket.take(1)
	return true
}
