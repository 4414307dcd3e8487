package worker

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// working has Go do work that lasts until finish is called, which waits for the
// loop to take note of its end.
func (s *still) working() (finish func()) {
	release := make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	s.t.Cleanup(end)
	done := false
	s.Go(func() { <-release }, func() { done = true })
	s.l.settle()
	return func() {
		s.t.Helper()
		end()
		for deadline := time.Now().Add(20 * time.Second); !done; runtime.Gosched() {
			if s.turn(); time.Now().After(deadline) {
				s.t.Fatal("the work does not end")
			}
		}
	}
}

// A client that waits for a long answer does not lose it to the idle timeout,
// which counts from the end of the work.
func TestIdleTimeoutSparesWork(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name   string
		idle   time.Duration // the worker's
		before func(c *still)
		during func(c *still)
	}{
		{name: "of the worker", idle: 10 * s},
		{name: "one's own", before: func(c *still) { c.SetIdleTimeout(10 * s) }},
		{name: "set meanwhile", during: func(c *still) { c.SetIdleTimeout(10 * s) }},
		{name: "changed meanwhile", idle: time.Hour, during: func(c *still) { c.SetIdleTimeout(10 * s) }},
		{name: "in a pause", idle: 10 * s, during: func(c *still) { c.Pause(); c.l.settle() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newStill(t, test.idle)
			if test.before != nil {
				test.before(c)
			}
			c.pass(9 * s)
			first, second := c.working(), c.working()
			if test.during != nil {
				test.during(c)
			}
			for range 10 {
				c.pass(9 * s)
				c.expectOpen()
			}
			first()
			c.pass(30 * s)
			c.expectOpen() // the other goes on
			second()
			c.expectAt(10*s, ErrIdleTimeout)
		})
	}
}

// The idle timeout that was taken back does not come again after the work.
func TestIdleTimeoutEndedDuringWork(t *testing.T) {
	c := newStill(t, 10*time.Second)
	finish := c.working()
	c.SetIdleTimeout(0)
	finish()
	c.pass(1000 * time.Hour)
	c.expectOpen()
	if _, armed := c.l.wheel.Next(); armed || c.alarm != 0 {
		t.Error("something is timed")
	}
}

// What the session has set for this very moment holds.
func TestReadDeadlineDuringWork(t *testing.T) {
	c := newStill(t, 0)
	c.working()
	c.SetReadDeadline(c.l.epoch.Add(c.time + time.Second))
	c.pass(time.Second + late(time.Second))
	if !errors.Is(c.cause(), ErrReadTimeout) {
		t.Errorf("closed because of %v", c.cause())
	}
}
