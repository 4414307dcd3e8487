package dispatch

import (
	"testing"
	"time"
)

// Windows in a row, and whether coalescing is on after each.
func TestCoalescing(t *testing.T) {
	const window = coalesceWindow
	type step struct {
		name         string
		conns, turns int
		windows      int // that are so
		on           bool
	}
	rest := func(d time.Duration) int { return int(d / window) }
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"many, as many, more, fewer", []step{
			{"not quite many", 999, 999, 3, false},
			{"many", 1000, 500, 1, true},
			{"as many", 1000, 200, 1, true},
			{"more", 3000, 300, 5, true},
			{"as few as in the beginning, and a little fewer", 900, 100, 5, true},
			{"fewer", 899, 100, 1, false},
			{"still", 899, 300, 100, false},
		}},
		{"full turns anyway", []step{
			{"four in each", 4000, 1000, 3, false},
			{"not quite four", 3999, 1000, 1, true},
		}},
		{"clients that connect one after the other", []step{
			{"many", 1100, 1100, 1, true},
			{"slower, since they wait", 500, 500, 1, false},
			{"many again: it rests", 1100, 1100, rest(coalesceRestMin) - 1, false},
			{"once more", 1100, 1100, 1, true},
			{"slower", 500, 500, 1, false},
			{"it rests twice as long", 1100, 1100, 2*rest(coalesceRestMin) - 1, false},
			{"once more", 1100, 1100, 1, true},
			{"this time it is right", 1100, 300, 1, true},
			{"fewer", 500, 500, 1, false},
			{"it rests as at first", 1100, 1100, rest(coalesceRestMin) - 1, false},
			{"and is right", 1100, 300, 1, true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c coalescing
			now := time.Hour // the first comes after a long rest
			c.came(1, now)
			for _, step := range test.steps {
				for n := range step.windows {
					for i := range step.turns - 1 {
						c.came(step.conns/step.turns, now+time.Duration(i))
					}
					now += window
					c.came(step.conns-step.conns/step.turns*(step.turns-1), now)
					if c.on != step.on {
						t.Fatalf("%s: after window %d it is on: %v", step.name, n, c.on)
					}
				}
			}
		})
	}
}

// While it coalesces, clients are served as ever, and counted; a bell brings the
// next when there was no room.
func TestAcceptorCoalesces(t *testing.T) {
	r := newRig(t, 1000)
	r.do(func() { r.coalescing = coalescing{on: true, since: r.clock.Now() + time.Hour} }) // the window does not end
	w := r.addWorker(0, 2)
	defer w.die()
	r.dial(5)
	w.receive(2)
	for n := uint64(3); n <= 5; n++ {
		w.closeOne()
		w.receive(2)
		r.until(func(c Totals) bool { return c.Accepted == n && c.Active == 2 })
	}
	r.do(func() {
		if c := &r.coalescing; !c.on || c.conns != 5 || c.turns < 4 || c.turns > 5 {
			t.Errorf("it has noted %d connections in %d turns; on: %v", c.conns, c.turns, c.on)
		}
	})
}

// A rest has an end, however often coalescing was wrong.
func TestCoalescingRestsAtMost(t *testing.T) {
	var c coalescing
	for now := time.Hour; now < 3*time.Hour; now += coalesceWindow {
		c.turns = 1099
		if c.came(1100, now); c.on {
			c.decide(0, now)
		}
		if rest := c.restUntil - now; rest > coalesceRestMax {
			t.Fatalf("it rests for %v", rest)
		}
	}
	if c.restFor != coalesceRestMax {
		t.Errorf("the last rest was to be %v", c.restFor)
	}
}
