package master

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how a worker drains, on the supervisor's goroutine: its connections
// move to other workers, or finish where they are, and then it ends. The states that
// it goes through are in life.go.

// The time a worker has, beyond its deadline, to flush and close; and the time
// it has to exit when told to stop.
const (
	drainGrace = 2 * time.Second
	stopGrace  = time.Second
)

// drain has a worker end, and its slot with it. Its connections move to other workers
// if they can, and finish by themselves otherwise, until the drain timeout.
func (s *supervisor) drain(slot *slot, why string) {
	if !slot.life.serves() { // it has no connections to wait for
		s.end(slot, why)
		return
	}
	s.joinRestarts(slot)
	s.dropOrder(slot, "the worker leaves: "+why)
	slot.why, slot.until = why, s.drainDeadline()
	s.log.Info("worker draining", "slot", slot.number, "generation", slot.generation, "pid", slot.pid(), "reason", why)
	s.dispatch.CloseQueue(slot.number)
	switch {
	case s.stopping != stopNot || !slot.ready.Moves:
		s.finish(slot)
	case s.hasMoveTarget(slot):
		s.moveAway(slot)
	case s.expectsMoveTarget(slot):
		s.step(slot, eventPark)
		s.park(slot)
	default:
		s.finish(slot)
	}
}

// drainDeadline is by when a worker is to be gone that begins to drain now.
func (s *supervisor) drainDeadline() time.Time {
	if s.stopping != stopNot {
		return s.stopBy
	}
	return time.Now().Add(s.config.DrainTimeout + drainGrace)
}

// hasMoveTarget reports whether there is another worker that this one's connections
// can move to.
func (s *supervisor) hasMoveTarget(from *slot) bool {
	for slot := range s.slots.all() {
		if slot != from && slot.life == lifeServing && slot.generation == s.generation && s.takesFrom(slot, from) {
			return true
		}
	}
	return false
}

// expectsMoveTarget reports whether there may be one soon: not all of the wanted
// workers serve, the draining one left out.
func (s *supervisor) expectsMoveTarget(draining *slot) bool {
	serving := 0
	for _, slot := range s.wanted(s.generation) {
		if slot != draining && slot.life == lifeServing {
			serving++
		}
	}
	return serving < s.target
}

// moveAway has a worker give its connections back, to be moved to others.
func (s *supervisor) moveAway(slot *slot) {
	if s.step(slot, eventMove) {
		if slot.until.IsZero() {
			slot.until = s.drainDeadline()
		}
		s.tell(slot, ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: slot.remaining()})
		s.setDrainAlarm(slot)
	}
}

// park lets a worker keep and serve its connections until there is somewhere for them
// to go, however long that takes. The worker is not told: it goes on as before. One that
// has none is ended by releaseEmpty.
func (s *supervisor) park(slot *slot) {
	slot.until = time.Time{}
	slot.clearAlarm()
	if _, counts := s.dispatch.Snapshot(); counts[slot.number].Load() == 0 {
		return
	}
	s.log.Info("worker keeps its connections until there is somewhere for them to go", "slot", slot.number, "pid", slot.pid())
}

// finish has a worker's connections finish by themselves.
func (s *supervisor) finish(slot *slot) {
	s.step(slot, eventFinish) // if it finishes already, only the deadline is new
	s.tell(slot, ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: slot.remaining()})
	s.setDrainAlarm(slot)
}

func (s *supervisor) setDrainAlarm(slot *slot) {
	slot.clearAlarm()
	if !slot.until.IsZero() {
		s.setAlarm(slot, alarmDrained, time.Until(slot.until))
	}
}

// recall has a worker give back no more connections. Of those that it has given back,
// the ones that have nowhere to go return to it.
func (s *supervisor) recall(slot *slot) {
	if s.step(slot, eventRecall) {
		s.tell(slot, ipc.Move{})
		s.setDrainAlarm(slot)
	}
}

// keep has a draining worker keep its connections for as long as they last. They could
// go somewhere, but too many did not survive that.
func (s *supervisor) keep(slot *slot) {
	switch {
	case slot.life.gives(), slot.life == lifeRecalled, slot.life == lifeReturning:
		slot.until = time.Time{}
		slot.clearAlarm()
		s.recall(slot) // unless it is recalled already
	case slot.life == lifeParked:
		s.finish(slot)
	}
}

// gave handles a worker's message that it gives nothing more back: for a move order
// while it serves, or of all its connections while it drains.
func (s *supervisor) gave(slot *slot, m ipc.Moved) {
	switch {
	case m.ID != 0 || slot.life.serves():
		s.orderAnswered(slot, m)
	case s.step(slot, eventGaveAll):
		s.dispatch.AwaitLanding(slot.number)
	}
}

func (s *supervisor) landed(e dispatch.Landed) {
	slot := s.slotOfWorker(e.Worker)
	switch {
	case slot == nil || !s.step(slot, eventLanded) || slot.life != lifeParked: // it may be lifeLanded: see guideDraining
	case s.stopping != stopNot || slot.until.IsZero():
		s.finish(slot)
	default:
		s.park(slot)
		s.releaseEmpty()
	}
}

// guideDraining tells draining workers what has changed for them: that there is now
// somewhere for their connections to go, or no longer, or that no connection returns
// to them any more.
func (s *supervisor) guideDraining() {
	if s.stopping != stopNot {
		return
	}
	for slot := range s.slots.all() {
		switch {
		case !slot.ready.Moves:
		case s.hasMoveTarget(slot):
			if slot.life == lifeParked || slot.life == lifeFinishing && !slot.kept() && slot.generation == s.generation {
				s.moveAway(slot)
			}
			if slot.life == lifeLanded && !s.reload.moving() && s.step(slot, eventReleased) {
				s.tell(slot, ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: slot.remaining()})
			}
		case slot.life == lifeParked && !s.expectsMoveTarget(slot):
			slot.until = s.drainDeadline() // all wanted workers serve, and none can take them
			s.finish(slot)
		default:
			s.recall(slot)
		}
	}
}

// releaseEmpty ends the parked workers whose connections have all ended: a worker to
// which some may return does not exit by itself.
func (s *supervisor) releaseEmpty() {
	if !s.slots.some(func(slot *slot) bool { return slot.life == lifeParked }) {
		return
	}
	_, workers := s.dispatch.Snapshot()
	for slot := range s.slots.all() {
		if slot.life == lifeParked && workers[slot.number].Load() == 0 {
			slot.until = s.drainDeadline()
			s.finish(slot)
		}
	}
}

// end has a worker exit now. A slot without a process is removed at once, and one whose
// worker was killed when that is reaped.
func (s *supervisor) end(slot *slot, why string) {
	before := slot.life
	if !s.step(slot, eventEnd) {
		return
	}
	slot.why = why
	switch {
	case slot.life == lifeRemoved:
		slot.clearAlarm()
		s.slots.remove(slot)
	case before != lifeKilled:
		if before.serves() {
			s.dropOrder(slot, "the worker leaves: "+why)
			s.dispatch.CloseQueue(slot.number)
		}
		s.tell(slot, ipc.Stop{})
		s.setAlarm(slot, alarmEnded, stopGrace)
	}
}

// drainsByItself handles a worker's message that it drains although the master has not
// asked it to: it was sent a signal, or has nothing more to do. Another worker takes its
// place: at once, or after a delay if this one did not last for healthyAfter.
func (s *supervisor) drainsByItself(slot *slot) {
	switch {
	case slot.life == lifeWaiting:
		s.kill(slot, "it wants to end before it has served")
	case slot.life.serves():
		deaths := 0
		if time.Since(slot.readyAt) < healthyAfter {
			deaths = slot.deaths + 1
		}
		asked := slot.life == lifeAsked // then its successor was started already
		s.drain(slot, "the worker was told to finish")
		if deaths > 0 {
			s.newWorkerDrains(slot)
			s.failScaling(fmt.Errorf("worker %d (pid %d) wants to end although it has just begun", slot.number, slot.pid()))
		}
		if !asked && s.stopping == stopNot && slot.generation == s.newest() {
			s.openSlot(slot.generation, s.newestConfig(), deaths)
		}
	}
}
