package master

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// An upgrade in place: the master becomes its own new program by exec(2). The
// pid stays, and with it its children, listeners, queues, counters and the rest
// of the estate (estate.go); clients that connect meanwhile wait in the kernel.
//
//	asked ──► tested ──────► control paused ──► held ──► exec ──► takeOver (takeover.go)
//	          by a child,    no request is      nobody reads,       │
//	          which reads    under way          accepts or forks    └─(it fails)─► exec of the old
//	          the estate
//
// Whatever goes wrong before the exec changes nothing: this program goes on. A
// takeover that fails goes back to the old program's file, which was kept open.
// What dies in its takeover by a signal or os.Exit would take the server with
// it: so the child is run as the takeover is, up to the point of no return.
type upgrade struct {
	stage upgradeStage
	test  *selfTest   // nil until it has passed
	limit *time.Timer // of all of it
}

// upgradeStage is how far an upgrade has come.
type upgradeStage int

const (
	upgradeAsked   upgradeStage = iota // it is to be tested as soon as the accept goroutine can say what it has
	upgradeTesting                     // by a child
	upgradeTested                      // it waits for what is under way
	upgradePausing                     // control is about to be paused
	upgradePaused                      // it can be done at any moment that nothing is under way
)

// upgradeLimit is how long an upgrade may wait for what is under way: a reload,
// a request, a connection that is moving.
const upgradeLimit = 30 * time.Second

// errNotYet: something is under way that is to be waited for.
var errNotYet = errors.New("not possible yet")

// askUpgrade begins an upgrade, or joins the one under way. client is the
// connection of one who waits for the answer, which it takes ownership of; -1:
// nobody does.
func (s *supervisor) askUpgrade(client int) {
	switch {
	case client < 0:
	case len(s.clients) == maxControlClients:
		answerUpgrade(client, "", fmt.Errorf("%d wait for the upgrade already", maxControlClients))
		return
	default:
		s.clients = append(s.clients, client)
	}
	switch {
	case s.stopping != stopNot:
		s.refuseUpgrade(errStopping)
	case s.succession == nil:
		s.refuseUpgrade(fmt.Errorf("this master cannot upgrade in place: %w", s.unable))
	case s.upgrade == nil:
		s.log.Info("upgrading", "program", s.succession.path)
		u := &upgrade{}
		u.limit = s.after(upgradeLimit, func() {
			if s.upgrade == u {
				s.refuseUpgrade(fmt.Errorf("other work was under way for %v", upgradeLimit))
			}
		})
		s.upgrade = u
	}
}

// testUpgrade has a child read the estate as it is now.
func (s *supervisor) testUpgrade() {
	u := s.upgrade
	accept, err := s.pauseAccepting()
	if err != nil {
		s.laterUpgrade(err)
		return
	}
	e := s.estate(accept)
	s.dispatch.Resume()
	u.stage = upgradeTesting
	go func() {
		test, err := s.succession.test(e)
		s.inbox.Put(func() {
			switch {
			case s.upgrade != u: // it was given up
				test.end()
			case err != nil:
				s.refuseUpgrade(err)
			default:
				u.test, u.stage = test, upgradeTested
			}
		})
	}()
}

// pauseAccepting holds the accept goroutine still, until it is resumed. The error wraps
// errNotYet while connections are on their way, and an event tells when they are not.
func (s *supervisor) pauseAccepting() (AcceptState, error) {
	accept, err := s.dispatch.Pause()
	switch err {
	case ErrHolding:
		err = fmt.Errorf("%w: %w", errNotYet, err)
	case ErrStopped:
		err = errStopping
	}
	return accept, err
}

// proceedUpgrade does the next step of an upgrade, if it is time for it.
// Reconcile calls it last; what it waits for are events, after which reconcile is
// called again.
func (s *supervisor) proceedUpgrade() {
	u := s.upgrade
	if u == nil {
		return
	}
	switch u.stage {
	case upgradeAsked:
		s.testUpgrade()
	case upgradeTested:
		if s.busy() {
			return
		}
		u.stage = upgradePausing
		go func() {
			s.succession.control.pause()
			s.inbox.Put(func() {
				u.stage = upgradePaused
				if s.upgrade != u {
					s.succession.control.resume()
				}
			})
		}()
	case upgradePaused:
		if s.busy() {
			return
		}
		if err := s.succeed(); err != nil {
			s.laterUpgrade(err)
		}
	}
}

// busy reports whether something is under way that the next program could not go
// on with. An order that a worker does not answer is none: what is given back by it
// after all goes to whoever has fewest then.
func (s *supervisor) busy() bool {
	return s.reload != nil || len(s.scalings) > 0 || len(s.moves) > 0 ||
		s.slots.some(func(slot *slot) bool { return slot.order != nil && !slot.order.abandoned })
}

// defersReload reports whether a reload is left to the program that takes over:
// or reloads without end could keep an upgrade waiting.
func (s *supervisor) defersReload() bool {
	return s.upgrade != nil && s.upgrade.test != nil && len(s.waiting) == 0
}

// laterUpgrade leaves what is not yet possible for later: what it waits for is an
// event, which is on its way. What is impossible it refuses.
func (s *supervisor) laterUpgrade(err error) {
	if !errors.Is(err, errNotYet) {
		s.refuseUpgrade(err)
	}
}

// refuseUpgrade gives an upgrade up, if one is under way, and goes on.
func (s *supervisor) refuseUpgrade(err error) {
	s.log.Error("upgrade refused, this program goes on", "error", err)
	if u := s.upgrade; u != nil {
		s.upgrade = nil
		u.limit.Stop()
		u.test.end()
		if u.stage == upgradePaused {
			s.succession.control.resume()
		}
	}
	for _, client := range s.clients {
		answerUpgrade(client, "", err)
	}
	s.clients = nil
}

func (s *supervisor) resumeLinks() {
	for slot := range s.slots.all() {
		if slot.process != nil {
			slot.process.Resume()
		}
	}
}

// succeed holds everything still and becomes the new program. It returns only
// if that was not possible.
func (s *supervisor) succeed() error {
	runtime.LockOSThread() // the thread that becomes the process, with the signals it blocks
	defer runtime.UnlockOSThread()
	began := ipc.NewClock().Now()
	defer s.resumeLinks() // what is to be waited for may be a worker's word
	var pids []int
	for slot := range s.slots.all() {
		if slot.process != nil {
			slot.process.Pause()
			pids = append(pids, slot.process.PID())
		}
	}
	if !s.inbox.Empty() {
		return errNotYet // what was read is to be acted on first
	}
	if !s.succession.reaper.Hold(pids) {
		return errNotYet // one is dead, and the event is under way
	}
	defer s.succession.reaper.Release()
	accept, err := s.pauseAccepting()
	if err != nil {
		return err
	}
	defer s.dispatch.Resume()
	if !s.inbox.Empty() {
		return errNotYet
	}
	e := s.estate(accept)
	e.Began, e.Groups = int64(began), s.succession.reaper.HeldGroups()
	return s.succession.become(e, s.upgrade.test)
}

// estate describes everything. What workers have said is complete only when
// their links are paused.
func (s *supervisor) estate(accept AcceptState) *estate {
	e := &estate{
		Format: estateFormat, Version: s.config.Version, Protocol: ipc.Version, Program: s.succession.path, Carry: s.config.Carry,
		Old: s.succession.executable, Control: -1, Waiting: s.clients, Deaf: s.succession.signals.ignoresInterrupts,
		Listeners: listen.States(s.listeners), Accept: accept,
		Generation: s.generation, Target: s.target, Again: s.again, LastMove: s.lastMove,
	}
	if program := s.programs[s.generation]; program != nil {
		e.Worker = program.State()
	}
	if s.succession.control != nil {
		e.Control, e.ControlFile = s.succession.control.handOver()
	}
	for slot := range s.slots.all() {
		e.Slots = append(e.Slots, slot.estate())
	}
	return e
}
