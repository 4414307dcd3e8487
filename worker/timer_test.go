package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/timerwheel"
)

func TestTimers(t *testing.T) {
	const ms = time.Millisecond
	c := newStill(t, 0)
	var got []int
	note := func(i int) func() { return func() { got = append(got, i) } }
	second := c.After(20*ms, note(2))
	c.After(10*ms, note(1))
	stopped := c.After(15*ms, note(-1))
	c.After(30*ms, func() {
		got = append(got, 3)
		c.After(0, note(4)) // not from within After
		got = append(got, -3)
	})
	c.After(-1, note(0))
	c.After(1<<63-1, note(-2))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop: want true, then false")
	}
	steps := []struct {
		pass time.Duration
		want []int
	}{
		{0, nil},
		{ms, []int{0}},
		{9*ms - 1, nil},
		{1, []int{1}},
		{10*ms - 1, nil},
		{10*ms + 1, []int{2, 3, -3}},
		{ms, []int{4}},
		{1000 * time.Hour, nil},
	}
	for i, step := range steps {
		got = nil
		c.pass(step.pass)
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if second.Stop() {
		t.Error("Stop of one that has run: want false")
	}
	c.expectOpen()
}

// The time of a timer is from the call, not from the beginning of the turn.
func TestTimerLateInATurn(t *testing.T) {
	c := newStill(t, time.Minute)
	ran := false
	c.time += time.Second // a callback takes so long
	c.After(2*time.Second, func() { ran = true })
	c.pass(2*time.Second - 1)
	if ran {
		t.Error("called early")
	}
	c.pass(1 + late(2*time.Second))
	if !ran {
		t.Error("not called")
	}
}

// A timer that stops another, due in the same turn, is believed.
func TestTimerStopsTimer(t *testing.T) {
	c := newStill(t, 0)
	var first, second *Timer
	ran := 0
	first = c.After(time.Second, func() {
		ran++
		if first.Stop() || !second.Stop() {
			t.Error("Stop: want false of itself, true of the other")
		}
	})
	second = c.After(time.Second, func() { ran++ })
	c.pass(2 * time.Second)
	if ran != 1 {
		t.Errorf("%d ran", ran)
	}
}

func TestTimerPanics(t *testing.T) {
	c := newStill(t, 0)
	c.After(time.Second, func() { panic("in a test") })
	c.After(time.Second, func() { t.Error("called after the panic") })
	c.pass(2 * time.Second)
	c.expectClose(ErrPanic)
}

func TestNoTimerAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(c *still) error{
		"Close": func(c *still) error { return c.Close() },
		"Abort": func(c *still) error { return c.Abort() },
		"in a timer": func(c *still) error {
			c.After(0, func() { must(c.t, c.Abort()) })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newStill(t, time.Minute)
			timer := c.After(time.Second, func() { t.Error("called") })
			must(t, end(c))
			c.l.settle()
			c.pass(time.Millisecond)
			late := c.After(0, func() { t.Error("called") })
			if timer.Stop() || late.Stop() {
				t.Error("Stop: want false")
			}
			c.pass(time.Hour)
			if !c.closed {
				t.Error("not closed")
			}
		})
	}
}

// However many are due at once, events have their turn between them.
func TestAlarmsAreBounded(t *testing.T) {
	c := newStill(t, 0)
	ran := 0
	for range 2*alarmsPerTurn + 1 {
		c.After(time.Second, func() { ran++ })
	}
	c.pass(time.Second + late(time.Second))
	if ran != alarmsPerTurn {
		t.Errorf("%d ran in one turn", ran)
	}
	for turn := range 2 {
		if got := c.l.until(c.l.nextDeadline()); got != 0 {
			t.Errorf("turn %d: sleeps for %v with timers due", turn, got)
		}
		c.turn()
	}
	if ran != 2*alarmsPerTurn+1 {
		t.Errorf("%d ran", ran)
	}
}

// Only what After returns is allocated; a deadline moved for each input is not.
func BenchmarkTimer(b *testing.B) {
	l := &loop{wheel: timerwheel.New[alarm](), table: newTable(), epoch: time.Now()}
	l.clock = func() time.Duration { return time.Since(l.epoch) }
	c := &Conn{loop: l}
	l.table.add(c)
	b.Run("AfterStop", func(b *testing.B) {
		l.bind() // each runs on a goroutine of its own
		b.ReportAllocs()
		for b.Loop() {
			c.After(time.Second, nil).Stop()
		}
	})
	b.Run("SetReadDeadline", func(b *testing.B) {
		deadline := time.Now().Add(time.Hour)
		l.bind() // each runs on a goroutine of its own
		b.ReportAllocs()
		for b.Loop() {
			deadline = deadline.Add(time.Millisecond)
			c.SetReadDeadline(deadline)
			c.gotInput()
		}
	})
	b.Run("SetIdleTimeout", func(b *testing.B) {
		l.bind() // each runs on a goroutine of its own
		b.ReportAllocs()
		for b.Loop() {
			c.SetIdleTimeout(time.Second)
			c.SetIdleTimeout(0)
		}
	})
}
