package master

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/mailbox"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// supervisor owns the slots: one goroutine, which handles events and requests (events.go,
// requests.go) in the order of their coming. After each batch it reconciles what is with
// what is wanted, so that no event needs to know what else is under way.
//
// It waits for nobody but the accept goroutine, which answers it between two turns. For
// what workers are to do it sets alarms; clients wait on channels that have room for the
// answer; and what may take long, as reading a configuration, has a goroutine of its own.
// After run has begun nobody else touches its fields, but for inbox, events, done and
// notifier, and upgrader, which does not change any more.
type supervisor struct {
	config    *Config      // of the generation that serves
	log       hclog.Logger // each line of it is an event
	events    *eventLog
	dispatch  acceptor
	listeners []*listen.Listener // owned; dispatch accepts from them
	sockets   int                // of each TCP address: one for each goroutine that accepts
	numbers   listen.Numbers     // of the listeners' transports, and of those before them
	processes processes
	secrets   secrets
	access    accessLogs
	levels    levels

	notifier notifier
	sampling sampling

	inbox mailbox.Mailbox[any] // events and requests: see handle
	wake  chan struct{}
	done  chan struct{} // closed when run has returned

	slots      slots
	programs   map[int]*child.Program // owned, by generation
	generation int                    // the one that serves
	target     int                    // workers wanted
	booted     bool                   // the first workers are all ready, or have failed; connections are accepted
	bootError  error                  // why one of them has failed
	stopping   stopMode
	stopBy     time.Time // when all is to be gone, drainGrace included
	failure    error     // why run ends, if not because it was asked to

	reload   *reload           // under way, or nil
	again    bool              // a reload was asked for, and has not begun
	waiting  []chan<- outcome  // who wants to know what comes of that one
	reading  <-chan reloadPlan // a goroutine reads the configuration, perhaps for a reload that was given up; nil: none does
	scalings []*scaling        // who wants to know when all wanted workers are ready, and what moved for it
	restarts []*restart
	accounts []*account     // open ones
	moves    []*moveRequest // those that have not begun
	lastMove uint64         // the last move order's id

	started    time.Time     // when the master was, whatever program it ran then
	restartsBy tallies       // of workers: how many, by restartReasons
	workersCPU time.Duration // of those that are gone
	shownCPU   highWater     // what was told of it, with that of the living ones
	own        ownMetrics
	hupFilter  hupFilter

	lastReload *ReloadStatus // nil: there was none
	reloads    reloadCounts
	statusSaid string // to the service manager
	reopening  reopening

	rebindControl func()   // makes the control socket anew if its file is gone; may block
	upgrader      upgrader // set before run
	upgrade       *upgrade // under way, or nil
	clients       []int    // who waits for what comes of it: descriptors of their connections, owned
}

func newSupervisor(config *Config, events *eventLog, d acceptor, p processes, sleeper sleeper) *supervisor {
	s := &supervisor{
		config: config, events: events, log: events.logger(config.Logger, hclog.Trace), dispatch: d, processes: p,
		started: time.Now(), generation: 1, target: config.Workers, programs: make(map[int]*child.Program),
		notifier: newNotifier(), sampling: sampling{sleeper: sleeper}, hupFilter: newHUPFilter(),
		levels:        levels{first: config.Logger.GetLevel()},
		rebindControl: func() {},
		wake:          make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.access.use(config.access)
	s.inbox.Notify = func() {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return s
}

// processes is how the supervisor starts and signals worker processes.
type processes struct {
	launch       func(child.Spec) (process, error)   // its events follow: see heardOf
	restore      func(child.ID, child.State) process // in a program that takes over
	signal       func(pid int, sig unix.Signal)
	signalThread func(pid, thread int, sig unix.Signal)
	stopped      func(pid int) bool // or traced
}

// process is a worker's process as the supervisor needs it: a *child.Process.
type process interface {
	PID() int
	Queue() (queue, workerEnd int)
	Tell(ipc.Message) error
	TellKeys(memory int) error                     // borrowed
	TellAccessLog(m ipc.AccessLog, file int) error // likewise
	Ask(ctx context.Context, q ipc.Question) (m ipc.Message, memory *os.File, bytes int64, err error)
	StderrTail() string
	LeftOthers() bool
	HangUp()

	Pause()
	Resume()
	State() child.State
}

// run is the supervisor's goroutine. It returns when every worker is gone:
// because it was asked to stop, or with the reason it could not go on.
func (s *supervisor) run() error {
	defer close(s.done)
	defer func() {
		for _, p := range s.programs {
			p.Close()
		}
		s.secrets.close()
		s.access.close()
		for _, message := range s.inbox.Close() { // of what is put later, whoever puts it is the owner
			if m, ok := message.(interface{ drop() }); ok {
				m.drop()
			}
		}
	}()
	s.alive(time.Now()) // at once: the program before may have done so a while ago
	s.sampling.plan(time.Now(), sampleEvery)
	if !s.booted {
		defer s.logSlowStart().Stop()
	}
	for {
		s.reconcile()
		if s.stopping != stopNot && s.slots.none() {
			return s.failure
		}
		select {
		case <-s.wake:
			for _, message := range s.inbox.Take() {
				s.handle(message)
			}
			s.sampling.endRest()
		case <-s.sampling.over: // here, not by a timer of its own: at rest it is the only thing that wakes the master
			s.timeUp(time.Now())
		}
	}
}

// interrupt ends run quickly and waits for its end: the other actors must
// outlive it.
func (s *supervisor) interrupt(error) {
	s.inbox.Put(stopRequest{stopQuick})
	<-s.done
}

// postponed is what the supervisor has put off, by after. It sends such functions to
// itself; what others send it are values.
type postponed func()

// after has f run on the supervisor's goroutine after d, unless it is stopped.
func (s *supervisor) after(d time.Duration, f postponed) *time.Timer {
	return time.AfterFunc(d, func() { s.inbox.Put(f) })
}

// reconcile takes one step after another towards what is wanted. A step that is not
// possible yet waits for an event or an alarm, after which reconcile is called again.
func (s *supervisor) reconcile() {
	s.proceedAccess()
	if s.stopping != stopNot {
		s.proceedStop()
		return
	}
	s.matchTarget()
	if !s.booted {
		s.proceedBoot()
		return
	}
	s.openQueues(s.replaced())
	s.proceedReload()
	s.drainAsked()
	s.guideDraining()
	s.proceedScalings()
	s.proceedRestarts()
	s.proceedMoves()
	s.closePrograms()
	s.forgetSecrets()
	s.forgetAccessLogs()
	s.proceedUpgrade()
}

// matchTarget opens and closes slots until there are as many as wanted, of the newest
// generation, and at least one of that which serves.
func (s *supervisor) matchTarget() {
	if s.booted && len(s.wanted(s.generation)) == 0 {
		s.openSlot(s.generation, s.config, 0) // while the next generation starts, someone has to serve
	}
	generation := s.newest()
	for len(s.wanted(generation)) < s.target {
		if !s.openSlot(generation, s.newestConfig(), 0) {
			break
		}
		if s.newest() != generation { // that one did not start, and the reload is off
			s.matchTarget()
			return
		}
	}
	for len(s.wanted(generation)) > s.target {
		slot := s.leastLoaded(generation)
		s.joinScalings(slot)
		s.drain(slot, "fewer workers wanted")
	}
}

// newest returns the generation that workers are started for.
func (s *supervisor) newest() int {
	if s.reload.starting() {
		return s.reload.generation
	}
	return s.generation
}

func (s *supervisor) newestConfig() *Config {
	if s.reload.starting() {
		return s.reload.config
	}
	return s.config
}

// wanted returns the slots of a generation that are to stay.
func (s *supervisor) wanted(generation int) (wanted []*slot) {
	for slot := range s.slots.all() {
		if slot.generation == generation && slot.life.stays() {
			wanted = append(wanted, slot)
		}
	}
	return wanted
}

// allReady reports whether all wanted workers of a generation are ready.
func (s *supervisor) allReady(generation int) bool {
	wanted := s.wanted(generation)
	for _, slot := range wanted {
		if slot.life.state() != stateReady {
			return false
		}
	}
	return len(wanted) >= s.target
}

// leastLoaded returns the slot that costs least to give up: one without a ready
// worker, or else the one with the smallest load; of equals the youngest.
func (s *supervisor) leastLoaded(generation int) *slot {
	loads := s.dispatch.Loads()
	weigh := func(slot *slot) int {
		switch slot.life {
		case lifeGone, lifeKilled:
			return -2
		case lifeStarting:
			return -1
		}
		return loads[slot.number]
	}
	wanted := s.wanted(generation)
	best := wanted[0]
	for _, slot := range wanted[1:] {
		if weigh(slot) <= weigh(best) {
			best = slot
		}
	}
	return best
}

// maxSlots is the most slots that there can be: those of the generation that
// serves and of the next one, and those that keep what could not move.
func maxSlots(c *Config) int { return (2 + maxLingering + 1) * c.MaxWorkers }

// maxLingering is how many generations before the one that serves may still be
// finishing.
const maxLingering = 3

// lingering returns the generations that have workers draining, oldest first.
// Those whose connections are still moving do not count: that is soon over.
func (s *supervisor) lingering() (generations []int) {
	for slot := range s.slots.all() {
		if slot.life.lingers() && !slices.Contains(generations, slot.generation) {
			generations = append(generations, slot.generation)
		}
	}
	slices.Sort(generations)
	return generations
}

// cutShort ends the workers that still drain in some generations.
func (s *supervisor) cutShort(generations []int) {
	for slot := range s.slots.all() {
		if slot.life.lingers() && slices.Contains(generations, slot.generation) {
			s.log.Warn("cutting a drain short, too many workers are draining", "slot", slot.number, "generation", slot.generation, "pid", slot.pid())
			s.end(slot, "too many workers are draining")
		}
	}
}
