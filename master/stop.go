package master

import (
	"errors"
	"fmt"
	"time"
)

type stopMode int

const (
	stopNot      stopMode = iota
	stopLanding           // nothing is accepted any more; workers serve until the connections that are moving have arrived
	stopGraceful          // workers drain: their connections finish, until stopBy
	stopQuick             // workers exit now
)

var errStopping = errors.New("the master is stopping")

// landingLimit is how long a graceful stop waits for workers that move their connections
// to say that they give none back any more.
const landingLimit = time.Second

// stop ends serving: gracefully, which goes by way of stopLanding, or quickly. A quick
// stop may follow a graceful one, and cuts it short.
func (s *supervisor) stop(mode stopMode) {
	if mode == stopGraceful && s.stopping == stopNot {
		mode = stopLanding
	}
	if mode <= s.stopping || mode == stopGraceful {
		return
	}
	if s.stopping == stopNot {
		s.stopBy = time.Now().Add(s.config.DrainTimeout + drainGrace)
		s.closeListeners()
		s.stopWaiting()
		s.notifier.stopping()
		if s.booted { // else it stops because its workers would not start, as its error says
			s.logStop(mode)
		}
	}
	s.stopping = mode
	for slot := range s.slots.all() {
		switch {
		case mode == stopQuick || !slot.life.serves() && slot.life.state() != stateDraining || slot.life == lifeKilled:
			s.end(slot, "stopping")
		case slot.life.gives():
			slot.until = s.stopBy // its deadline so far was one for moving
			s.recall(slot)
		case slot.kept():
			slot.until = s.stopBy
			if slot.life == lifeRecalled || slot.life == lifeReturning {
				s.setDrainAlarm(slot)
			} else {
				s.finish(slot)
			}
		}
	}
	if mode == stopLanding {
		s.after(landingLimit, s.stopServing)
	}
}

// logStop says what a stop that begins has to wait for, and how long at most.
func (s *supervisor) logStop(mode stopMode) {
	limit := s.config.DrainTimeout
	if mode == stopQuick {
		limit = 0
	}
	totals, _ := s.dispatch.Snapshot()
	s.log.Info("stopping", "conns", totals.Active+totals.Queued, "limit", limit)
}

// stopWaiting answers everybody who waits for what will not happen any more.
func (s *supervisor) stopWaiting() {
	if s.reload != nil {
		s.abortReload(errStopping)
	}
	s.refuseReloads(errStopping)
	if s.upgrade != nil {
		s.refuseUpgrade(errStopping)
	}
	s.failScaling(errStopping)
	for _, r := range s.restarts {
		s.answerRestart(r, errStopping)
	}
	s.restarts = nil
	for _, m := range s.moves {
		m.done <- moveAnswer{err: errStopping}
	}
	s.moves = nil
}

// proceedStop calls stopServing as soon as nothing moves to the serving workers any more.
func (s *supervisor) proceedStop() {
	for slot := range s.slots.all() {
		if slot.life == lifeRecalled || slot.life == lifeReturning {
			return // connections may be on their way: until it says otherwise, or landingLimit is over
		}
	}
	s.stopServing()
}

// stopServing has the serving workers drain, the second part of a graceful stop.
func (s *supervisor) stopServing() {
	if s.stopping != stopLanding {
		return
	}
	s.stopping = stopGraceful
	for slot := range s.slots.all() {
		if slot.life.serves() {
			s.drain(slot, "stopping")
		}
	}
}

// interrupted handles an operator's Ctrl-C: the first is graceful and says
// what it waits for, the second is quick.
func (s *supervisor) interrupted() {
	if s.stopping != stopNot {
		s.stop(stopQuick)
		return
	}
	s.stop(stopGraceful)
	totals, _ := s.dispatch.Snapshot()
	if n := totals.Active + totals.Queued; n > 0 {
		s.log.Warn(fmt.Sprintf("waiting for %d connections; interrupt again to quit", n))
	}
}
