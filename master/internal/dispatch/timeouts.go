package dispatch

import (
	"math"
	"time"
)

// This file is what ends the wait of the accept goroutine: bells, and times.

// waitForRoom arranges to hear of room. From when the bells are set a close rings; one
// that came just before is seen by the last measure.
func (a *Acceptor) waitForRoom() {
	a.setBells()
	a.dispatcher.capacity = a.dispatcher.measure()
	a.noWait = a.quota() > 0 || a.dispatcher.placeable()
	if !a.noWait && a.allowance() > 0 && a.retryAt.IsZero() { // only the rate is in the way
		a.retryAt = time.Now().Add(max(a.bucket.wait(), time.Millisecond))
	}
}

// setBells has every worker ring when it has closed or thawed a connection.
func (a *Acceptor) setBells() {
	for _, q := range a.dispatcher.all {
		if q.phase != QueueReaped { // else the entry may be another's by now
			q.entry.WantBell.Store(1)
		}
	}
}

// planRetry sets the timers for what neither a bell nor the epoll set reports: a
// queue that can take a packet again, and the end of waiting for a worker that
// can thaw what is in the batch.
func (a *Acceptor) planRetry() {
	switch stranded := a.dispatcher.stranded(); {
	case !stranded:
		a.strandedUntil = time.Time{}
	case a.strandedUntil.IsZero():
		a.strandedUntil = time.Now().Add(strandedLimit)
	case !time.Now().Before(a.strandedUntil):
		a.dispatcher.loseStranded()
		a.strandedUntil, a.noWait = time.Time{}, true
	}
	if !a.dispatcher.capacity.stalled && !a.dispatcher.anyBlocked() {
		a.retries = 0
		return
	}
	if a.retryAt.IsZero() {
		a.retryAt = time.Now().Add(retryDelay(a.retries))
		a.retries++
	}
}

// timeout returns how long the next wait may last at most.
func (a *Acceptor) timeout() time.Duration {
	if a.noWait {
		return 0
	}
	var first time.Time
	for _, at := range [...]time.Time{a.retryAt, a.accepts.pause.Until(), a.inspectAt, a.strandedUntil} {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	wait := a.untilWindowEnds()
	if !first.IsZero() && (wait < 0 || time.Until(first) < wait) {
		wait = max(0, time.Until(first))
	}
	return wait
}

// untilWindowEnds returns how long it is until a window of the thread's
// scheduling ends; negative: none is open.
func (a *Acceptor) untilWindowEnds() time.Duration {
	due := a.scheduling.Due()
	if due == math.MaxInt64 {
		return -1
	}
	return max(0, due-a.clock.Now())
}
