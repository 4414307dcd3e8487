package master

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// This file is the life of a worker that stays, as the supervisor leads it:
// started, ready, given connections; killed, exited, started again. How one leaves is
// in drain.go.

// openSlot makes a slot for a worker of a generation, after so many young deaths
// of those whose place it takes, and starts it, or has it started later. If there
// is no room it reports false: reconcile tries again when a worker is gone, as
// those that hold the slots are finishing.
func (s *supervisor) openSlot(generation int, config *Config, deaths int) bool {
	held, kept := 0, 0
	for slot := range s.slots.all() {
		if slot.kept() { // those may stay for ever, and others are not to wait for that
			kept++
		} else {
			held++
		}
	}
	if kept+held >= maxSlots(s.config) {
		s.cutKept()
	}
	if held >= 2*s.config.MaxWorkers || kept+held >= maxSlots(s.config) {
		s.log.Debug("no slot left, waiting for a worker that drains", "limit", 2*s.config.MaxWorkers, "kept", kept)
		return false
	}
	slot := &slot{number: s.slots.free(), generation: generation, config: config, deaths: deaths}
	s.slots.put(slot)
	if delay := respawnDelay(deaths, rand.Float64()); delay > 0 {
		s.startLater(slot, delay)
	} else {
		s.startWorker(slot)
	}
	return true
}

// cutKept gives one of those that keep connections without a deadline the drain
// timeout for it, as there are too many of them: the one with the fewest. If some
// slot will be free by itself, nobody has to go.
func (s *supervisor) cutKept() {
	if s.slots.some(func(slot *slot) bool {
		return slot.life.state() == StateDraining && !slot.kept()
	}) {
		return
	}
	_, workers := s.dispatch.Snapshot()
	var fewest *slot
	for slot := range s.slots.all() {
		if slot.kept() && (fewest == nil || workers[slot.number].Load() < workers[fewest.number].Load()) {
			fewest = slot
		}
	}
	if fewest != nil {
		s.log.Warn("too many workers keep their connections, one has the drain timeout for it", "slot", fewest.number, "pid", fewest.pid(), "limit", maxSlots(s.config))
		fewest.until = s.drainDeadline()
		s.finish(fewest)
	}
}

// startWorker starts the slot's next incarnation.
func (s *supervisor) startWorker(slot *slot) {
	slot.incarnation++
	slot.queueOpen, slot.killed, slot.ready, slot.readyAt = false, "", ipc.Ready{}, time.Time{}
	process, err := s.launch(slot)
	if err != nil {
		s.log.Error("cannot start a worker", "slot", slot.number, "generation", slot.generation, "error", err)
		s.closeBoard(slot)
		s.step(slot, eventExited)
		s.failScaling(err)
		s.died(slot, err)
		return
	}
	slot.process = process
	s.step(slot, eventStarted)
	s.log.Debug("worker started", "slot", slot.number, "generation", slot.generation, "pid", process.PID())
	s.setAlarm(slot, alarmBoot, slot.config.BootTimeout)
}

// launch starts a process for the slot, with memory of its own.
func (s *supervisor) launch(slot *slot) (process, error) {
	board, err := ipc.NewScoreboard(max(2*s.config.MaxWorkers, slot.number+1))
	if err != nil {
		return nil, s.programs[slot.generation].Hint(err)
	}
	slot.board = board
	return s.processes.launch(child.Spec{
		ID:         slot.id(),
		Program:    s.programs[slot.generation],
		Scoreboard: board.FD(),
		Hello:      slot.config.hello(),
	})
}

// closeBoard gives the worker's memory up. Nobody uses its entry any more.
func (s *supervisor) closeBoard(slot *slot) {
	if slot.board != nil {
		_ = slot.board.Close() // the mapping goes with the process in any case
		slot.board = nil
	}
}

// step takes a slot to its next life, and reports whether there is one.
func (s *supervisor) step(slot *slot, e lifeEvent) bool {
	before := slot.life
	if !slot.step(e) {
		return false
	}
	s.log.Trace("slot", "slot", slot.number, "pid", slot.pid(), "turn", e, "from", before, "to", slot.life)
	return true
}

// heardOf handles an event of a worker's process. There is none after its end.
func (s *supervisor) heardOf(e child.Event) {
	switch e := e.(type) {
	case child.Said:
		if slot := s.processOf(e.ID); slot != nil {
			s.heard(slot, e.Message)
		}
	case child.Broken:
		if slot := s.processOf(e.ID); slot != nil {
			s.kill(slot, e.Err.Error())
		}
	case child.Exited:
		if slot := s.processOf(e.ID); slot != nil {
			s.exited(slot, e.Status)
		}
	}
}

// processOf returns the slot whose present process has the id, or nil.
func (s *supervisor) processOf(id child.ID) *slot {
	slot := s.slots.at(id.Slot)
	if slot == nil || slot.process == nil || slot.id() != id {
		return nil
	}
	return slot
}

// worker returns the slot that a worker is in, or nil if it is there no more.
func (s *supervisor) worker(w dispatch.Worker) *slot {
	slot := s.slots.at(w.Slot)
	if slot == nil || slot.process == nil || slot.worker() != w {
		return nil
	}
	return slot
}

// heard handles a control message.
func (s *supervisor) heard(slot *slot, message ipc.Message) {
	switch m := message.(type) {
	case ipc.Ready:
		s.becameReady(slot, m)
	case ipc.Draining:
		s.drainsByItself(slot)
	case ipc.Moved:
		s.gave(slot, m)
	case ipc.Lost:
		s.log.Error("connections lost: they could not be restored", "slot", slot.number, "pid", slot.pid(), "count", m.Count, "error", m.Error)
		s.lossExplained(m.Error)
	case ipc.Closed:
		s.dispatch.ConnsClosed(slot.number, m)
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
	if !s.step(slot, eventReady) {
		return // said twice, or too late
	}
	slot.clearAlarm()
	slot.ready, slot.readyAt, slot.accidents = m, time.Now(), 0
	slot.hang, slot.recycleAt = hangDetector{}, newRecycleLimits(slot.config)
	s.log.Info("worker ready", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
}

// openQueues lets the workers have connections that are ready, of the generation
// that serves: all at once, so that none gets what is for all.
func (s *supervisor) openQueues() {
	var queues []dispatch.Queue
	for _, slot := range s.wanted(s.generation) {
		if s.step(slot, eventOpened) {
			queues = append(queues, s.queue(slot))
			slot.queueOpen = true
		}
	}
	if len(queues) > 0 {
		s.dispatch.Open(queues)
		s.rebalance()
	}
}

// queue describes the queue of the slot's worker to the accept goroutine.
func (s *supervisor) queue(slot *slot) dispatch.Queue {
	capacity := slot.ready.Capacity
	if capacity <= 0 {
		capacity = slot.config.defaultCapacity
	}
	if most := slot.config.MaxConnsPerWorker; most > 0 {
		capacity = min(capacity, most)
	}
	fd, workerEnd := slot.process.Queue()
	return dispatch.Queue{
		Worker: slot.worker(), FD: fd, WorkerEnd: workerEnd,
		Capacity: capacity, Closes: slot.ready.Closes, Moves: slot.ready.Moves, Entry: slot.entry(),
	}
}

// kill ends a worker that cannot be talked to. Its death is handled as any other.
func (s *supervisor) kill(slot *slot, why string) {
	s.fail(slot, why)
	s.processes.signal(slot.pid(), unix.SIGKILL)
}

// fail takes note that a worker is about to be killed: from now on others get
// what it was to have.
func (s *supervisor) fail(slot *slot, why string) {
	if slot.killed == "" {
		slot.killed = why
		s.log.Warn("killing a worker", "slot", slot.number, "pid", slot.pid(), "reason", why)
	}
	served := slot.life.serves()
	if s.step(slot, eventFailed) {
		slot.clearAlarm()
		if served {
			s.dispatch.CloseQueue(slot.number)
		}
	}
}

// exited handles the end of a worker process.
func (s *supervisor) exited(slot *slot, status unix.WaitStatus) {
	process := slot.process
	before := slot.life
	s.dropOrder(slot, "its worker died")
	if slot.queueOpen {
		s.dispatch.Reaped(slot.number)
	} else {
		closeQueue(process.Queue())
	}
	process.HangUp()
	slot.process = nil
	s.closeBoard(slot)
	s.step(slot, eventExited)
	slot.clearAlarm()
	asked := before.state() == StateDraining && before != lifeKilled
	how := child.Reason(status)
	if status.Exited() && status.ExitStatus() == 0 && !asked && process.LeftOthers() {
		how += ", while a process that it started goes on: a worker has to stay in the foreground"
	}
	err := death{slot.number, process.PID(), how, slot.killed, process.StderrTail()}
	if asked && status.Exited() && status.ExitStatus() == 0 {
		s.log.Info("worker gone", "slot", slot.number, "generation", slot.generation, "pid", process.PID())
	} else {
		fields := []any{"slot", slot.number, "generation", slot.generation, "pid", process.PID(), "reason", err.reason()}
		if err.stderrTail != "" {
			fields = append(fields, "last_words", err.stderrTail)
		}
		s.log.Warn("worker died", fields...)
	}
	if before == lifeStarting && s.byAccident(slot, status) {
		s.startWorker(slot)
		return
	}
	if !slot.queueOpen && slot.life != lifeRemoved { // it was to be ready
		s.failScaling(err)
	}
	s.died(slot, err)
}

// maxAccidents is how often in a row a worker is started again at once that was
// ended before it was ready by a signal that was meant for others.
const maxAccidents = 3

// byAccident reports whether a worker was ended by a signal that it would have
// ignored, had it come to that: killall sends them to everyone.
func (s *supervisor) byAccident(slot *slot, status unix.WaitStatus) bool {
	if !status.Signaled() || slot.accidents >= maxAccidents {
		return false
	}
	switch status.Signal() {
	case unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2:
		slot.accidents++
		return true
	}
	return false
}

// died decides what follows the end of a worker, or a start that did not succeed.
func (s *supervisor) died(slot *slot, err error) {
	if s.stopping != stopNot {
		s.step(slot, eventEnd) // nobody takes its place
	}
	if slot.life == lifeRemoved {
		s.slots.remove(slot)
		return
	}
	slot.deaths++
	switch {
	case s.reload.starting() && slot.generation == s.reload.generation:
		s.abortReload(err)
	case !s.booted:
		s.bootError = err
	default:
		s.respawn(slot)
	}
}

// respawn starts the slot's next incarnation: at once after the first death,
// later ever more slowly.
func (s *supervisor) respawn(slot *slot) {
	if !slot.readyAt.IsZero() && time.Since(slot.readyAt) >= healthyAfter {
		slot.deaths = 1
	}
	slot.restarts++
	s.startLater(slot, respawnDelay(slot.deaths, rand.Float64()))
}

// startLater starts the slot's worker after a delay. Even without one it does not
// do so itself: what cannot be started dies at once, and this is how that ends.
func (s *supervisor) startLater(slot *slot, delay time.Duration) {
	if delay > 0 {
		s.log.Warn("worker restarts later", "slot", slot.number, "after", delay.Round(time.Millisecond))
	}
	s.setAlarm(slot, alarmRespawn, delay)
}

// tell sends a control message; a worker that does not read is killed.
func (s *supervisor) tell(slot *slot, m ipc.Message) {
	err := slot.process.Tell(m)
	if err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) { // those are dying already
		s.kill(slot, err.Error())
	}
}
