package master

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how a reload ends whose new generation serves, and cannot have the
// connections of the old one.

// The old workers keep what has not moved yet.
func (s *supervisor) guardTripped(e dispatch.GuardTripped) {
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

// explainLimit is how long a worker's words are waited for, which may come later
// than its counts.
const explainLimit = 500 * time.Millisecond

// lossExplained takes a worker's word why connections could not be restored.
func (s *supervisor) lossExplained(why string) {
	if r := s.reload; r.moving() {
		r.reason = why
		if r.failed != nil {
			s.reportTripped(why)
		}
	}
}

// reportTripped ends a reload whose trial has failed.
func (s *supervisor) reportTripped(why string) {
	n := s.reload.failed
	s.failReload(fmt.Errorf("%d of %d connections that moved to generation %d could not be restored: %s; the other ones stay in the old workers (--move-failures)",
		n.Failed, n.Tried, s.generation, why))
}

// failReload ends a reload whose generation serves, while connections are in the
// old workers that stay there.
func (s *supervisor) failReload(err error) {
	r := s.reload
	if r.limit != nil {
		r.limit.Stop()
	}
	s.log.Error("moving stopped, the old workers keep their connections", "limit", s.config.moveFailures(), "error", err)
	o := s.closeReload()
	s.log.Warn("reloaded in part", o.fields...)
	o.err = err
	r.tell(o.outcome)
}

// newWorkerDrains takes note that a worker of the new generation wants to end, of which
// that was not to be expected, while connections move to it. If it was the last
// one, the old workers keep theirs until there is somebody who stays.
func (s *supervisor) newWorkerDrains(slot *slot) {
	if s.reload.moving() && slot.generation == s.generation && s.reload.failed == nil && !s.hasMoveTarget(slot) {
		s.failReload(fmt.Errorf("worker %d (pid %d) of generation %d wants to end although it has just begun; connections stay in the old workers until there is one that does not",
			slot.number, slot.pid(), slot.generation))
	}
}
