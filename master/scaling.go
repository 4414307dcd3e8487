package master

import (
	"fmt"
	"slices"
)

// scaling is a client's request for so many workers. It is under way until they are
// ready, and the connections of those that drain for it have arrived elsewhere. It
// belongs to the supervisor's goroutine, from when it was asked for.
type scaling struct {
	account *account
	done    chan scaled // has room for one
}

// scaled is what came of it.
type scaled struct {
	workers int
	departures
	incomplete error
	err        error
}

// scale sets how many workers are wanted. Beyond 1 and the maximum, or while
// stopping, it changes nothing and says so.
func (s *supervisor) scale(to int) error {
	if s.stopping != stopNot {
		return errStopping
	}
	if to < 1 || to > s.config.MaxWorkers {
		return fmt.Errorf("%d workers are not possible: at least 1, and at most max-workers, which is %d; it stays at %d", to, s.config.MaxWorkers, s.target)
	}
	s.target = to
	s.log.Info("scaling", "workers", s.target)
	return nil
}

// scaleOne is scale for a signal, whose sender learns from the log alone what came of it.
func (s *supervisor) scaleOne(by int) {
	if err := s.scale(s.target + by); err != nil {
		s.log.Warn("not scaling", "workers", s.target, "error", err)
	}
}

// askScale is scale for a client, which is answered when it is done.
func (s *supervisor) askScale(to int, c *scaling) {
	if err := s.scale(to); err != nil {
		c.done <- scaled{err: err}
		return
	}
	c.account = s.openAccount(nil)
	s.scalings = append(s.scalings, c)
}

// joinScalings adds a worker that is about to drain to the accounts of all scalings.
func (s *supervisor) joinScalings(slot *slot) {
	if len(s.scalings) == 0 || !slot.life.serves() {
		return
	}
	_, workers := s.dispatch.Snapshot()
	for _, c := range s.scalings {
		c.account.join(slot, workers[slot.number])
	}
}

// proceedScalings answers the scalings that are done.
func (s *supervisor) proceedScalings() {
	if len(s.scalings) == 0 || !s.allReady(s.newest()) {
		return
	}
	s.enterGiven()
	s.scalings = slices.DeleteFunc(s.scalings, func(c *scaling) bool {
		if !c.account.over() {
			return false
		}
		result := scaled{workers: s.target}
		result.departures, result.incomplete = s.closeAccount(c.account)
		s.log.Debug("scaled", append([]any{"workers", s.target}, result.fields()...)...)
		c.done <- result
		return true
	})
}

// failScaling answers all scalings, and restarts that wait for a worker, with an error: one
// did not get ready.
func (s *supervisor) failScaling(err error) {
	for _, c := range s.scalings {
		result := scaled{workers: s.target}
		result.departures, _ = s.closeAccount(c.account)
		result.err = err
		if err != errStopping {
			result.err = fmt.Errorf("%w\n%d workers are wanted still, and starting is tried again: usher scale sets another number", err, s.target)
		}
		c.done <- result
	}
	s.scalings = nil
	s.failRestarts(err)
}

// forgetScaling drops a request whose client is gone.
func (s *supervisor) forgetScaling(c *scaling) {
	if i := slices.Index(s.scalings, c); i >= 0 {
		s.scalings = slices.Delete(s.scalings, i, i+1)
		_, _ = s.closeAccount(c.account) // nobody waits for it
	}
}
