package master

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// sample is what the supervisor sees of a worker at one moment: in its scoreboard entry,
// and from what the master knows itself.
type sample struct {
	sequence uint64 // odd while handlers run, even while the loop waits
	received uint64
	queued   bool // connections wait in its queue
	stopped  bool // the process is stopped or traced
}

// restsSince reports whether the worker waits, and has since the sample before
// done nothing but wait: its loop has not woken up.
func (s sample) restsSince(before sample) bool {
	return s.sequence%2 == 0 && s.sequence == before.sequence && s.received == before.received && !s.queued
}

// hangDetector tells from successive samples for how long a worker has stood still.
// The worker needs no clock for it. The zero value has seen nothing yet.
type hangDetector struct {
	last  sample
	since time.Time // since when the worker stands still; zero: it does not
}

// observe takes a sample and returns for how long the worker has stood still: in
// one handler, or with connections in its queue that it does not take. It rounds
// to a tenth of sampleEvery: samples come a little early as often as late, and a
// limit of two samples is to be reached by the second.
func (h *hangDetector) observe(now time.Time, s sample) time.Duration {
	busy := s.sequence%2 == 1 || s.queued && s.received == h.last.received
	still := s.sequence != 0 && s.sequence == h.last.sequence && busy && !s.stopped
	before := h.last
	h.last = s
	if !still {
		h.since = time.Time{}
		return 0
	}
	if h.since.IsZero() {
		h.since = now
		// Then it has stood since the sample before. That was sampleEvery ago: where
		// a rest lay between, the worker waited before it, and no queue held anything.
		if !before.stopped {
			h.since = now.Add(-sampleEvery)
		}
	}
	return now.Sub(h.since).Round(sampleEvery / 10)
}

// reset forgets for how long the worker has stood still.
func (h *hangDetector) reset() { h.since = time.Time{} }

// hung is how the reason begins for which a worker that hangs is killed.
const hung = "its loop has stood still"

// abortGrace is how long an aborted worker may take to print its stacks.
const abortGrace = 500 * time.Millisecond

// checkHang ends a worker that stood still for too long: with SIGABRT to the
// thread of its loop, so that a Go program prints the stack that blocks it.
func (s *supervisor) checkHang(slot *slot, now time.Time, queued bool) {
	limit := s.config.HangTimeout
	if limit == 0 {
		return
	}
	entry := slot.entry().Load() // sequence and received may be anything: they are compared, no more
	seen := sample{sequence: entry.Sequence, received: entry.Received, queued: queued}
	if seen.sequence == slot.hang.last.sequence && (seen.sequence%2 == 1 || queued) {
		seen.stopped = s.processes.stopped(slot.pid())
	}
	if slot.hang.observe(now, seen) < limit {
		return
	}
	s.log.Error("worker hangs, aborting it", "slot", slot.number, "pid", slot.pid(), "limit", limit)
	slot.killed = fmt.Sprintf("%s for %v", hung, limit) // fail has nothing to log then
	s.fail(slot, slot.killed)
	s.processes.signalThread(slot.pid(), slot.entry().ThreadID(), unix.SIGABRT)
	s.setAlarm(slot, alarmAborted, abortGrace)
}
