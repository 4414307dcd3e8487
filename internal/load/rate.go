package load

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// This file says when requests are due.

// issue returns when the next request is due that p may send, if one is now.
func (e *engine) issue(p *place, now time.Duration) (due time.Duration, ok bool) {
	if e.over || e.spent() {
		return 0, false
	}
	due = now
	if e.plan.Rate > 0 {
		if due = e.began + dueAfter(e.issued, e.plan.Rate); due > now {
			if !p.parked {
				p.parked = true
				e.parked = append(e.parked, p)
			}
			return 0, false
		}
	}
	e.issued++
	if e.spent() {
		e.closeDone(p)
	}
	return due, true
}

// giveBack takes back requests that were sent and that no server will have looked at.
func (e *engine) giveBack(count uint64) { e.issued -= int64(count) }

// closeDone closes the connections that have nothing more to send or to receive, but for
// p's.
func (e *engine) closeDone(p *place) {
	for _, other := range e.places {
		if other != p && other.ready() && other.settled() {
			_ = other.hangUp() // it may be closing already
		}
	}
}

// dueAfter returns when request number n is due, from the beginning.
func dueAfter(n int64, rate float64) time.Duration {
	return time.Duration(math.Round(float64(n) / rate * float64(time.Second)))
}

// pace wakes the loop when requests are due: the loop's own timers, and Go's, know
// milliseconds only. It is a goroutine, and a thread, of its own.
func (e *engine) pace(quit chan struct{}, began time.Time) {
	const finest, longest = 50 * time.Microsecond, 100 * time.Millisecond
	runtime.LockOSThread()                                                     // and never unlocked: the thread ends with the goroutine
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(time.Microsecond), 0, 0, 0) // else it wakes up to 50 us late
	for {
		next := int64(time.Since(began).Seconds()*e.plan.Rate) + 1
		wait := min(max(time.Until(began.Add(dueAfter(next, e.plan.Rate))), finest), longest)
		pause := unix.NsecToTimespec(int64(wait))
		_ = unix.Nanosleep(&pause, nil) // an interrupted one is a short one
		select {
		case <-quit:
			return
		default:
		}
		if !e.dialer.Post(e.sendDue) {
			return
		}
	}
}

// sendDue has places send that have waited for it.
func (e *engine) sendDue() {
	now := e.now()
	for len(e.parked) > 0 && !e.over && !e.spent() && e.began+dueAfter(e.issued, e.plan.Rate) <= now {
		p := e.parked[0]
		e.parked = e.parked[1:]
		p.parked = false
		switch {
		case e.plan.Churn:
			e.begin(p)
		case p.ready():
			p.fill(now)
		}
	}
}
