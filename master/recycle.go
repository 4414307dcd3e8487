package master

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is how workers are recycled: one at a time, each when it has reached a
// limit of its own, and not before its successor is ready. All of it runs on the
// supervisor's goroutine.

// recycleLimits are when a worker is to be recycled: the configured limits, each
// ±10 %, so that workers that started together are not recycled together. 0: never.
type recycleLimits struct {
	conns uint64
	age   time.Duration
	rss   int64 // bytes
}

func newRecycleLimits(c *Config) recycleLimits {
	jitter := func(limit int64) int64 { return int64(float64(limit) * (0.9 + 0.2*rand.Float64())) }
	return recycleLimits{
		conns: uint64(jitter(int64(c.RecycleConns))),
		age:   time.Duration(jitter(int64(c.RecycleAge))),
		rss:   jitter(c.RecycleRSS),
	}
}

// reached returns why a worker is to be recycled, or nothing.
func (l recycleLimits) reached(received uint64, age time.Duration, rss func() int64) string {
	switch {
	case l.conns > 0 && received >= l.conns:
		return fmt.Sprintf("recycled after %d connections", received)
	case l.age > 0 && age >= l.age:
		return fmt.Sprintf("recycled at the age of %v", age.Round(time.Second))
	}
	if l.rss > 0 {
		if now := rss(); now >= l.rss {
			return fmt.Sprintf("recycled with %d bytes of memory", now)
		}
	}
	return ""
}

// recycle marks one worker that has reached a limit, if none is marked yet: the oldest,
// so that everyone's turn comes where limits are reached faster than one at a time. It
// goes on serving; reconcile opens a slot for its successor, and has it drain when that
// is ready.
func (s *supervisor) recycle(now time.Time) {
	if s.reload != nil || s.stopping != stopNot || !s.allReady(s.generation) {
		return
	}
	var workers map[int]dispatch.WorkerCounts
	if s.config.RecycleConns > 0 {
		_, workers = s.dispatch.Snapshot()
	}
	var oldest *slot
	var reason string
	for _, slot := range s.wanted(s.generation) {
		if oldest != nil && oldest.readyAt.Before(slot.readyAt) {
			continue
		}
		why := slot.recycleAt.reached(workers[slot.number].Received, now.Sub(slot.readyAt), func() int64 { return child.ResidentBytes(slot.pid()) })
		if why != "" {
			oldest, reason = slot, why
		}
	}
	if oldest != nil {
		s.log.Info("recycling a worker", "slot", oldest.number, "pid", oldest.pid(), "reason", reason)
		s.askToDrain(oldest, reason)
	}
}

// stopRecycling lets the worker that was to be recycled stay for now, and gives up
// the successor that is not ready: a reload replaces them all.
func (s *supervisor) stopRecycling() {
	for slot := range s.slots.all() {
		if s.step(slot, eventSpared) {
			slot.why = ""
			s.drain(s.leastLoaded(slot.generation), "a reload replaces all workers")
		}
	}
}

// askToDrain marks a worker, which is to drain once its successor is ready.
func (s *supervisor) askToDrain(slot *slot, why string) {
	if s.step(slot, eventAsked) {
		slot.why = why
	}
}

// replaced returns the marked workers, if their successors are ready.
func (s *supervisor) replaced() (all []*slot) {
	if !s.allReady(s.generation) {
		return nil
	}
	for slot := range s.slots.all() {
		if slot.life == lifeAsked {
			all = append(all, slot)
		}
	}
	return all
}

// drainAsked has the marked workers drain when their successors are ready.
func (s *supervisor) drainAsked() {
	for _, slot := range s.replaced() {
		s.drain(slot, slot.why)
	}
}
