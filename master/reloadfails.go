package master

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how a reload ends if its new generation serves, but cannot be given the
// connections of the old one. Those that have not moved stay in the old workers.

// guardTripped: too many of the connections that moved could not be restored. A stop has
// ended the reload, and recalled the old workers, already.
func (s *supervisor) guardTripped(e dispatch.GuardTripped) {
	if s.stopping != stopNot {
		return
	}
	for slot := range s.slots.all() {
		if slot.generation < s.generation {
			s.keep(slot)
		}
	}
	r := s.reload
	switch {
	case r == nil || !r.moving() || r.failed != nil:
	case r.reason != "":
		r.failed = &e
		s.reportTripped(r.reason)
	default:
		r.failed = &e
		r.limit = s.after(explainLimit, func() {
			if s.reload == r {
				s.reportTripped("their worker died, or does not say why")
			}
		})
	}
}

// explainLimit is how long the supervisor waits for the worker's message that says why
// connections were lost: the counts of them may be seen earlier.
const explainLimit = 500 * time.Millisecond

// lossExplained takes a worker's message that says why connections could not be restored.
func (s *supervisor) lossExplained(why string) {
	if r := s.reload; r.moving() {
		r.reason = why
		if r.failed != nil {
			s.reportTripped(why)
		}
	}
}

// reportTripped ends a reload whose move guard has tripped, with the reason.
func (s *supervisor) reportTripped(why string) {
	n := s.reload.failed
	s.failReload(fmt.Errorf("%d of %d connections that moved to generation %d could not be restored: %s; the other ones stay in the old workers (--move-failures)",
		n.Failed, n.Tried, s.generation, why))
}

// failReload ends a reload whose generation serves, while connections stay in the old
// workers.
func (s *supervisor) failReload(err error) {
	r := s.reload
	if r.limit != nil {
		r.limit.Stop()
	}
	s.log.Error("moving stopped, the old workers keep their connections", "limit", s.config.moveFailures(), "error", err)
	o := s.closeReload()
	s.log.Warn("reloaded in part", o.fields...)
	o.err = err
	s.reloadOver(reloadPartial, o.outcome, o.pause)
	r.tell(o.outcome)
}

// newWorkerDrains takes note that a worker of the new generation drains although it has
// just begun. If connections were moving, and no other worker can take them, the reload
// fails, and the old workers keep theirs until there is one that can.
func (s *supervisor) newWorkerDrains(slot *slot) {
	if s.reload.moving() && slot.generation == s.generation && s.reload.failed == nil && !s.hasMoveTarget(slot) {
		s.failReload(fmt.Errorf("worker %d (pid %d) of generation %d wants to end although it has just begun; connections stay in the old workers until there is one that does not",
			slot.number, slot.pid(), slot.generation))
	}
}
