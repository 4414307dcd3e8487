package dispatch

import (
	"math"
	"time"
)

// This file is what ends the wait of the accept goroutine, beside the epoll set: bells, and
// times. A worker whose bell is set (ipc.Entry.WantBell) rings once, by a message to the
// master, which comes here as ConnsClosed.

// timers are when to do again what neither a bell nor the epoll set tells of.
type timers struct {
	noWait     bool // there is something to do: room was found when it was looked for last
	unfinished bool // placeAll stopped at its bound, and nothing else would go on with it

	retries       int       // turns in a row that a full queue ended
	retryAt       time.Time // when to try full queues again; zero: none is full
	inspectAt     time.Time // when to look for stuck workers; zero: nothing waits in a queue
	strandedUntil time.Time // when to give up moved connections that nobody can thaw; zero: there are none
}

// strandedLimit is how long moved connections wait in the batch for a worker that
// can thaw them, while there is none: its successor may be starting.
const strandedLimit = 5 * time.Second

// actOnTimers does what it is time for.
func (g *acceptGoroutine) actOnTimers() {
	d := &g.dispatcher
	if !g.timers.retryAt.IsZero() && !time.Now().Before(g.timers.retryAt) {
		g.timers.retryAt = time.Time{}
		d.unblock()
	}
	if !g.timers.inspectAt.IsZero() && !time.Now().Before(g.timers.inspectAt) {
		g.timers.inspectAt, d.inspectAgain = time.Time{}, false // measure finds it anew
		g.stuck.Store(d.inspectQueues())
	}
	if g.untilWindowEnds() == 0 {
		g.scheduling.EndWindow(g.clock.Now())
	}
}

// arrangeWait arranges at the end of a turn what ends the wait after it: clients, if any
// may come in; room, if there is none; moves that the guard lets go on; or a time.
func (g *acceptGoroutine) arrangeWait() {
	d := &g.dispatcher
	resumed, quota := g.accepts.pause.Over(time.Now), g.quota()
	g.watchListeners(resumed && (quota > 0 || g.turnsAway()))
	if quota == 0 {
		g.waitForRoom()
	} else if d.awaitsGuard() {
		g.setBells()
		d.capacity = d.measure()
		g.timers.noWait = !d.awaitsGuard()
	}
	g.timers.noWait = g.timers.noWait || g.timers.unfinished
	g.planRetry()
	if d.inspectAgain && g.timers.inspectAt.IsZero() {
		g.timers.inspectAt = time.Now().Add(stuckAfter)
	}
}

// waitForRoom arranges to hear of room. Once the bells are set, a close rings; measuring
// after that sees one that came just before.
func (g *acceptGoroutine) waitForRoom() {
	g.setBells()
	g.dispatcher.capacity = g.dispatcher.measure()
	g.timers.noWait = g.quota() > 0 || g.dispatcher.placeable()
	if !g.timers.noWait && g.allowance() > 0 && g.timers.retryAt.IsZero() { // only the rate is in the way
		g.timers.retryAt = time.Now().Add(max(g.limits.bucket.wait(), time.Millisecond))
	}
}

// setBells has every worker ring when it has closed or thawed a connection.
func (g *acceptGoroutine) setBells() {
	for _, q := range g.dispatcher.all {
		if q.phase != QueueReaped { // else the entry may be another's by now
			q.entry.WantBell.Store(1)
		}
	}
}

// planRetry sets the timers for what neither a bell nor the epoll set reports: a
// queue that can take a packet again, and the end of waiting for a worker that
// can thaw what is in the batch.
func (g *acceptGoroutine) planRetry() {
	switch stranded := g.dispatcher.stranded(); {
	case !stranded:
		g.timers.strandedUntil = time.Time{}
	case g.timers.strandedUntil.IsZero():
		g.timers.strandedUntil = time.Now().Add(strandedLimit)
	case !time.Now().Before(g.timers.strandedUntil):
		g.dispatcher.loseStranded()
		g.timers.strandedUntil, g.timers.noWait = time.Time{}, true
	}
	if !g.dispatcher.capacity.stalled && !g.dispatcher.anyBlocked() {
		g.timers.retries = 0
		return
	}
	if g.timers.retryAt.IsZero() {
		g.timers.retryAt = time.Now().Add(retryDelay(g.timers.retries))
		g.timers.retries++
	}
}

// retryDelay is how long to wait before what the kernel refused is tried
// again: 1 ms doubling to 100 ms.
func retryDelay(tries int) time.Duration {
	return min(time.Millisecond<<min(tries, 10), 100*time.Millisecond)
}

// timeout returns how long the next wait may last at most.
func (g *acceptGoroutine) timeout() time.Duration {
	if g.timers.noWait {
		return 0
	}
	var first time.Time
	for _, at := range [...]time.Time{g.timers.retryAt, g.accepts.pause.Until(), g.timers.inspectAt, g.timers.strandedUntil} {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	wait := g.untilWindowEnds()
	if !first.IsZero() && (wait < 0 || time.Until(first) < wait) {
		wait = max(0, time.Until(first))
	}
	return wait
}

// untilWindowEnds returns how long it is until a window of the thread's
// scheduling ends; negative: none is open.
func (g *acceptGoroutine) untilWindowEnds() time.Duration {
	due := g.scheduling.Due()
	if due == math.MaxInt64 {
		return -1
	}
	return max(0, due-g.clock.Now())
}
