package dispatch

import (
	"testing"
)

// A worker that gives back a connection per packet, as it may do for ever, gets its
// turn and no more: the others' clients are accepted in between.
func TestReclaimingIsBounded(t *testing.T) {
	const conns = 2*mostReclaims + 10
	r := newRig(t, 4000)
	a := r.addWorker(0, 1000)
	defer a.die()
	r.dial(conns)
	e := a.receive(conns)
	b := r.addWorker(1, 1000)
	defer b.die()
	r.do(func() {
		for _, q := range r.dispatcher.open {
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
		giver := r.dispatcher.find(0)
		if err := r.set.Del(giver.spec.FD); err != nil { // as when it has been told
			t.Error(err)
		}
		giver.gaveBack = true
		r.dispatcher.capacity = r.dispatcher.measure()
		if r.placeAll(); r.dispatcher.totals.moved != mostReclaims {
			t.Errorf("%d moved at a time, want %d", r.dispatcher.totals.moved, mostReclaims)
		}
	})
	r.until(func(c Totals) bool { return c.Moved == conns })
}
