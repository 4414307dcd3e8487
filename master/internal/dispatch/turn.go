package dispatch

import (
	"time"

	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

// This file is a turn of the accept goroutine, in this order: place the batch; reclaim
// what workers give back, or leave in their queues; accept. Each step starts only when
// the one before it has nothing left and some worker has room. Without room the
// listeners leave the epoll set, and the kernel's backlog holds the clients; a bell
// (see ipc.Entry) or a request ends the wait, not a poll (timeouts.go). While clients
// come by the ten thousand, there is a moment between two turns (coalescing.go).

// turn does all that can be done without waiting, and arranges what ends the wait.
func (a *Acceptor) turn() {
	d := &a.dispatcher
	a.timers.noWait, a.timers.unfinished = false, false
	if !a.timers.retryAt.IsZero() && !time.Now().Before(a.timers.retryAt) {
		a.timers.retryAt = time.Time{}
		d.unblock()
	}
	if !a.timers.inspectAt.IsZero() && !time.Now().Before(a.timers.inspectAt) {
		a.timers.inspectAt, d.inspectAgain = time.Time{}, false // measure finds it anew
		a.stuck.Store(d.inspectQueues())
	}
	if a.untilWindowEnds() == 0 {
		a.scheduling.EndWindow(a.clock.Now())
	}
	d.capacity = d.measure()
	a.placeAll()
	a.timers.noWait = a.takePending() && a.anyPending()
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
		a.timers.noWait = !d.awaitsGuard()
	}
	a.timers.noWait = a.timers.noWait || a.timers.unfinished
	a.planRetry()
	a.reportAwaited()
	if d.inspectAgain && a.timers.inspectAt.IsZero() {
		a.timers.inspectAt = time.Now().Add(stuckAfter)
	}
}

// mostReclaims is how many packets placeAll takes out of queues: more wait for the next
// turn, since a worker may give back as fast as it is given.
const mostReclaims = 64

// placeAll places the batch, and then what there is to reclaim, as far as there was room
// when it was measured last. What is left in the batch found no worker.
func (a *Acceptor) placeAll() {
	d := &a.dispatcher
	for reclaims := 0; ; reclaims++ {
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
		if reclaims == mostReclaims {
			a.timers.unfinished = true
		} else if a.reclaim() {
			continue
		}
		a.reserve.Fill()
		return
	}
}

// reclaim takes a packet that was given back, or that a worker leaves unread, into the
// batch, which is empty, and reports whether it did. The reserve makes room for its
// descriptors.
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

// acceptFrom accepts into the batch, which is empty, no more than quota, from one
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

// admit takes ownership of an accepted connection, gives it its id and puts it into the
// batch; or refuses it, if it is one too many of its address.
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
	a.limits.bucket.take(1)
	return true
}
