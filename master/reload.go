package master

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
)

// reload is a change of generations under way: the new one's workers start
// beside those that serve. Nothing of it is in force before all are ready.
type reload struct {
	generation int
	config     *Config
	since      time.Time
	listeners  listenerChange
	before     Counts           // when it switched
	held       int              // connections that the old workers had then
	target     int              // workers wanted before
	failed     bool             // too many could not be restored: the reason is being found out
	switched   bool             // the new generation serves; connections are still moving to it
	waiting    []chan<- outcome // who wants to know what comes of it
}

// outcome is what comes of a reload: the generation that serves now, or why not
// the new one.
type outcome struct {
	generation int
	err        error
}

var errStopping = errors.New("the master is stopping")

// askReload begins a reload, or has one more follow the one under way: any
// number of requests meanwhile are one. done, if not nil, is sent what comes of it.
func (s *supervisor) askReload(done chan<- outcome) {
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

// beginReload reads the configuration and starts the next generation.
func (s *supervisor) beginReload() {
	r := &reload{generation: s.generation + 1, since: time.Now(), waiting: s.waiting}
	s.again, s.waiting = false, nil
	err := r.prepare(s.config, s.dispatch)
	if err != nil {
		s.log.Error("reload refused, all stays as it is", "error", err)
		r.tell(err)
		return
	}
	r.target = s.target
	if r.config.Workers != s.config.Workers {
		s.target = r.config.Workers
	}
	s.stopRecycling()
	s.reload = r
	s.notifier.reloading(ipc.NewClock().Now())
	s.log.Info("reloading", "generation", r.generation)
}

// prepare does what can fail without a worker.
func (r *reload) prepare(old *Config, d dispatch) error {
	next := *old
	if old.Reread != nil {
		var err error
		if next, err = old.Reread(); err != nil {
			return err
		}
	}
	next.Logger, next.Started, next.Reread, next.ReopenLogs = old.Logger, old.Started, old.Reread, old.ReopenLogs
	next.defaultCapacity = old.defaultCapacity
	addresses, err := next.check()
	if err != nil {
		return err
	}
	if err := old.allows(&next); err != nil {
		return err
	}
	r.config = &next
	r.listeners, err = d.planListeners(addresses, next.Backlog)
	return err
}

// allows refuses a change that needs a new master.
func (c *Config) allows(next *Config) error {
	var changed []string
	before, after := c.fixed(), next.fixed()
	for key := range before {
		if !reflect.DeepEqual(before[key], after[key]) {
			changed = append(changed, key)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return fmt.Errorf("%w: %s cannot change by a reload; restart the master for that", ErrConfig, strings.Join(changed, ", "))
}

// switchOver lets the new generation serve and the old one finish.
func (s *supervisor) switchOver() {
	r, old := s.reload, s.staff(s.generation)
	r.switched, s.generation = true, r.generation
	var tallies map[int]tally
	r.before, tallies, _ = s.dispatch.snapshot()
	for _, t := range tallies {
		r.held += t.load()
	}
	if r.config.LogLevel != hclog.NoLevel && r.config.LogLevel != s.config.LogLevel {
		s.log.SetLevel(r.config.LogLevel)
	}
	s.config = r.config
	for _, slot := range s.staff(s.generation) {
		s.seat(slot)
	}
	s.dispatch.apply(r.config, r.listeners)
	s.lastLoss = ""
	s.dispatch.try(s.generation, r.config.moveFailures())
	for _, slot := range old {
		slot.leaving = true // none of them is to take another's connections
	}
	for _, slot := range old {
		s.dismiss(slot, "replaced by a new generation")
	}
	for _, slot := range s.slots {
		if slot != nil && slot.kept && slot.state == StateDraining && !slot.ending {
			s.drain(slot) // perhaps this generation can read their state
		}
	}
	if old := s.lingering(); len(old) > maxLingering {
		s.cutShort(old[:len(old)-maxLingering])
	}
	s.notifier.ready()
	s.log.Info("the new generation serves", "generation", s.generation, "workers", s.target, "elapsed", time.Since(r.since).Round(time.Millisecond))
}

// finishReload is called once every connection has moved that can.
func (s *supervisor) finishReload() {
	s.dispatch.try(0, 0)
	s.log.Info("reloaded", s.summary()...)
	r := s.reload
	s.reload = nil
	r.tell(nil)
}

// summary is what the log says of the reload under way.
func (s *supervisor) summary() []any {
	r := s.reload
	counts, tallies, _ := s.dispatch.snapshot()
	staying, pause := 0, time.Duration(0)
	for _, slot := range s.slots {
		switch {
		case slot == nil:
		case slot.state == StateDraining:
			staying += tallies[slot.number].active()
		case slot.generation == s.generation:
			pause = max(pause, tallies[slot.number].pause)
		}
	}
	moved := counts.Moved - r.before.Moved
	return []any{
		"generation", s.generation, "workers", s.target, "moved", moved,
		"drained", max(0, r.held-int(moved)-staying), "finishing", staying, "lost", counts.Lost - r.before.Lost,
		"longest_pause", pause.Round(10 * time.Microsecond), "elapsed", time.Since(r.since).Round(time.Millisecond),
	}
}

// trialFailed is called from the accept goroutine: too many of those that moved
// to the new generation were lost. The old workers keep the rest.
func (s *supervisor) trialFailed(n trialTally) {
	s.inbox.put(func() {
		r := s.reload
		if r == nil || !r.switched {
			return
		}
		r.failed = true
		for _, slot := range s.slots {
			if slot != nil && slot.state == StateDraining && slot.generation < s.generation && slot.ready.Moves && !slot.ending {
				s.keep(slot)
			}
		}
		s.stopMoving(r, n, lossPatience)
	})
}

// lossPatience is how many looks a worker's words are waited for, which may come
// later than its counts.
const lossPatience = 100

// stopMoving ends a reload whose trial has failed, once it is known why.
func (s *supervisor) stopMoving(r *reload, n trialTally, patience int) {
	if s.reload != r {
		return
	}
	if s.lastLoss == "" && patience > 0 {
		time.AfterFunc(movingLook, func() { s.inbox.put(func() { s.stopMoving(r, n, patience-1) }) })
		return
	}
	reason := s.lastLoss
	if reason == "" {
		reason = "their worker died"
	}
	err := fmt.Errorf("%d of %d connections that moved to generation %d could not be restored: %s; the other ones stay in the old workers (--move-failures)",
		n.failed, n.tried, s.generation, reason)
	s.log.Error("moving stopped, the old workers keep their connections", "limit", s.config.moveFailures(), "error", err)
	s.log.Warn("reloaded in part", s.summary()...)
	s.reload = nil
	r.tell(err)
}

// allMoved reports whether every connection that can move has reached another
// worker. Until the last ones have, which is a matter of milliseconds, it has
// reconcile come back.
func (s *supervisor) allMoved() bool {
	staying := make(map[int]int)
	for _, slot := range s.slots {
		switch {
		case slot == nil:
		case slot.moving:
			return false // it will say so
		case slot.state == StateDraining:
			staying[slot.number] = slot.staying
		}
	}
	if s.dispatch.underway(staying) > 0 {
		time.AfterFunc(movingLook, func() { s.inbox.put(func() {}) })
		return false
	}
	return true
}

// abortReload gives the new generation up; the old one goes on.
func (s *supervisor) abortReload(err error) {
	r := s.reload
	s.reload = nil
	if r.switched { // it is too late for that: only the moving was not over
		r.tell(err)
		return
	}
	s.log.Error("reload failed, the old workers keep serving", "generation", r.generation, "error", err)
	if r.config.Workers != s.config.Workers && s.target == r.config.Workers { // and nobody has scaled since
		s.target = r.target
	}
	closeListeners(r.listeners.added)
	s.notifier.ready() // again
	for _, slot := range s.staff(r.generation) {
		s.dismiss(slot, "reload failed")
	}
	r.tell(err)
}

// tell answers those who wait. Their channels have room.
func (r *reload) tell(err error) {
	for _, done := range r.waiting {
		done <- outcome{r.generation, err}
	}
}

// refuseReloads answers those whose reload has not begun.
func (s *supervisor) refuseReloads(err error) {
	for _, done := range s.waiting {
		done <- outcome{err: err}
	}
	s.again, s.waiting = false, nil
}
