package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// upgrade is an upgrade in place that is under way: the master becomes its own new
// program by execve(2). The pid stays, and with it the children, the listeners, the
// queues, the counters and the rest of the upgrade state (upgradestate.go). Clients that
// connect meanwhile wait in the kernel. The supervisor owns it.
//
//	asked ──► tested ──────► control paused ──► held ──► exec ──► takeOver (takeover.go)
//	          by a child,    no request is      nobody reads,       │
//	          which reads    under way          accepts or forks    └─(it fails)─► exec of the old
//	          the state
//
// Whatever goes wrong before the exec changes nothing: this program goes on. A
// takeover that fails goes back to the old program's file, which was kept open.
// But a new program that ends in its takeover, by a signal or os.Exit, would take the
// server with it. So a child runs the new program first (selftest.go): with the same
// arguments, up to Run, which reads the state and says whether it could take over.
type upgrade struct {
	stage upgradeStage
	test  selfTest    // nil until it has passed
	limit *time.Timer // of all of it
}

// upgradeStage is how far an upgrade has come.
type upgradeStage int

const (
	stageAsked   upgradeStage = iota // the test begins when the accept goroutine can say what it has
	stageTesting                     // the child starts, and reads the state
	stageTested                      // the upgrade waits until nothing is under way: see busy
	stagePausing                     // control is being paused
	stagePaused                      // the exec follows at the first moment that nothing is under way
)

// upgradeLimit is how long an upgrade may wait for what is under way: a reload,
// a request, a connection that is moving.
const upgradeLimit = 30 * time.Second

// errNotYet: something is under way that is to be waited for.
var errNotYet = errors.New("not possible yet")

// askUpgrade begins an upgrade, or joins the one under way. client is a descriptor, the
// connection of a client who waits for the answer: askUpgrade takes ownership of it. -1:
// nobody waits.
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
	case s.upgrader.unable != nil:
		s.refuseUpgrade(fmt.Errorf("this master cannot upgrade in place: %w", s.upgrader.unable))
	case s.upgrade == nil:
		s.log.Info("upgrading", "program", s.upgrader.program)
		u := &upgrade{}
		u.limit = time.AfterFunc(upgradeLimit, func() { s.inbox.Put(upgradeOverdue{u}) })
		s.upgrade = u
	}
}

// What an upgrade hears of: its limit, its test, and control.
type (
	upgradeOverdue struct{ upgrade *upgrade }
	upgradeTested  struct {
		upgrade *upgrade
		test    selfTest // nil with an error
		err     error
	}
	controlPaused struct{ upgrade *upgrade }
)

// drop ends the test, of which nobody makes use.
func (e upgradeTested) drop() {
	if e.test != nil {
		e.test.end()
	}
}

func (s *supervisor) upgradeOverdue(e upgradeOverdue) {
	if s.upgrade == e.upgrade {
		s.refuseUpgrade(fmt.Errorf("other work was under way for %v", upgradeLimit))
	}
}

func (s *supervisor) upgradeTested(e upgradeTested) {
	switch {
	case s.upgrade != e.upgrade: // it was given up
		e.drop()
	case e.err != nil:
		s.refuseUpgrade(e.err)
	default:
		s.upgrade.test, s.upgrade.stage = e.test, stageTested
	}
}

func (s *supervisor) controlPaused(e controlPaused) {
	e.upgrade.stage = stagePaused
	if s.upgrade != e.upgrade { // it was given up
		s.upgrader.resumeControl()
	}
}

// testUpgrade has a child read the state as it is now.
func (s *supervisor) testUpgrade() {
	u := s.upgrade
	accept, err := s.pauseAccepting()
	if err != nil {
		s.retryUpgradeLater(err)
		return
	}
	state, err := s.state(accept)
	s.dispatch.Resume()
	if err != nil {
		s.retryUpgradeLater(err)
		return
	}
	u.stage = stageTesting
	go func() {
		test, err := s.upgrader.startTest(state)
		if e := (upgradeTested{u, test, err}); !s.inbox.Put(e) {
			e.drop()
		}
	}()
}

// pauseAccepting holds the accept goroutine still, until it is resumed. The error wraps
// errNotYet while it holds connections that it cannot place; BatchEmpty follows when it
// holds none.
func (s *supervisor) pauseAccepting() (dispatch.State, error) {
	accept, err := s.dispatch.Pause()
	switch err {
	case dispatch.ErrHolding:
		err = fmt.Errorf("%w: %w", errNotYet, err)
	case dispatch.ErrStopped:
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
	case stageAsked:
		s.testUpgrade()
	case stageTested:
		if s.busy() {
			return
		}
		u.stage = stagePausing
		go func() {
			s.upgrader.pauseControl()
			s.inbox.Put(controlPaused{u})
		}()
	case stagePaused:
		if s.busy() {
			return
		}
		if err := s.becomeNext(); err != nil {
			s.retryUpgradeLater(err)
		}
	}
}

// busy reports whether something is under way that the next program could not go
// on with. An order that a worker has not answered in time does not count: what the
// worker gives back by it later goes to whoever has fewest connections then.
func (s *supervisor) busy() bool {
	return s.reload != nil || s.reopening.over != nil || len(s.scalings) > 0 || len(s.restarts) > 0 || len(s.moves) > 0 ||
		s.slots.some(func(slot *slot) bool { return slot.order != nil && !slot.order.abandoned })
}

// defersReload reports whether a reload is left to the program that takes over: one that
// no client waits for, once the test has passed. Otherwise reloads without end could keep
// an upgrade waiting.
func (s *supervisor) defersReload() bool {
	return s.upgrade != nil && s.upgrade.test != nil && len(s.waiting) == 0
}

// retryUpgradeLater handles a step that was not possible. If it is not possible yet,
// the next event has it tried again, by reconcile; else the upgrade is refused.
func (s *supervisor) retryUpgradeLater(err error) {
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
		if u.test != nil {
			u.test.end()
		}
		if u.stage == stagePaused {
			s.upgrader.resumeControl()
		}
	}
	for _, client := range s.clients {
		answerUpgrade(client, "", err)
	}
	s.clients = nil
}

// resumeProcesses has all be read again that becomeNext has paused.
func (s *supervisor) resumeProcesses() {
	for slot := range s.slots.all() {
		if slot.process != nil {
			slot.process.Resume()
		}
	}
}

// becomeNext holds everything still and becomes the new program. It returns only
// if that was not possible.
func (s *supervisor) becomeNext() error {
	runtime.LockOSThread() // the thread that becomes the process, with the signals it blocks
	defer runtime.UnlockOSThread()
	began := ipc.NewClock().Now()
	defer s.resumeProcesses() // what the next try waits for may be a worker's word
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
	release, ok := s.upgrader.holdChildren(pids)
	if !ok {
		return errNotYet // one is dead, and the event is under way
	}
	defer release()
	accept, err := s.pauseAccepting()
	if err != nil {
		return err
	}
	defer s.dispatch.Resume()
	if !s.inbox.Empty() {
		return errNotYet
	}
	state, err := s.state(accept)
	if err != nil {
		return err
	}
	state.Began, state.Groups = int64(began), s.upgrader.groups()
	state.LastEvent, state.Events = s.events.state()
	return s.upgrader.become(state, s.upgrade.test, s.inbox.Empty)
}

// state describes everything for the next program, with what the accept goroutine has
// described. What workers have said is complete only when their processes are paused. The
// error is a lack of memory or descriptors.
func (s *supervisor) state(accept dispatch.State) (_ *upgradeState, err error) {
	state := &upgradeState{
		Format: upgradeFormat, Version: s.config.Version, Protocol: ipc.Version, Program: s.upgrader.program, Carry: s.config.Carry,
		OldProgram: s.upgrader.executable, Clients: s.clients, IgnoresInterrupts: s.upgrader.ignoresInterrupts,
		Listeners: listen.States(s.listeners), Transports: s.numbers, Accept: accept,
		Generation: s.generation, Target: s.target, Again: s.again, LastMove: s.lastMove, LastAccess: s.access.last, LastReload: s.lastReload, Reloads: s.reloads,
		LogLevel: s.levels.ofMaster(), WorkersLogLevel: s.levels.workers,
		Started: s.started.UnixNano(), Restarts: s.restartsBy, WorkersCPU: s.workersCPU, ShownCPU: s.shownCPU.atLeast(0), Own: s.own.state(),
	}
	if program := s.programs[s.generation]; program != nil {
		state.Worker = program.State()
	}
	if s.config.tls.hasCredentials() {
		if state.Credentials, err = s.secrets.memory(s.config.tls); err != nil {
			return nil, err
		}
	}
	if log := s.config.access; log != nil {
		state.AccessLog, state.AccessLogPath, state.AccessLogFormat = log.fd(), log.path, log.format
	}
	state.Control, state.ControlFile = s.upgrader.controlSocket()
	state.Admin = s.upgrader.admin
	for slot := range s.slots.all() {
		state.Slots = append(state.Slots, slot.state())
	}
	return state, nil
}

// answerUpgrade tells a client who waits for POST /v1/upgrade what came of it: the new
// program's version, or a failure, if that is not nil. It takes ownership of the client's
// connection, and closes it. It does without net/http, since another program may have read
// the request.
func answerUpgrade(client int, version string, failure error) {
	status, answer := http.StatusOK, map[string]string{"version": version}
	if failure != nil {
		status, answer = http.StatusConflict, map[string]string{"error": failure.Error()}
	}
	body, _ := json.Marshal(answer) // strings never fail
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	_ = unix.Sendto(client, []byte(text), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) // the client may be gone
	_ = unix.Close(client)                                                          // all is said
}
