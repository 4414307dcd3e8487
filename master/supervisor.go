package master

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// supervisor owns the slots: one goroutine, to which everyone else sends
// functions to run. After each batch it reconciles what is with what is wanted,
// so that no event needs to know what others are under way.
type supervisor struct {
	config    *Config // of the generation that serves
	log       hclog.Logger
	board     *ipc.Scoreboard
	dispatch  dispatch
	processes processes

	notifier notifier
	watch    watch

	inbox mailbox[func()]
	wake  chan struct{}
	done  chan struct{} // closed when run has returned

	slots      []*slot // by number; nil where there is none
	generation int     // the one that serves
	target     int     // workers wanted
	booted     bool    // some worker was ready once
	stopping   stopMode
	failure    error // why run ends, if not because it was asked to

	reload   *reload          // under way, or nil
	lastLoss string           // why a connection could not be restored, in the words of its session
	again    bool             // another reload was asked for meanwhile
	waiting  []chan<- outcome // who wants to know what comes of that one
	settled  []chan<- error   // who wants to know when all wanted workers are ready

	succession *succession // nil: this master cannot be upgraded
	upgrade    *upgrade    // under way, or nil
	clients    []int       // connections, owned, of those who wait for what comes of it
}

type stopMode int

const (
	stopNot stopMode = iota
	stopGraceful
	stopQuick
)

func newSupervisor(config *Config, board *ipc.Scoreboard, d dispatch, p processes, looks sleeper) *supervisor {
	s := &supervisor{
		config: config, log: config.Logger, board: board, dispatch: d, processes: p,
		slots: make([]*slot, board.Len()), generation: 1, target: config.Workers,
		notifier: newNotifier(), watch: watch{sleeper: looks},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.inbox.notify = func() {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return s
}

// dispatch is the accept goroutine as the supervisor needs it. Each method
// returns when what it says is done.
type dispatch interface {
	open(seatSpec)               // let a worker have connections; takes over its queue
	retire(slot int)             // no more for that one
	bury(slot int)               // its worker is reaped: place anew what waits there
	ring(slot int, m ipc.Closed) // it has closed connections
	loads() map[int]int          // of the open seats, by slot
	snapshot() (Counts, map[int]tally, []ListenerStatus)
	underway(staying map[int]int) int                     // how many move: left one worker, and not at another
	try(generation int, limit float64)                    // how many moves to it may fail; 0 ends that
	returning(slot int) bool                              // it has given back connections that are nowhere yet
	steer(from, to int)                                   // who gets what a worker gives back; to may be nobody
	anyStuck() bool                                       // some worker takes nothing from its queue
	park(with func(acceptEstate, []listenerEstate)) error // nothing moves meanwhile

	planListeners(addresses []Address, backlog int) (listenerChange, error)
	apply(*Config, listenerChange)
	closeListeners()
}

// processes is how the supervisor starts and signals worker processes.
type processes struct {
	launch       func(order, processEvents) (*process, error)
	signal       func(pid int, sig unix.Signal)
	signalThread func(pid, thread int, sig unix.Signal)
	stopped      func(pid int) bool // or traced
}

// run is the supervisor's goroutine. It returns when every worker is gone:
// because it was asked to stop, or with the reason it could not go on.
func (s *supervisor) run() error {
	defer close(s.done)
	s.watch.next(time.Now(), sampleEvery)
	for {
		s.reconcile()
		if s.stopping != stopNot && s.empty() {
			return s.failure
		}
		select {
		case <-s.wake:
			for _, f := range s.inbox.take() {
				f()
			}
			s.watch.rouse()
		case <-s.watch.over: // here, not by a timer of its own: at rest it is the only thing that wakes the master
			if now := time.Now(); !now.Before(s.watch.due) { // else it was set anew just as it was over
				s.look(now)
			}
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
	if s.reload == nil && s.again && !s.defersReload() {
		s.again = false
		s.beginReload()
	}
	if len(s.staff(s.generation)) == 0 && s.booted {
		s.openSlot(s.generation, s.config) // while the next generation starts, someone has to serve
	}
	generation := s.newest()
	staff := s.staff(generation)
	for n := len(staff); n < s.target; n++ {
		if !s.openSlot(generation, s.newestConfig()) {
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
	if s.allReady(generation) {
		if s.reload != nil && !s.reload.switched {
			s.switchOver()
		}
		s.dismissRecycled()
		for _, settled := range s.settled {
			settled <- nil // it has room
		}
		s.settled = nil
	}
	if s.reload != nil && s.reload.switched && !s.reload.failed && s.allMoved() {
		s.finishReload()
		s.reconcile() // for the next
		return
	}
	s.releaseMoved()
	s.proceedUpgrade()
}

// newest returns the generation that workers are started for.
func (s *supervisor) newest() int {
	if s.reload != nil {
		return s.reload.generation
	}
	return s.generation
}

func (s *supervisor) newestConfig() *Config {
	if s.reload != nil {
		return s.reload.config
	}
	return s.config
}

// staff returns the slots of a generation that are to stay.
func (s *supervisor) staff(generation int) (staff []*slot) {
	for _, slot := range s.slots {
		if slot != nil && slot.generation == generation && !slot.leaving && slot.recycled == "" {
			staff = append(staff, slot)
		}
	}
	return staff
}

// dismissRecycled lets those go whose successors are ready.
func (s *supervisor) dismissRecycled() {
	for _, slot := range s.slots {
		if slot != nil && slot.recycled != "" && !slot.leaving {
			s.dismiss(slot, slot.recycled)
		}
	}
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
	loads := s.dispatch.loads()
	weigh := func(slot *slot) int {
		switch slot.state {
		case StateGone:
			return -2
		case StateStarting:
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

// openSlot starts a worker in a new slot. If there is none left, it reports
// false: reconcile tries again when a worker is gone, as those that hold the
// slots are finishing.
func (s *supervisor) openSlot(generation int, config *Config) bool {
	for number := range s.slots {
		if s.slots[number] == nil {
			slot := &slot{number: number, generation: generation, config: config}
			s.slots[number] = slot
			s.startWorker(slot)
			return true
		}
	}
	s.log.Debug("no slot left, waiting for a worker that drains", "limit", len(s.slots))
	return false
}

// maxLingering is how many generations before the one that serves may still be
// finishing.
const maxLingering = 3

// lingering returns the generations that have workers draining, oldest first.
// Those whose connections are still moving do not count: that is soon over.
func (s *supervisor) lingering() (generations []int) {
	for _, slot := range s.slots {
		if slot != nil && slot.state == StateDraining && !slot.moving && !slices.Contains(generations, slot.generation) {
			generations = append(generations, slot.generation)
		}
	}
	slices.Sort(generations)
	return generations
}

// cutShort ends the workers that still drain in some generations.
func (s *supervisor) cutShort(generations []int) {
	for _, slot := range s.slots {
		if slot != nil && slot.state == StateDraining && !slot.moving && !slot.ending && slices.Contains(generations, slot.generation) {
			s.log.Warn("cutting a drain short, too many workers are draining", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
			s.end(slot)
		}
	}
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

// scaleOne is scale for those who are told by the log alone.
func (s *supervisor) scaleOne(by int) {
	if err := s.scale(s.target + by); err != nil {
		s.log.Warn("not scaling", "workers", s.target, "error", err)
	}
}

// reopenLogs has the log file opened anew, after a rotation.
func (s *supervisor) reopenLogs() error {
	if s.config.ReopenLogs == nil {
		return errors.New("logs go to standard error; there is no --log-file to reopen")
	}
	return s.config.ReopenLogs()
}

// stop ends serving: gracefully, which a quick stop may cut short, or quickly.
func (s *supervisor) stop(mode stopMode) {
	if mode <= s.stopping {
		return
	}
	if s.stopping == stopNot {
		s.dispatch.closeListeners()
	}
	s.notifier.stopping()
	if s.reload != nil {
		s.abortReload(errStopping)
	}
	s.refuseReloads(errStopping)
	if s.upgrade != nil {
		s.refuseUpgrade(errStopping)
	}
	for _, settled := range s.settled {
		settled <- errStopping
	}
	s.settled = nil
	s.stopping = mode
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
	counts, _, _ := s.dispatch.snapshot()
	if n := counts.Active + counts.Queued; n > 0 {
		s.log.Warn(fmt.Sprintf("waiting for %d connections; interrupt again to quit", n))
	}
}
