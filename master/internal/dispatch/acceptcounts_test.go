package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A listener that is gone and comes again goes on where it was, also in the program that
// takes over, and so many as are remembered are bounded.
func TestAcceptCounts(t *testing.T) {
	var c acceptCounts
	c.of("web", "127.0.0.1:1").accepted.Add(3)
	c.of("web", "127.0.0.1:2").accepted.Add(5)
	c.of("", "127.0.0.1:1").accepted.Add(7)
	c.of("web", "127.0.0.1:1").accepted.Add(1)
	c.failed(unix.EMFILE)
	c.failed(unix.EMFILE)
	c.failed(unix.ECONNABORTED)
	c.failed(9999)
	want := []ListenerCount{{"web", "127.0.0.1:2", 5}, {"", "127.0.0.1:1", 7}, {"web", "127.0.0.1:1", 4}}
	wantErrors := map[string]uint64{"EMFILE": 2, "ECONNABORTED": 1, "unknown": 1}
	var next acceptCounts
	next.of("web", "127.0.0.1:2") // its program has begun
	next.inherit(c.read())
	for name, counts := range map[string]*acceptCounts{"counted": &c, "inherited": &next} {
		listeners, errors := counts.read()
		if !slices.Equal(listeners, want) || !maps.Equal(errors, wantErrors) {
			t.Errorf("%s: %+v, %v", name, listeners, errors)
		}
	}
	for i := range 2 * maxListenerCounts {
		c.of("many", fmt.Sprint(i))
	}
	if listeners, _ := c.read(); len(listeners) != maxListenerCounts || listeners[len(listeners)-1].Address != fmt.Sprint(2*maxListenerCounts-1) {
		t.Errorf("%d are remembered", len(listeners))
	}
}

// Whoever accepts counts at the listener, and a refusal by its limit.
func TestAcceptedAndRefusedAreCounted(t *testing.T) {
	r := newRig(t, 1000)
	w := r.addWorker(0, 100)
	defer w.die()
	r.dial(8)
	r.until(func(n Totals) bool { return n.Accepted == 8 })
	var m Meters
	r.do(func() {
		r.refuse(-1, r.listeners[0].Bound, "max-conns-per-ip")
		m = r.act(metersRequest{}).(Meters)
		state := r.dispatcher.totals.state()
		if got := state.totals(); !maps.Equal(got.refusedBy, m.RefusedBy) {
			t.Errorf("handed over: %v", got.refusedBy)
		}
	})
	if len(m.Listeners) != 1 || m.Listeners[0].Accepted != 8 || m.Totals.Accepted != 9 || !maps.Equal(m.RefusedBy, map[string]uint64{"max-conns-per-ip": 1}) {
		t.Errorf("%+v", m)
	}
}
