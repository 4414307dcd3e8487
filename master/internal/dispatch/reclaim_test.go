package dispatch

import (
	"testing"
)

// A worker that gives back a connection per packet, as it may do for ever, gets its
// turn and no more: the others' clients are accepted in between.
func TestFetchingIsBounded(t *testing.T) {
	const conns = 2*mostReclaims + 10
	h := newHouse(t, 4000)
	a := h.hire(0, 1000)
	defer a.die()
	h.call(conns)
	e := a.receive(conns)
	b := h.hire(1, 1000)
	defer b.die()
	h.do(func() {
		for _, q := range h.dispatcher.open {
			q.spec.Moves = true
		}
		e.State = []byte("state")
		for _, fd := range a.fds {
			a.packet.Add(&e, fd)
			if err := a.Send(a.end, &a.packet); err != nil {
				t.Error(err)
			}
		}
		a.fds = nil
		giver := h.dispatcher.find(0)
		if err := h.set.Del(giver.spec.FD); err != nil { // as when it has been told
			t.Error(err)
		}
		giver.gaveBack = true
		h.dispatcher.capacity = h.dispatcher.measure()
		if h.placeAll(); h.dispatcher.totals.moved != mostReclaims {
			t.Errorf("%d moved at a time, want %d", h.dispatcher.totals.moved, mostReclaims)
		}
	})
	h.until(func(c Totals) bool { return c.Moved == conns })
}
