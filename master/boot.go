package master

import (
	"fmt"
	"strings"
	"time"
)

// This file is how a master begins to serve, on the supervisor's goroutine.

// logSlowStart logs which workers are waited for, if the first ones take long.
func (s *supervisor) logSlowStart() *time.Timer {
	return s.after(time.Second, func() {
		if s.booted || s.stopping != stopNot {
			return
		}
		var waiting []string
		for _, slot := range s.wanted(s.generation) {
			if slot.life == lifeStarting {
				waiting = append(waiting, fmt.Sprintf("slot %d (pid %d)", slot.number, slot.pid()))
			}
		}
		s.log.Info("waiting for workers to be ready", "workers", strings.Join(waiting, ", "), "limit", s.config.BootTimeout)
	})
}

// proceedBoot begins to serve once each of the first workers is ready, or has failed
// once; one that takes longer than the boot timeout has failed. It waits for them all, so
// that the first one to be ready does not get the others' share. If none is ready the
// master ends.
func (s *supervisor) proceedBoot() {
	ready := 0
	for _, slot := range s.wanted(s.generation) {
		switch {
		case slot.life == lifeWaiting:
			ready++
		case slot.life != lifeGone || slot.deaths == 0:
			return
		}
	}
	if ready == 0 {
		s.failure = fmt.Errorf("%w: %w", ErrWorkersWouldNotStart, s.bootError)
		s.stop(stopQuick)
		return
	}
	s.booted = true
	s.openQueues(nil)
	for _, slot := range s.wanted(s.generation) {
		if slot.life == lifeGone {
			s.respawn(slot)
		}
	}
	s.notifier.ready()
	s.sayStatus()
	if s.config.Started != nil {
		s.config.Started(s.measure().Status)
	}
	s.reconcile()
}
