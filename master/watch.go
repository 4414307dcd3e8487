package master

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watch is when the supervisor looks at its workers: for those that hang, and
// those that are due to be recycled. It looks each sampleEvery; but where a look
// found nothing that moves, and nothing that could become due, the next one
// comes after restingLook, so that the master sleeps while its workers do.
//
// Whatever reaches the supervisor ends the rest. Clients do not: a handler that
// an idle server's first byte hangs is found by the next look, a restingLook
// later at most, and only then does hang-timeout begin to count. So nothing is
// added to the way of a connection.
//
// The service manager's watchdog has times of its own, beside the looks.
type watch struct {
	sleeper
	due     time.Time // when the next look is planned
	resting bool      // it is a long way off
	ping    time.Time // when to tell the service manager that we are alive; zero: never
}

// longestRest bounds how long after its beginning a hang may go unseen.
const longestRest = 15 * time.Second

// restingLook is how often to look while nothing happens: a fraction of what the
// look is to find in time. 0: it is not asked for.
func restingLook(hangTimeout time.Duration) time.Duration {
	every := longestRest
	if hangTimeout > 0 {
		every = min(every, hangTimeout/4)
	}
	return max(every, sampleEvery)
}

// next plans the next look.
func (w *watch) next(now time.Time, every time.Duration) {
	w.due, w.resting = now.Add(every), every > sampleEvery
	w.arm(now)
}

// arm sets the sleeper to what is due first.
func (w *watch) arm(now time.Time) {
	first := w.due
	if !w.ping.IsZero() && w.ping.Before(first) {
		first = w.ping
	}
	w.set(first.Sub(now))
}

// rouse ends a rest: something happened, and what follows from it shows to a
// look soon.
func (w *watch) rouse() {
	if w.resting {
		w.next(time.Now(), sampleEvery)
	}
}

// timeUp does what is due. Nothing may be: what the sleeper reports late.
func (s *supervisor) timeUp(now time.Time) {
	if !s.watch.ping.IsZero() && !now.Before(s.watch.ping) {
		s.alive(now)
	}
	if !now.Before(s.watch.due) {
		s.look(now)
		return
	}
	s.watch.arm(now)
}

// alive tells the service manager, if it wants to know, and plans the next time.
func (s *supervisor) alive(now time.Time) {
	if every := s.notifier.every(); every > 0 {
		s.notifier.alive()
		s.watch.ping = now.Add(every)
	}
}

func (s *supervisor) look(now time.Time) {
	late := now.Sub(s.watch.due) > sampleLate
	stuck := s.dispatch.anyStuck()
	var tallies map[int]tally
	if stuck { // else no queue holds anything for long
		_, tallies, _ = s.dispatch.snapshot()
	}
	moving := false
	for slot := range s.slots.all() {
		if !slot.life.serves() && !slot.kept() {
			continue // one that has to be gone by some time will be, hanging or not
		}
		if late {
			slot.pulse.reset()
		}
		t := tallies[slot.number]
		before := slot.pulse.last
		s.feelPulse(slot, now, t.queued() > 0 || t.stuck) // a stuck one's queue goes to others
		moving = moving || !slot.pulse.last.restsSince(before)
	}
	s.recycle(now)
	s.rebalance()
	s.releaseEmpty()
	every := sampleEvery
	if !moving && !stuck && s.settledDown() {
		every = restingLook(s.config.HangTimeout)
	}
	s.watch.next(now, every)
}

// settledDown reports whether nothing is under way, and nothing is asked for that
// only a look finds due.
func (s *supervisor) settledDown() bool {
	c := s.config
	if s.reload != nil || s.stopping != stopNot || c.Rebalance || c.RecycleConns > 0 || c.RecycleAge > 0 || c.RecycleRSS > 0 {
		return false
	}
	for slot := range s.slots.all() {
		if !slot.life.serves() {
			return false
		}
	}
	return true
}

// feelPulse ends a worker that stood still for too long: with SIGABRT to the
// thread of its loop, so that a Go program prints the stack that blocks it.
func (s *supervisor) feelPulse(slot *slot, now time.Time, queued bool) {
	limit := s.config.HangTimeout
	if limit == 0 {
		return
	}
	entry := slot.entry()
	b := beat{sequence: entry.Sequence.Load(), received: entry.Received.Load(), queued: queued}
	if b.sequence == slot.pulse.last.sequence && (b.sequence%2 == 1 || queued) {
		b.stopped = s.processes.stopped(slot.pid())
	}
	if slot.pulse.feel(now, b) < limit {
		return
	}
	s.log.Error("worker hangs, aborting it", "slot", slot.number, "pid", slot.pid(), "limit", limit)
	slot.killed = fmt.Sprintf("its loop has stood still for %v", limit)
	s.condemn(slot, slot.killed)
	s.processes.signalThread(slot.pid(), int(entry.Thread.Load()), unix.SIGABRT)
	s.setAlarm(slot, alarmAborted, abortGrace)
}

// abortGrace is how long an aborted worker may take to print its stacks.
const abortGrace = 500 * time.Millisecond

// stopped reports whether a process is stopped or traced (proc(5): T or t).
func stopped(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state follows the name in parentheses, which may hold any byte.
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
		return stat[i+2] == 'T' || stat[i+2] == 't'
	}
	return false
}

// lease is when a worker is to be recycled: the configured limits, each ±10 %,
// so that workers that started together do not leave together. 0: never.
type lease struct {
	conns uint64
	age   time.Duration
	rss   int64 // bytes
}

func newLease(c *Config) lease {
	jitter := func(limit int64) int64 { return int64(float64(limit) * (0.9 + 0.2*rand.Float64())) }
	return lease{
		conns: uint64(jitter(int64(c.RecycleConns))),
		age:   time.Duration(jitter(int64(c.RecycleAge))),
		rss:   jitter(c.RecycleRSS),
	}
}

// over returns why a worker is to be recycled, or nothing.
func (l lease) over(received uint64, age time.Duration, rss func() int64) string {
	switch {
	case l.conns > 0 && received >= l.conns:
		return fmt.Sprintf("recycled after %d connections", received)
	case l.age > 0 && age >= l.age:
		return fmt.Sprintf("recycled at the age of %v", age.Round(time.Second))
	}
	if l.rss > 0 {
		if now := rss(); now >= l.rss {
			return fmt.Sprintf("recycled with %d bytes of memory", now)
		}
	}
	return ""
}

// recycle marks one worker whose lease is over, if none is marked yet: the oldest,
// so that everyone's turn comes where leases end faster than one at a time. It
// goes on serving; reconcile opens a slot for its successor, and dismisses it
// when that is ready.
func (s *supervisor) recycle(now time.Time) {
	if s.reload != nil || s.stopping != stopNot || !s.allReady(s.generation) {
		return
	}
	var tallies map[int]tally
	if s.config.RecycleConns > 0 {
		_, tallies, _ = s.dispatch.snapshot()
	}
	var oldest *slot
	var reason string
	for _, slot := range s.staff(s.generation) {
		if oldest != nil && oldest.readyAt.Before(slot.readyAt) {
			continue
		}
		why := slot.lease.over(tallies[slot.number].received, now.Sub(slot.readyAt), func() int64 { return residentBytes(slot.pid()) })
		if why != "" {
			oldest, reason = slot, why
		}
	}
	if oldest != nil {
		s.log.Info("recycling a worker", "slot", oldest.number, "pid", oldest.pid(), "reason", reason)
		s.ask(oldest, reason)
	}
}

// stopRecycling lets the worker whose lease is over stay for now, and gives up
// the successor that is not ready: a reload replaces them all.
func (s *supervisor) stopRecycling() {
	for slot := range s.slots.all() {
		if s.turn(slot, turnSpared) {
			slot.why = ""
			s.leave(s.idlest(slot.generation), "a reload replaces all workers")
		}
	}
}

// ask marks a worker to leave once a successor is ready.
func (s *supervisor) ask(slot *slot, why string) {
	if s.turn(slot, turnAsked) {
		slot.why = why
	}
}

// dismissAsked lets those go whose successors are ready.
func (s *supervisor) dismissAsked() {
	if !s.allReady(s.generation) {
		return
	}
	for slot := range s.slots.all() {
		if slot.life == lifeAsked {
			s.leave(slot, slot.why)
		}
	}
}

// residentBytes is the resident memory of a process (proc(5), statm), or 0.
func residentBytes(pid int) int64 {
	statm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
