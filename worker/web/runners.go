package web

import (
	"sync"
	"time"
)

// runners are the goroutines that handlers run on. Requests wait in a queue, in the order in
// which they came, for a runner: one that has just served another, or one that is coming:
//
//	serve ──► queue ──take──► x.serve() ──take──► x.serve() ──take──► rest ──► (woken, or over)
//	  └─ has one come, unless one is coming ─┘
//
// As long as the queue is not empty one is coming; when it takes the first request it has
// another come for the rest. So a handler that blocks holds up nobody, while a hundred short
// ones that begin at once are served by two goroutines. To wake one for each would cost more
// than a short handler does, since that may wake a thread.
//
// A runner that finds the queue empty rests for a moment: a new goroutine has a small
// stack, which nearly every handler makes grow, and that costs a tenth of a short request.
//
// The zero value has none. It is for any goroutine.
type runners struct {
	mu       sync.Mutex
	queue    []*exchange
	coming   bool     // a runner is on its way to the queue
	resting  []runner // the last to come is the first to go on
	unneeded int      // how many of them have rested since the last sweep
	sweeping bool     // a sweep is to come
}

// runner is a goroutine of runners. What is sent wakes it; closed, it ends.
type runner chan struct{}

// runnerRest is how long a runner rests, and at most twice that, before it ends.
const runnerRest = 100 * time.Millisecond

// serve has x served.
func (s *runners) serve(x *exchange) {
	s.mu.Lock()
	s.queue = append(s.queue, x)
	comes := s.summon()
	s.mu.Unlock()
	comes.wake(s)
}

// summoned is who is to come to the queue: nobody, one that rests, or a new one.
type summoned struct {
	due    bool
	rested runner // nil: a new one
}

// summon chooses one for the queue, if that needs one. The caller holds mu, and wakes it when
// it no longer does.
func (s *runners) summon() (c summoned) {
	if s.coming || len(s.queue) == 0 {
		return c
	}
	s.coming, c.due = true, true
	if n := len(s.resting); n > 0 {
		c.rested = s.resting[n-1]
		s.resting[n-1] = nil
		s.resting = s.resting[:n-1]
		s.unneeded = min(s.unneeded, n-1)
	}
	return c
}

// wake has it come.
func (c summoned) wake(s *runners) {
	switch {
	case c.rested != nil:
		c.rested <- struct{}{} // there is room
	case c.due:
		go s.run()
	}
}

// run serves requests until nobody needs it. A handler that ends its goroutine, by
// runtime.Goexit, ends it here too.
func (s *runners) run() {
	r := make(runner, 1)
	for woken := true; woken; _, woken = <-r {
		for x := s.take(r, true); x != nil; x = s.take(r, false) {
			x.serve()
		}
	}
}

// take takes the first request of the queue for r, which has come on being summoned or, if
// not, has served another. nil says that there is none: r is among those that rest.
func (s *runners) take(r runner, summoned bool) *exchange {
	s.mu.Lock()
	if summoned {
		s.coming = false
	}
	if len(s.queue) == 0 {
		s.rest(r)
		s.mu.Unlock()
		return nil
	}
	x := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	next := s.summon()
	s.mu.Unlock()
	next.wake(s)
	return x
}

// rest adds one that rests. The caller holds mu.
func (s *runners) rest(r runner) {
	s.resting = append(s.resting, r)
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(runnerRest, s.sweep)
	}
}

// sweep ends those that nobody has needed since the last one.
func (s *runners) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.resting[:s.unneeded] {
		close(r)
	}
	rest := copy(s.resting, s.resting[s.unneeded:])
	clear(s.resting[rest:])
	s.resting, s.unneeded = s.resting[:rest], rest
	if s.sweeping = rest > 0; s.sweeping {
		time.AfterFunc(runnerRest, s.sweep)
		return
	}
	s.resting = nil // while nothing is served there is no memory
	if len(s.queue) == 0 {
		s.queue = nil
	}
}
