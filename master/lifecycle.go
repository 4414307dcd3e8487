package master

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// This file is what the supervisor does for a worker that is wanted: it starts one,
// gives it connections when it is ready, and kills it when it misbehaves. What follows
// its death is in death.go, how a worker drains in drain.go, and the states of all that
// in life.go.

// openSlot makes a slot for a worker of a generation, and starts the worker: later, if
// deaths, which is how many in its place died young in a row, asks for a delay. It
// reports false if there is no slot left: reconcile tries again when a worker is gone.
func (s *supervisor) openSlot(generation int, config *Config, deaths int) bool {
	held, kept := 0, 0
	for slot := range s.slots.all() {
		if slot.kept() { // they may stay for ever, and must not keep others from starting
			kept++
		} else {
			held++
		}
	}
	if kept+held >= maxSlots(s.config) {
		s.cutKept()
	}
	if held >= 2*s.config.MaxWorkers || kept+held >= maxSlots(s.config) {
		// Not an event: it is said again at each try.
		s.config.Logger.Debug("no slot left, waiting for a worker that drains", "limit", 2*s.config.MaxWorkers, "kept", kept)
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

// cutKept sets the drain timeout as a deadline to one of the workers that keep
// connections without one, the worker with the fewest, since there are too many such
// workers. If some slot will be free without that, it does nothing.
func (s *supervisor) cutKept() {
	if s.slots.some(func(slot *slot) bool {
		return slot.life.state() == stateDraining && !slot.kept()
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
	slot.queueOpen, slot.killed, slot.ready, slot.readyAt, slot.keysDue = false, "", ipc.Ready{}, time.Time{}, false
	slot.accessDue, slot.accessAsked = false, 0
	slot.rate = acceptRate{}
	process, err := s.launch(slot)
	if err != nil {
		s.log.Error("cannot start a worker", "slot", slot.number, "generation", slot.generation, "error", err)
		s.closeBoard(slot)
		slot.lastExit, slot.endedBy = err.Error(), restartUnstarted
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
	board, places, err := ipc.NewScoreboardFor(max(2*s.config.MaxWorkers, slot.number+1))
	if err != nil {
		return nil, s.programs[slot.generation].Hint(err)
	}
	slot.board, slot.further, slot.own = board, places.Further, ownSeries{place: places.Metrics}
	hello, memory := s.hello(slot), -1
	if hello.TLS {
		if memory, err = s.secrets.memory(slot.config.tls); err != nil {
			return nil, err
		}
	}
	return s.processes.launch(child.Spec{
		ID:         slot.id(),
		Program:    s.programs[slot.generation],
		Scoreboard: slot.board.FD(),
		Metrics:    slot.own.place,
		Hello:      hello,
		Memory:     memory,
	})
}

// closeBoard unmaps the worker's scoreboard, whose entry nobody uses any more, and keeps what
// its program has measured.
func (s *supervisor) closeBoard(slot *slot) {
	if slot.board != nil {
		s.own.release(slot)
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

// heardOf handles an event of a worker's process. Exited is the last one. One of a process
// before the present one came late, and is dropped.
func (s *supervisor) heardOf(e child.Event) {
	switch e := e.(type) {
	case child.Said:
		if slot := s.slotOfProcess(e.ID); slot != nil {
			s.heard(slot, e.Message)
		}
	case child.Broken:
		if slot := s.slotOfProcess(e.ID); slot != nil {
			s.kill(slot, e.Err.Error())
		}
	case child.Exited:
		if slot := s.slotOfProcess(e.ID); slot != nil {
			s.workersCPU += e.CPU
			s.exited(slot, e.Status)
		}
	}
}

// slotOfProcess returns the slot whose present process has the id, or nil.
func (s *supervisor) slotOfProcess(id child.ID) *slot {
	slot := s.slots.at(id.Slot)
	if slot == nil || slot.process == nil || slot.id() != id {
		return nil
	}
	return slot
}

// slotOfWorker returns the slot that a worker is in, or nil if it is there no more.
func (s *supervisor) slotOfWorker(w dispatch.Worker) *slot {
	slot := s.slots.at(w.Slot)
	if slot == nil || slot.process == nil || slot.worker() != w {
		return nil
	}
	return slot
}

// heard handles a control message of a slot's worker.
func (s *supervisor) heard(slot *slot, message ipc.Message) {
	switch m := message.(type) {
	case ipc.Metrics:
		s.toldMetrics(slot, m)
	case ipc.Ready:
		s.becameReady(slot, m)
	case ipc.Draining:
		s.drainsByItself(slot)
	case ipc.Moved:
		s.gave(slot, m)
	case ipc.Lost:
		s.log.Error("connections lost: they could not be restored", "slot", slot.number, "pid", slot.pid(), "count", m.Count, "error", m.Error)
		s.lossExplained(m.Error)
	case ipc.AccessLogTaken:
		s.accessTaken(slot, m)
	case ipc.Closed:
		s.dispatch.ConnsClosed(slot.number, m)
	}
}

func (s *supervisor) toldMetrics(slot *slot, m ipc.Metrics) {
	switch {
	case slot.ready.Protocol != 0:
		s.kill(slot, "it told of metrics when it was ready")
	case slot.life == lifeStarting:
		if err := s.own.tell(&slot.own, m.Series); err != nil {
			s.kill(slot, err.Error())
		}
	} // else it was told to end, or killed, before it has told
}

func (s *supervisor) becameReady(slot *slot, m ipc.Ready) {
	if m.Protocol != ipc.Version {
		s.kill(slot, fmt.Sprintf("protocol version %d, this master speaks %d", m.Protocol, ipc.Version))
		return
	}
	if why := slot.config.lacks(m); why != "" {
		s.kill(slot, why)
		return
	}
	if !s.step(slot, eventReady) {
		return // said twice, or too late
	}
	slot.clearAlarm()
	slot.ready, slot.readyAt, slot.accidents = m, time.Now(), 0
	slot.hang, slot.recycleAt = hangDetector{}, newRecycleLimits(slot.config)
	s.log.Info("worker ready", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
	s.giveTicketKeys() // which may have changed since its hello
	s.accessReady(slot)
	s.levelReady(slot)
}

// openQueues has the ready workers of the generation that serves be given connections:
// all of them at once, so that the first one does not get the others' share. The workers
// that they replace get no more from the same moment on: a client that comes in between
// would have the room of a connection that is to move.
func (s *supervisor) openQueues(replaced []*slot) {
	var queues []dispatch.Queue
	for _, slot := range s.wanted(s.generation) {
		if s.step(slot, eventOpened) {
			queues = append(queues, s.queue(slot))
			slot.queueOpen = true
		}
	}
	if len(queues) > 0 {
		closed := make([]int, len(replaced))
		for i, slot := range replaced {
			closed[i] = slot.number
		}
		s.dispatch.Open(queues, closed...)
		s.rebalance()
	}
}

// kill ends a worker that has broken the protocol, or a time limit. Its death is handled
// as any other.
func (s *supervisor) kill(slot *slot, why string) {
	s.fail(slot, why)
	s.processes.signal(slot.pid(), unix.SIGKILL)
}

// fail takes note that a worker is about to be killed, and why: it is given no more
// connections.
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

// tell sends a control message; a worker that does not read is killed.
func (s *supervisor) tell(slot *slot, m ipc.Message) { s.told(slot, slot.process.Tell(m)) }

// told kills a worker that could not be told something.
func (s *supervisor) told(slot *slot, err error) {
	if err != nil && !errors.Is(err, fdpass.ErrPeerClosed) { // its process is dying: exited follows
		s.kill(slot, err.Error())
	}
}
