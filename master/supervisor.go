package master

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// supervisor owns the slots: one goroutine, to which everyone else sends
// functions to run. After each batch it reconciles what is with what is wanted,
// so that no event needs to know what others are under way.
type supervisor struct {
	config    Config
	log       hclog.Logger
	board     *ipc.Scoreboard
	acceptor  *acceptor
	reaper    *reaper
	listeners []ListenerStatus
	launch    func(order, processEvents) (*process, error)

	inbox mailbox[func()]
	wake  chan struct{}
	done  chan struct{} // closed when run has returned

	slots      []*slot // by number; nil where there is none
	generation int     // the one that serves
	target     int     // workers wanted
	reload     *reload // under way, or nil
	again      bool    // another reload was asked for meanwhile
	booted     bool    // some worker was ready once
	stopping   stopMode
	failure    error // why run ends, if not because it was asked to
}

type stopMode int

const (
	stopNot stopMode = iota
	stopGraceful
	stopQuick
)

// reload is a change of generations under way.
type reload struct {
	generation int
	since      time.Time
}

func newSupervisor(config Config, board *ipc.Scoreboard, a *acceptor, r *reaper) *supervisor {
	s := &supervisor{
		config: config, log: config.Logger, board: board, acceptor: a, reaper: r,
		slots: make([]*slot, board.Len()), generation: 1, target: config.Workers,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.inbox.notify = func() {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	s.launch = func(o order, events processEvents) (*process, error) {
		return launch(o, r, s.log, events)
	}
	return s
}

// run is the supervisor's goroutine. It returns when every worker is gone:
// because it was asked to stop, or with the reason it could not go on.
func (s *supervisor) run() error {
	defer close(s.done)
	for {
		s.reconcile()
		if s.stopping != stopNot && s.empty() {
			return s.failure
		}
		<-s.wake
		for _, f := range s.inbox.take() {
			f()
		}
	}
}

// interrupt ends run quickly and waits for its end: the other actors must
// outlive it.
func (s *supervisor) interrupt(error) {
	s.inbox.put(func() { s.stop(stopQuick) })
	<-s.done
}

// do runs f on the supervisor's goroutine and returns when it has run, or
// false if the supervisor has ended.
func (s *supervisor) do(f func()) bool {
	ran := make(chan struct{})
	s.inbox.put(func() { f(); close(ran) })
	select {
	case <-ran:
		return true
	case <-s.done:
		return false
	}
}

// reconcile brings the workers to what is wanted.
func (s *supervisor) reconcile() {
	if s.stopping != stopNot {
		return
	}
	if s.reload == nil && s.again {
		s.again = false
		s.beginReload()
	}
	generation := s.newest()
	staff := s.staff(generation)
	for n := len(staff); n < s.target; n++ {
		if !s.openSlot(generation) {
			break
		}
		if s.newest() != generation { // that one did not start, and the reload is off
			s.reconcile()
			return
		}
	}
	for n := len(staff); n > s.target; n-- {
		s.dismiss(s.idlest(generation), "fewer workers wanted")
	}
	if s.reload != nil && s.allReady(generation) {
		s.switchOver()
	}
}

// newest returns the generation that workers are started for.
func (s *supervisor) newest() int {
	if s.reload != nil {
		return s.reload.generation
	}
	return s.generation
}

// staff returns the slots of a generation that are to stay.
func (s *supervisor) staff(generation int) (staff []*slot) {
	for _, slot := range s.slots {
		if slot != nil && slot.generation == generation && !slot.leaving {
			staff = append(staff, slot)
		}
	}
	return staff
}

func (s *supervisor) empty() bool {
	for _, slot := range s.slots {
		if slot != nil {
			return false
		}
	}
	return true
}

func (s *supervisor) allReady(generation int) bool {
	staff := s.staff(generation)
	for _, slot := range staff {
		if slot.state != StateReady {
			return false
		}
	}
	return len(staff) >= s.target
}

// idlest returns the slot that costs least to give up: one without a ready
// worker, or else the one with the smallest load; of equals the youngest.
func (s *supervisor) idlest(generation int) *slot {
	loads := s.acceptor.loads()
	weigh := func(slot *slot) int {
		if slot.state != StateReady {
			return -1
		}
		return loads[slot.number]
	}
	staff := s.staff(generation)
	best := staff[0]
	for _, slot := range staff[1:] {
		if weigh(slot) <= weigh(best) {
			best = slot
		}
	}
	return best
}

// openSlot starts a worker in a new slot, or reports that there is none left.
func (s *supervisor) openSlot(generation int) bool {
	for number := range s.slots {
		if s.slots[number] == nil {
			slot := &slot{number: number, generation: generation}
			s.slots[number] = slot
			s.startWorker(slot)
			return true
		}
	}
	s.log.Error("no slot left: too many workers are still draining", "limit", len(s.slots))
	return false
}

// startWorker starts the slot's next incarnation.
func (s *supervisor) startWorker(slot *slot) {
	slot.incarnation++
	slot.killed, slot.ready, slot.readyAt = "", ipc.Ready{}, time.Time{}
	s.board.Entry(slot.number).Reset()
	incarnation := slot.incarnation
	post := func(f func()) {
		s.inbox.put(func() {
			if slot.incarnation == incarnation && slot.process != nil {
				f()
			}
		})
	}
	process, err := s.launch(order{
		program:    s.config.Program,
		seat:       ipc.Seat{Protocol: ipc.Version, Slot: slot.number, Generation: slot.generation},
		scoreboard: s.board.FD(),
		hello:      ipc.Hello{Protocol: ipc.Version, App: s.config.App, MaxConns: s.config.MaxConnsPerWorker},
	}, processEvents{
		message: func(m ipc.Message) { post(func() { s.heard(slot, m) }) },
		broken:  func(err error) { post(func() { s.kill(slot, err.Error()) }) },
		exited:  func(status unix.WaitStatus) { post(func() { s.exited(slot, status) }) },
	})
	if err != nil {
		s.log.Error("cannot start a worker", "slot", slot.number, "generation", slot.generation, "error", err)
		s.died(slot, err)
		return
	}
	slot.process = process
	slot.change(workerStarted)
	s.log.Debug("worker started", "slot", slot.number, "generation", slot.generation, "pid", process.pid)
	s.setAlarm(slot, s.config.BootTimeout, func() {
		s.kill(slot, fmt.Sprintf("not ready within %v", s.config.BootTimeout))
	})
}

// setAlarm has f run on the supervisor's goroutine after d, unless the slot's
// state or alarm changes before.
func (s *supervisor) setAlarm(slot *slot, d time.Duration, f func()) {
	slot.quiet()
	var alarm *time.Timer
	alarm = time.AfterFunc(d, func() {
		s.inbox.put(func() {
			if slot.alarm == alarm {
				slot.alarm = nil
				f()
			}
		})
	})
	slot.alarm = alarm
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
	case ipc.Closed:
		s.acceptor.ring(slot.number, max(m.Count, len(m.IDs)))
	}
}

func (s *supervisor) becameReady(slot *slot, m ipc.Ready) {
	if m.Protocol != ipc.Version {
		s.kill(slot, fmt.Sprintf("protocol version %d, this master speaks %d", m.Protocol, ipc.Version))
		return
	}
	if s.config.MaxConnsPerWorker > 0 && !m.Closes {
		s.kill(slot, "it does not say when it closes connections, which --max-conns-per-worker and --dispatch queue need")
		return
	}
	if !slot.change(workerReady) {
		return // said twice, or too late
	}
	slot.quiet()
	slot.ready, slot.readyAt = m, time.Now()
	s.log.Info("worker ready", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
	if slot.generation == s.generation {
		s.seat(slot)
	}
	if !s.booted {
		s.booted = true
		s.respawnFailed()
		if s.config.Started != nil {
			s.config.Started(s.status())
		}
	}
}

// seat lets the slot's worker have connections.
func (s *supervisor) seat(slot *slot) {
	capacity := slot.ready.Capacity
	if capacity <= 0 {
		capacity = s.config.defaultCapacity
	}
	if most := s.config.MaxConnsPerWorker; most > 0 {
		capacity = min(capacity, most)
	}
	slot.seated = true
	s.acceptor.open(seatSpec{
		slot: slot.number, queue: slot.process.queue, workerEnd: slot.process.workerEnd,
		capacity: capacity, closes: slot.ready.Closes, entry: s.board.Entry(slot.number),
	})
}

// brokenQueue is called from the accept goroutine.
func (s *supervisor) brokenQueue(number int, err error) {
	s.inbox.put(func() {
		if slot := s.slots[number]; slot != nil && slot.process != nil {
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
	s.reaper.signal(slot.pid(), unix.SIGKILL)
}

// exited handles the end of a worker process.
func (s *supervisor) exited(slot *slot, status unix.WaitStatus) {
	process := slot.process
	unexpected := slot.state != StateDraining || status.ExitStatus() != 0
	if slot.seated {
		s.acceptor.bury(slot.number)
	} else {
		closeQueue(process.queue, process.workerEnd)
	}
	_ = process.control.Close() // nobody is at the other end
	slot.process, slot.seated = nil, false
	slot.change(workerExited)
	slot.quiet()
	err := death{slot.number, process.pid, reason(status), slot.killed, process.words.String()}
	if !unexpected {
		s.log.Info("worker gone", "slot", slot.number, "generation", slot.generation, "pid", process.pid)
	} else {
		s.log.Warn("worker died", "slot", slot.number, "generation", slot.generation, "pid", process.pid,
			"reason", err.reason(), "last_words", err.words)
	}
	s.died(slot, err)
}

// died decides what follows the end of a worker, or a start that did not succeed.
func (s *supervisor) died(slot *slot, err error) {
	switch {
	case slot.leaving || s.stopping != stopNot:
		s.slots[slot.number] = nil
	case s.reload != nil && slot.generation == s.reload.generation:
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
	s.setAlarm(slot, delay, func() { s.startWorker(slot) })
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
	s.acceptor.retire(slot.number)
	s.tell(slot, ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: max(1, s.config.DrainTimeout.Milliseconds())})
	s.setAlarm(slot, s.config.DrainTimeout+drainGrace, func() { s.end(slot) })
}

// The time a worker has, beyond its deadline, to flush and close; and the time
// it has to exit when told to stop.
const (
	drainGrace = 2 * time.Second
	stopGrace  = time.Second
)

// end has a worker exit now.
func (s *supervisor) end(slot *slot) {
	s.tell(slot, ipc.Stop{})
	s.setAlarm(slot, stopGrace, func() {
		s.kill(slot, fmt.Sprintf("did not exit within %v of being told to stop", stopGrace))
	})
}

// tell sends a control message; a worker that does not read is killed.
func (s *supervisor) tell(slot *slot, m ipc.Message) {
	err := slot.process.tell(m)
	if err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) { // those are dying already
		s.kill(slot, err.Error())
	}
}

// scale changes how many workers are wanted, within 1 and the maximum.
func (s *supervisor) scale(by int) {
	wanted := s.target + by
	s.target = min(max(wanted, 1), s.config.MaxWorkers)
	if s.target != wanted {
		s.log.Warn("not scaling beyond the limit", "workers", s.target, "limit", s.config.MaxWorkers)
		return
	}
	s.log.Info("scaling", "workers", s.target)
}

// beginReload starts the next generation beside the one that serves.
func (s *supervisor) beginReload() {
	s.reload = &reload{generation: s.generation + 1, since: time.Now()}
	s.log.Info("reloading", "generation", s.reload.generation)
}

// askReload begins a reload, or has one more follow the one under way.
func (s *supervisor) askReload() {
	s.again = true
	if s.reload != nil {
		s.log.Info("reload under way, another will follow")
	}
}

// switchOver lets the new generation serve and the old one finish.
func (s *supervisor) switchOver() {
	old := s.staff(s.generation)
	s.generation = s.reload.generation
	for _, slot := range s.staff(s.generation) {
		s.seat(slot)
	}
	for _, slot := range old {
		s.dismiss(slot, "replaced by a new generation")
	}
	s.log.Info("reloaded", "generation", s.generation, "workers", s.target, "elapsed", time.Since(s.reload.since).Round(time.Millisecond))
	s.reload = nil
}

// abortReload gives the new generation up; the old one goes on.
func (s *supervisor) abortReload(err error) {
	generation := s.reload.generation
	s.reload = nil
	s.log.Error("reload failed, the old workers keep serving", "generation", generation, "error", err)
	for _, slot := range s.staff(generation) {
		s.dismiss(slot, "reload failed")
	}
}

// stop ends serving: gracefully, which a quick stop may cut short, or quickly.
func (s *supervisor) stop(mode stopMode) {
	if mode <= s.stopping {
		return
	}
	if s.stopping == stopNot {
		s.acceptor.closeListeners()
	}
	s.stopping, s.reload, s.again = mode, nil, false
	for _, slot := range s.slots {
		switch {
		case slot == nil:
		case mode == stopGraceful || slot.state == StateGone:
			s.dismiss(slot, "stopping")
		default:
			slot.leaving = true
			slot.change(workerDraining)
			s.end(slot)
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
	counts, _ := s.acceptor.snapshot()
	if n := counts.Active + counts.Queued; n > 0 {
		s.log.Warn(fmt.Sprintf("waiting for %d connections; interrupt again to quit", n))
	}
}
