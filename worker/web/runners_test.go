package web

import "testing"

// What rests is used again, the last one first; what nobody has needed between two sweeps
// ends, and then nothing is left.
func TestRunnersSweep(t *testing.T) {
	s := &runners{sweeping: true} // by hand: no timer
	first, second := make(runner, 1), make(runner, 1)
	for _, r := range []runner{first, second} {
		if x := s.take(r, true); x != nil {
			t.Fatal("a request out of nothing")
		}
	}
	s.sweep()
	if len(s.resting) != 2 {
		t.Fatalf("%d rest after the first sweep, want 2: they have just come", len(s.resting))
	}
	x := new(exchange)
	s.serve(x)
	select {
	case <-second:
	default:
		t.Fatal("the last to come was not the first to go on")
	}
	if got := s.take(second, true); got != x {
		t.Error("it has not found the request")
	}
	s.take(second, false)
	s.sweep()
	if _, open := <-first; open || len(s.resting) != 1 {
		t.Errorf("%d rest, want the one that was needed", len(s.resting))
	}
	s.sweep()
	if _, open := <-second; open || s.resting != nil || s.queue != nil || s.sweeping {
		t.Error("something is left that nobody needs")
	}
}

// One is coming as long as a request waits, and never two: who takes the first has another
// come for the next, before it serves.
func TestRunnersCome(t *testing.T) {
	s := &runners{sweeping: true}
	all := []runner{make(runner, 1), make(runner, 1), make(runner, 1)}
	for _, r := range all {
		s.take(r, true)
	}
	woken := func() (n int) {
		for _, r := range all {
			n += len(r)
		}
		return n
	}
	requests := []*exchange{new(exchange), new(exchange), new(exchange)}
	for i, x := range requests {
		if s.serve(x); woken() != 1 {
			t.Fatalf("%d were woken for %d requests, want 1", woken(), i+1)
		}
	}
	for i, c := range []struct {
		by       int
		summoned bool
		woken    int // beyond those that have come
	}{
		{by: 2, summoned: true, woken: 1},  // and blocks in its handler
		{by: 1, summoned: true, woken: 1},  // for the third
		{by: 1, summoned: false, woken: 1}, // which takes it itself; the one that comes finds nothing
	} {
		if c.summoned {
			<-all[c.by]
		}
		if x := s.take(all[c.by], c.summoned); x != requests[i] {
			t.Fatalf("the request taken at step %d is not the next one", i)
		}
		if woken() != c.woken {
			t.Fatalf("%d are woken at step %d, want %d", woken(), i, c.woken)
		}
	}
	<-all[0]
	if s.take(all[0], true) != nil || len(s.resting) != 1 || s.coming {
		t.Error("the last one has not gone to rest")
	}
}
