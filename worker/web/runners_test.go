package web

import "testing"

// What waits is used again, the last one first; what nobody has needed between two sweeps
// ends, and then nothing is left.
func TestRunnersSweep(t *testing.T) {
	s := &runners{sweeping: true} // by hand: no timer
	first, second := make(chan *exchange, 1), make(chan *exchange, 1)
	s.wait(first)
	s.wait(second)
	s.sweep()
	if len(s.waiting) != 2 {
		t.Fatalf("%d wait after the first sweep, want 2: they have just come", len(s.waiting))
	}
	x := new(exchange)
	s.serve(x)
	if got := <-second; got != x {
		t.Error("the last to come was not the first to go on")
	}
	s.wait(second)
	s.sweep()
	if _, open := <-first; open || len(s.waiting) != 1 {
		t.Errorf("%d wait, want the one that was needed", len(s.waiting))
	}
	s.sweep()
	if _, open := <-second; open || s.waiting != nil || s.sweeping {
		t.Error("one is left that nobody needs")
	}
}
