package master

import (
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// reload is a change of generations under way: the new generation's workers start
// beside those that serve. Until all of them are ready nothing of the new configuration
// is in force. It belongs to the supervisor's goroutine.
type reload struct {
	stage      reloadStage
	generation int
	config     *Config // once it is read
	since      time.Time
	listeners  listen.Change
	target     int                    // workers wanted before it, for when it fails
	account    *account               // of the old workers, once they drain
	failed     *dispatch.GuardTripped // too many connections could not be restored, and the supervisor waits to hear why; nil: not so many
	reason     string                 // why the last connection could not be restored, as its worker said
	limit      *time.Timer            // for reading, for arriving, or to hear why
	waiting    []chan<- outcome       // who wants to know what comes of it
}

// reloadStage is how far a reload has come.
//
//	reading ──► starting ──► moving ──► arriving
type reloadStage int

const (
	reloadReading  reloadStage = iota // the configuration, on a goroutine of its own
	reloadStarting                    // the new generation's workers
	reloadMoving                      // the new generation serves, and the old one's connections move to it
	reloadArriving                    // all have left the old one that can, and are on their way
)

// starting and moving report where a reload is; without one they are false.
func (r *reload) starting() bool { return r != nil && r.stage == reloadStarting }
func (r *reload) moving() bool   { return r != nil && r.stage >= reloadMoving }

// outcome is what comes of a reload: the generation that it was for, or an error if
// that does not serve; and what became of the old one's connections.
type outcome struct {
	generation int
	departures
	incomplete error // why the departures are not all
	err        error
}

// askReload has proceedReload begin a reload. If one is under way, one more follows it,
// however often it is asked for meanwhile. done, if not nil, is sent the outcome. The log
// file is reopened, whatever becomes of the reload.
func (s *supervisor) askReload(done chan<- outcome) {
	s.reopenLogs()
	if s.stopping != stopNot {
		s.log.Warn("not reloading", "error", errStopping)
		if done != nil {
			done <- outcome{err: errStopping}
		}
		return
	}
	s.again = true
	if done != nil {
		s.waiting = append(s.waiting, done)
	}
	if s.reload != nil {
		s.log.Info("reload under way, another will follow")
	}
}

// hangUp handles SIGHUP, which is a request for a reload, or not: see hupFilter.
func (s *supervisor) hangUp() {
	if s.hupFilter.isRequest(time.Now(), hasTerminal()) {
		s.askReload(nil)
	}
}

// proceedReload takes a reload as far as it can go now, and begins the next one.
func (s *supervisor) proceedReload() {
	s.enterGiven()
	switch r := s.reload; {
	case r == nil && s.again && !s.defersReload():
		s.beginReload()
	case r.starting() && s.allReady(r.generation):
		s.switchOver()
		s.proceedReload()
	case r != nil && r.stage == reloadMoving && r.failed == nil && r.account.over():
		s.awaitArrival()
	}
}

// beginReload has the configuration read, on a goroutine of its own.
func (s *supervisor) beginReload() {
	r := &reload{generation: s.generation + 1, since: time.Now(), waiting: s.waiting}
	s.again, s.waiting = false, nil
	s.reload = r
	s.notifier.reloading(ipc.NewClock().Now())
	if s.reading != nil {
		select {
		case <-s.reading: // for a reload that was given up: what was read then may have changed
			s.reading = nil
		default:
			s.refuseReload(errors.New("the configuration is still being read, for a reload before this one; is it on a file system that does not answer, or a FIFO?"))
			return
		}
	}
	plan := make(chan reloadPlan, 1)
	s.reading = plan
	old, rebindControl, reopening := *s.config, s.rebindControl, s.reopening // the goroutine may not touch s
	go func() {
		reopening.wait()
		rebindControl()
		p := planReload(&old, func() { // the configuration is read
			s.inbox.Put(configRead{r})
		})
		plan <- p
		if e := (reloadPlanned{r, p}); !s.inbox.Put(e) {
			e.drop()
		}
	}()
	r.limit = s.after(readLimit, func() {
		if s.reload == r && r.stage == reloadReading {
			s.refuseReload(fmt.Errorf("the configuration could not be read within %v; is it on a file system that does not answer, or a FIFO?", readLimit))
		}
	})
}

// startReload begins to start the next generation's workers.
func (s *supervisor) startReload(p reloadPlan) {
	r := s.reload
	if p.err == nil {
		p.err = s.numberTransports(&p.config)
	}
	if p.err == nil {
		r.listeners, p.err = listen.Plan(p.config.listenSettings(p.sockets, s.sockets), s.listeners)
		if where := p.config.whereIs("listen"); p.err != nil && where != "" {
			p.err = fmt.Errorf("%s: %w", where, p.err)
		}
	}
	if p.err != nil {
		p.drop()
		s.refuseReload(p.err)
		return
	}
	s.setProgram(r.generation, p.program)
	r.config, r.target = &p.config, s.target
	s.access.use(r.config.access)
	r.config.logTLSWarnings()
	if r.config.Workers != s.config.Workers {
		s.target = r.config.Workers
	}
	s.stopRecycling()
	s.failRestarts(errReloadReplaces)
	r.stage = reloadStarting
	s.log.Info("reloading", "generation", r.generation)
}

// What becomes of the server when a reload is refused, or fails: for the log, and for who
// waits for it.
const (
	whatRefused = "reload refused, all stays as it is"
	whatFailed  = "reload failed, the old workers keep serving"
)

// refuseReload ends a reload before anything was started for it.
func (s *supervisor) refuseReload(err error) {
	r := s.reload
	s.reload = nil
	s.notifier.ready() // again
	s.log.Error(whatRefused, "error", err)
	s.reloadOver(reloadRefused, outcome{generation: r.generation, err: err}, 0)
	r.tell(outcome{generation: r.generation, err: fmt.Errorf("%s: %w", whatRefused, err)})
}

// switchOver has the new generation serve and the old one drain.
func (s *supervisor) switchOver() {
	r, old := s.reload, s.wanted(s.generation)
	r.stage, s.generation = reloadMoving, r.generation
	r.account = s.openAccount(old)
	before := s.config
	s.config = r.config
	s.levelReloaded(before.LogLevel)
	s.switchTicketKeys(before.tls)
	s.switchAccessLog(before.access)
	s.openQueues(old)
	s.dispatch.Guard(s.generation, r.config.moveFailures())
	for _, slot := range old {
		s.drain(slot, "replaced by a new generation")
	}
	s.applyListeners(r.listeners) // when no old worker gets any more: it was not told of new transports
	s.moveKept()
	if old := s.lingering(); len(old) > maxLingering {
		s.cutShort(old[:len(old)-maxLingering])
	}
	s.notifier.ready()
	s.sayStatus()
	s.log.Info("the new generation serves", "generation", s.generation, "workers", s.target, "elapsed", time.Since(r.since).Round(time.Millisecond))
}

// moveKept has workers that drain since an earlier reload move the connections that
// they have kept: perhaps the new generation can restore them. A worker that had no
// deadline has one again.
func (s *supervisor) moveKept() {
	_, workers := s.dispatch.Snapshot()
	for slot := range s.slots.all() {
		if !slot.ready.Moves || slot.life != lifeFinishing && slot.life != lifeParked || !s.hasMoveTarget(slot) {
			continue
		}
		s.reload.account.join(slot, workers[slot.number])
		s.moveAway(slot)
	}
}

// awaitArrival waits until what the old workers gave back has reached the new ones.
func (s *supervisor) awaitArrival() {
	r := s.reload
	r.stage = reloadArriving
	s.dispatch.AwaitArrival()
	r.limit = s.after(stillLimit, func() {
		if s.reload == r {
			r.account.silent = append(r.account.silent, "some worker of the new generation")
			s.finishReload()
		}
	})
}

func (s *supervisor) arrived() {
	if r := s.reload; r != nil && r.stage == reloadArriving && r.failed == nil {
		r.limit.Stop()
		s.finishReload()
	}
}

// finishReload ends the reload when every connection has moved that can.
func (s *supervisor) finishReload() {
	r := s.reload
	s.dispatch.Guard(0, 0)
	o := s.closeReload()
	if o.incomplete == nil {
		s.log.Info("reloaded", o.fields...)
		s.reloadOver(reloadDone, o.outcome, o.pause)
	} else {
		s.log.Warn("reloaded in part", append(o.fields, "error", o.incomplete)...)
		s.reloadOver(reloadPartial, o.outcome, o.pause)
	}
	r.tell(o.outcome)
}

// closedReload is what came of a reload, and what the log is to say of it.
type closedReload struct {
	outcome
	pause  time.Duration // the longest of a connection that moved
	fields []any
}

// closeReload ends the reload under way.
func (s *supervisor) closeReload() closedReload {
	r := s.reload
	s.reload = nil
	o := outcome{generation: r.generation}
	o.departures, o.incomplete = s.closeAccount(r.account)
	_, workers := s.dispatch.Snapshot()
	pause := time.Duration(0)
	for _, slot := range s.wanted(s.generation) {
		pause = max(pause, min(time.Duration(workers[slot.number].Said.Pause), time.Since(r.since)))
	}
	fields := append([]any{"generation", s.generation, "workers", s.target}, o.fields()...)
	return closedReload{o, pause, append(fields,
		"longest_pause", pause.Round(10*time.Microsecond), "elapsed", time.Since(r.since).Round(time.Millisecond))}
}

// abortReload ends the reload with an error. Unless the new generation serves already,
// its workers end, and the old generation goes on.
func (s *supervisor) abortReload(err error) {
	r := s.reload
	s.reload = nil
	if r.limit != nil {
		r.limit.Stop()
	}
	result, kind := outcome{generation: r.generation, err: err}, reloadFailed
	switch r.stage {
	case reloadReading:
		s.notifier.ready() // again
	case reloadMoving, reloadArriving: // the new generation serves: only the moving ends
		result.departures, _ = s.closeAccount(r.account)
		kind = reloadPartial
	case reloadStarting:
		s.log.Error(whatFailed, "generation", r.generation, "error", err)
		if r.config.Workers != s.config.Workers && s.target == r.config.Workers { // unless somebody has scaled since
			s.target = r.target
		}
		listen.CloseAll(r.listeners.Added)
		s.notifier.ready() // again
		for _, slot := range s.wanted(r.generation) {
			s.end(slot, "reload failed")
		}
	}
	s.reloadOver(kind, result, 0)
	if r.stage == reloadStarting {
		result.err = fmt.Errorf("%s: %w", whatFailed, err)
	}
	r.tell(result)
}

// tell answers everybody who waits for the reload. Their channels have room.
func (r *reload) tell(result outcome) {
	for _, done := range r.waiting {
		done <- result
	}
}

// refuseReloads answers everybody whose reload has not begun.
func (s *supervisor) refuseReloads(err error) {
	for _, done := range s.waiting {
		done <- outcome{err: err}
	}
	s.again, s.waiting = false, nil
}
