package master

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// This file is the life of a worker, as the supervisor leads it: started, heard,
// ready, seated; dismissed, told to end, killed; exited, died, started again.

// startWorker starts the slot's next incarnation.
func (s *supervisor) startWorker(slot *slot) {
	slot.incarnation++
	slot.held, slot.kept = false, false
	slot.killed, slot.moving, slot.ending, slot.ready, slot.readyAt = "", false, false, ipc.Ready{}, time.Time{}
	s.board.Entry(slot.number).Reset()
	process, err := s.processes.launch(order{
		program:    slot.config.Program,
		seat:       ipc.Seat{Protocol: ipc.Version, Slot: slot.number, Generation: slot.generation},
		scoreboard: s.board.FD(),
		hello:      slot.config.hello(),
	}, s.eventsOf(slot))
	if err != nil {
		s.log.Error("cannot start a worker", "slot", slot.number, "generation", slot.generation, "error", err)
		s.died(slot, err)
		return
	}
	slot.process = process
	slot.change(workerStarted)
	s.log.Debug("worker started", "slot", slot.number, "generation", slot.generation, "pid", process.pid)
	s.setAlarm(slot, alarmBoot, slot.config.BootTimeout)
}

// eventsOf is how the slot's present incarnation is heard of, for as long as it
// is the present one.
func (s *supervisor) eventsOf(slot *slot) processEvents {
	incarnation := slot.incarnation
	post := func(f func()) {
		s.inbox.put(func() {
			if slot.incarnation == incarnation && slot.process != nil {
				f()
			}
		})
	}
	return processEvents{
		message: func(m ipc.Message) { post(func() { s.heard(slot, m) }) },
		broken:  func(err error) { post(func() { s.kill(slot, err.Error()) }) },
		exited:  func(status unix.WaitStatus) { post(func() { s.exited(slot, status) }) },
	}
}

// heard handles a control message.
func (s *supervisor) heard(slot *slot, message ipc.Message) {
	switch m := message.(type) {
	case ipc.Ready:
		s.becameReady(slot, m)
	case ipc.Draining:
		if slot.state == StateReady {
			s.dismiss(slot, "the worker was told to finish")
		}
	case ipc.Moved:
		slot.moving, slot.staying = false, m.Staying
	case ipc.Lost:
		s.lastLoss = m.Error
		s.log.Error("connections lost: they could not be restored", "slot", slot.number, "pid", slot.pid(), "count", m.Count, "error", m.Error)
	case ipc.Closed:
		s.dispatch.ring(slot.number, m)
	}
}

func (s *supervisor) becameReady(slot *slot, m ipc.Ready) {
	if m.Protocol != ipc.Version {
		s.kill(slot, fmt.Sprintf("protocol version %d, this master speaks %d", m.Protocol, ipc.Version))
		return
	}
	if flag := slot.config.needsCloses(); flag != "" && !m.Closes {
		s.kill(slot, "it does not say when it closes connections, which --"+flag+" needs")
		return
	}
	if !slot.change(workerReady) {
		return // said twice, or too late
	}
	slot.quiet()
	slot.ready, slot.readyAt = m, time.Now()
	slot.pulse, slot.lease = pulse{}, newLease(slot.config)
	s.log.Info("worker ready", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
	if slot.generation == s.generation {
		s.seat(slot)
		s.rebalance()
	}
	if !s.booted {
		s.booted = true
		s.respawnFailed()
		s.notifier.ready()
		if s.config.Started != nil {
			s.config.Started(s.status())
		}
	}
}

// seat lets the slot's worker have connections.
func (s *supervisor) seat(slot *slot) {
	capacity := slot.ready.Capacity
	if capacity <= 0 {
		capacity = slot.config.defaultCapacity
	}
	if most := slot.config.MaxConnsPerWorker; most > 0 {
		capacity = min(capacity, most)
	}
	slot.seated = true
	s.dispatch.open(seatSpec{
		slot: slot.number, generation: slot.generation, worker: slot.incarnation, queue: slot.process.queue, workerEnd: slot.process.workerEnd,
		capacity: capacity, closes: slot.ready.Closes, moves: slot.ready.Moves, entry: s.board.Entry(slot.number),
	})
}

// brokenQueue is called from the accept goroutine.
func (s *supervisor) brokenQueue(spec seatSpec, err error) {
	s.inbox.put(func() {
		slot := s.slots[spec.slot]
		if slot != nil && slot.process != nil && slot.process.queue == spec.queue && slot.incarnation == spec.worker {
			s.kill(slot, err.Error())
		}
	})
}

// kill ends a worker that cannot be talked to. Its death is handled as any other.
func (s *supervisor) kill(slot *slot, why string) {
	if slot.killed == "" {
		slot.killed = why
		s.log.Warn("killing a worker", "slot", slot.number, "pid", slot.pid(), "reason", why)
	}
	s.processes.signal(slot.pid(), unix.SIGKILL)
}

// exited handles the end of a worker process.
func (s *supervisor) exited(slot *slot, status unix.WaitStatus) {
	process := slot.process
	unexpected := slot.state != StateDraining || status.ExitStatus() != 0
	if slot.seated {
		s.dispatch.bury(slot.number)
	} else {
		closeQueue(process.queue, process.workerEnd)
	}
	process.hangUp()
	slot.process, slot.seated, slot.moving = nil, false, false
	slot.change(workerExited)
	slot.quiet()
	err := death{slot.number, process.pid, reason(status), slot.killed, process.lastWords()}
	if !unexpected {
		s.log.Info("worker gone", "slot", slot.number, "generation", slot.generation, "pid", process.pid)
	} else {
		fields := []any{"slot", slot.number, "generation", slot.generation, "pid", process.pid, "reason", err.reason()}
		if err.words != "" {
			fields = append(fields, "last_words", err.words)
		}
		s.log.Warn("worker died", fields...)
	}
	s.died(slot, err)
}

// died decides what follows the end of a worker, or a start that did not succeed.
func (s *supervisor) died(slot *slot, err error) {
	switch {
	case slot.leaving || slot.recycled != "" || s.stopping != stopNot:
		s.slots[slot.number] = nil
	case s.reload != nil && !s.reload.switched && slot.generation == s.reload.generation:
		s.abortReload(err)
	case !s.booted:
		slot.deaths++
		if s.noneStarting() {
			s.failure = fmt.Errorf("%w: %w", ErrWorkersWouldNotStart, err)
			s.stop(stopQuick)
		}
	default:
		s.respawn(slot)
	}
}

// noneStarting reports whether, before any worker was ready, all have failed.
func (s *supervisor) noneStarting() bool {
	staff := s.staff(s.generation)
	for _, slot := range staff {
		if slot.state != StateGone || slot.deaths == 0 {
			return false
		}
	}
	return len(staff) >= s.target
}

// respawn starts the slot's next incarnation: at once after the first death,
// later ever more slowly.
func (s *supervisor) respawn(slot *slot) {
	if !slot.readyAt.IsZero() && time.Since(slot.readyAt) >= healthyAfter {
		slot.deaths = 0
	}
	slot.deaths++
	slot.restarts++
	delay := respawnDelay(slot.deaths, rand.Float64())
	if delay > 0 {
		s.log.Warn("worker restarts later", "slot", slot.number, "after", delay.Round(time.Millisecond))
	}
	s.setAlarm(slot, alarmRespawn, delay)
}

// respawnFailed restarts what failed before the first worker was ready.
func (s *supervisor) respawnFailed() {
	for _, slot := range s.staff(s.generation) {
		if slot.state == StateGone && slot.alarm == nil {
			s.respawn(slot)
		}
	}
}

// dismiss lets a worker finish; its slot is then given up.
func (s *supervisor) dismiss(slot *slot, why string) {
	slot.leaving = true
	state := slot.state
	if state == StateDraining {
		return
	}
	if !slot.change(workerDraining) { // gone: nothing to finish
		slot.quiet()
		s.slots[slot.number] = nil
		return
	}
	if state == StateStarting || !slot.seated {
		s.end(slot)
		return
	}
	s.log.Info("worker draining", "slot", slot.number, "generation", slot.generation, "pid", slot.pid(), "reason", why)
	s.dispatch.retire(slot.number)
	s.drain(slot)
}

// drain tells a worker how to finish, and until when.
func (s *supervisor) drain(slot *slot) {
	mode := s.drainMode(slot)
	slot.kept, slot.moving, slot.staying = false, mode == ipc.DrainMove, math.MaxInt
	slot.held = slot.moving
	s.tell(slot, ipc.Drain{Mode: mode, DeadlineMS: max(1, s.config.DrainTimeout.Milliseconds())})
	s.setAlarm(slot, alarmDrained, s.config.DrainTimeout+drainGrace)
}

// keep has a worker move no more connections, and keep those that it has, or
// gets back, for as long as they last.
func (s *supervisor) keep(slot *slot) {
	slot.kept, slot.moving, slot.staying = true, true, math.MaxInt // until it has said that it does
	s.tell(slot, ipc.Move{})
	slot.quiet()
}

// releaseMoved lets those workers end by themselves whose connections have
// reached others, or are back.
func (s *supervisor) releaseMoved() {
	for _, slot := range s.slots {
		if slot == nil || !slot.held || slot.moving || slot.ending || slot.state != StateDraining || s.reload != nil && s.reload.switched {
			continue
		}
		if s.dispatch.returning(slot.number) {
			s.later()
			continue
		}
		slot.held = false
		again := ipc.Drain{Mode: ipc.DrainMove}
		if slot.kept {
			again.Mode = ipc.DrainFinish
		} else if slot.alarm != nil {
			again.DeadlineMS = max(1, (time.Until(slot.alarm.due) - drainGrace).Milliseconds())
		}
		s.tell(slot, again)
	}
}

// drainMode says whether a worker's connections are to move: if it can, and
// another that can is there for them. When all stop, they finish.
func (s *supervisor) drainMode(moving *slot) string {
	if s.stopping == stopNot && moving.ready.Moves {
		for _, slot := range s.slots {
			if slot != nil && !slot.leaving && slot.recycled == "" && slot.seated && slot.state == StateReady && slot.ready.Moves {
				return ipc.DrainMove
			}
		}
	}
	return ipc.DrainFinish
}

// The time a worker has, beyond its deadline, to flush and close; and the time
// it has to exit when told to stop.
const (
	drainGrace = 2 * time.Second
	stopGrace  = time.Second
)

// end has a worker exit now.
func (s *supervisor) end(slot *slot) {
	slot.ending = true
	s.tell(slot, ipc.Stop{})
	s.setAlarm(slot, alarmEnded, stopGrace)
}

// tell sends a control message; a worker that does not read is killed.
func (s *supervisor) tell(slot *slot, m ipc.Message) {
	err := slot.process.tell(m)
	if err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) { // those are dying already
		s.kill(slot, err.Error())
	}
}
