package web

import (
	"sync"
	"time"
)

// runners are the goroutines that handlers run on. One that has served a request waits for
// another for a moment. A new goroutine has a small stack, which nearly every handler makes
// grow: under load that would be a tenth of all that a short request costs.
//
// The zero value has none. It is for any goroutine.
type runners struct {
	mu       sync.Mutex
	waiting  []chan *exchange // of those that wait: the last to come is the first to go on
	unneeded int              // how many of them have waited since the last sweep
	sweeping bool             // a sweep is to come
}

// runnerRest is how long a goroutine waits for another request, and at most twice that.
const runnerRest = 100 * time.Millisecond

// serve has x served by a goroutine that waits, or by a new one.
func (s *runners) serve(x *exchange) {
	s.mu.Lock()
	n := len(s.waiting)
	if n == 0 {
		s.mu.Unlock()
		go s.run(x)
		return
	}
	next := s.waiting[n-1]
	s.waiting[n-1] = nil
	s.waiting = s.waiting[:n-1]
	s.unneeded = min(s.unneeded, n-1)
	s.mu.Unlock()
	next <- x // it has room
}

// run serves one request after another, until no other comes. A handler that ends its
// goroutine, by runtime.Goexit, ends it here too.
func (s *runners) run(x *exchange) {
	next := make(chan *exchange, 1)
	for x != nil {
		x.serve()
		s.wait(next)
		x = <-next // nil: nobody needs it
	}
}

// wait adds one that waits.
func (s *runners) wait(next chan *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, next)
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(runnerRest, s.sweep)
	}
}

// sweep ends those that nobody has needed since the last one.
func (s *runners) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, next := range s.waiting[:s.unneeded] {
		close(next)
	}
	rest := copy(s.waiting, s.waiting[s.unneeded:])
	clear(s.waiting[rest:])
	s.waiting, s.unneeded = s.waiting[:rest], rest
	if s.sweeping = rest > 0; s.sweeping {
		time.AfterFunc(runnerRest, s.sweep)
	} else {
		s.waiting = nil // while nothing is served there is no memory
	}
}
