package master

import (
	"errors"
	"fmt"
	"slices"
)

// This file is how single workers are restarted, and drained, as clients ask for it, on
// the supervisor's goroutine.

// restart is a client's request to replace the worker of a slot. It is under way until its
// successor is ready, which has another slot, and its connections have arrived elsewhere.
type restart struct {
	slot        *slot
	incarnation int
	pid         int
	account     *account
	done        chan restarted // has room for one; nil: the client is gone
}

// restarted is what came of it.
type restarted struct {
	pid int // of the worker that was replaced
	departures
	incomplete error
	err        error
}

// errReloadReplaces: what is asked for one worker makes no sense while all are replaced.
var errReloadReplaces = errors.New("a reload is under way, which replaces every worker")

// slotToChange returns a slot whose worker a client wants to be gone, or why that is not
// possible.
func (s *supervisor) slotToChange(number int) (*slot, error) {
	slot := s.slots.at(number)
	switch {
	case s.stopping != stopNot:
		return nil, errStopping
	case slot == nil:
		return nil, fmt.Errorf("there is no slot %d; see usher status", number)
	case s.reload != nil || s.again:
		return nil, errReloadReplaces
	case slot.life == lifeAsked:
		return nil, fmt.Errorf("slot %d is being replaced already: %s", number, slot.why)
	case !slot.life.stays() || slot.generation != s.generation:
		return nil, fmt.Errorf("slot %d drains already: %s", number, slot.why)
	}
	return slot, nil
}

// askRestart has a worker drain once its successor is ready. It goes on serving till then;
// if the successor does not start, it stays.
func (s *supervisor) askRestart(number int, r *restart) {
	slot, err := s.slotToChange(number)
	if err == nil && slot.life != lifeServing {
		err = fmt.Errorf("slot %d has no ready worker: one is being started in it anyway", number)
	}
	if err != nil {
		r.done <- restarted{err: err}
		return
	}
	r.slot, r.incarnation, r.pid = slot, slot.incarnation, slot.pid()
	r.account = s.openAccount(nil)
	s.restarts = append(s.restarts, r)
	s.log.Info("restarting a worker", "slot", slot.number, "generation", slot.generation, "pid", r.pid)
	s.askToDrain(slot, "a restart was asked for")
}

// joinRestarts adds a worker that is about to drain to the account of its restart, if it
// has one.
func (s *supervisor) joinRestarts(slot *slot) {
	for _, r := range s.restarts {
		if r.waitsFor(slot) {
			_, workers := s.dispatch.Snapshot()
			r.account.join(slot, workers[slot.number])
		}
	}
}

// waitsFor reports whether the slot's worker is the one to be replaced.
func (r *restart) waitsFor(slot *slot) bool {
	return r.slot == slot && r.incarnation == slot.incarnation
}

// begun reports whether the worker drains, since its successor is ready.
func (r *restart) begun() bool { return len(r.account.entries) > 0 }

// proceedRestarts answers the restarts that are done.
func (s *supervisor) proceedRestarts() {
	if len(s.restarts) == 0 {
		return
	}
	s.enterGiven()
	s.restarts = slices.DeleteFunc(s.restarts, func(r *restart) bool {
		switch {
		case r.begun() && (r.account.over() || r.done == nil):
			s.answerRestart(r, nil)
		case !r.begun() && (!r.waitsFor(r.slot) || r.slot.life != lifeAsked):
			s.answerRestart(r, fmt.Errorf("worker %d (pid %d) ended before its successor was ready; the log says how", r.slot.number, r.pid))
		default:
			return false
		}
		return true
	})
}

func (s *supervisor) answerRestart(r *restart, err error) {
	result := restarted{pid: r.pid, err: err}
	result.departures, result.incomplete = s.closeAccount(r.account)
	if err == nil {
		s.log.Debug("restarted a worker", append([]any{"slot", r.slot.number, "pid", r.pid}, result.fields()...)...)
	}
	if r.done != nil {
		r.done <- result
	}
}

// failRestarts answers the restarts whose worker does not drain yet with an error, and has
// that worker stay.
func (s *supervisor) failRestarts(err error) {
	s.restarts = slices.DeleteFunc(s.restarts, func(r *restart) bool {
		if r.begun() {
			return false
		}
		if r.waitsFor(r.slot) && s.step(r.slot, eventSpared) {
			r.slot.why = ""
			if s.stopping == stopNot {
				s.log.Warn("not restarting a worker, it keeps serving", "slot", r.slot.number, "pid", r.pid, "error", err)
			}
		}
		s.answerRestart(r, err)
		return true
	})
}

// forgetRestart takes note that the client of a request is gone. What has begun goes on, and
// ends as it would have: if the successor does not start, the worker stays.
func (s *supervisor) forgetRestart(r *restart) {
	r.done = nil
	s.proceedRestarts()
}

// askDrain has the worker of a slot drain, and one worker fewer be wanted: scale by -1,
// but of that slot.
func (s *supervisor) askDrain(number int, c *scaling) {
	slot, err := s.slotToChange(number)
	switch {
	case err != nil:
	case s.target == 1:
		err = fmt.Errorf("slot %d has the last worker, and there is to be at least 1: usher restart %d replaces it, usher stop ends the server", number, number)
	default:
		err = s.scale(s.target - 1)
	}
	if err != nil {
		c.done <- scaled{err: err}
		return
	}
	c.account = s.openAccount(nil)
	s.scalings = append(s.scalings, c)
	s.joinScalings(slot)
	s.drain(slot, "it was asked to drain")
}
