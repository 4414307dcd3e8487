package poller

import "testing"

// A muted waker does not ring; afterwards it does, and one that has rung cannot be muted.
func TestWakerMute(t *testing.T) {
	set, w, err := NewWithWaker(7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }() // it is empty
	defer func() { _ = w.Close() }()   // likewise
	events := make([]Event, 1)
	expect := func(when string, want int) {
		t.Helper()
		if n, err := set.Wait(events, 0); n != want || err != nil {
			t.Errorf("%s: %d events, %v; want %d", when, n, err, want)
		}
	}
	if !w.Mute() {
		t.Fatal("a waker that has not rung cannot be muted")
	}
	w.Wake()
	expect("muted", 0)
	w.Unmute()
	expect("not muted, but not woken since", 0)
	w.Wake()
	expect("woken", 1)
	if w.Mute() {
		t.Error("one that has rung was muted")
	}
	w.Clear()
	expect("cleared", 0)
	w.Wake()
	expect("woken again", 1)
}
