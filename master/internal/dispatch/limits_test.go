package dispatch

import (
	"testing"

	"github.com/usher-go/usher/ipc"
)

// With overload close, clients are closed when a limit is reached, and only then: a
// full queue, and moved connections that wait for a worker, are soon over.
func TestOverloadClosesBeyondLimitsAlone(t *testing.T) {
	t.Run("full queue", func(t *testing.T) {
		const clients = maxQueued + 44
		r := newRig(t, 2000)
		r.do(func() { r.limits = limits{conns: 1000, close: true} })
		w := r.addWorker(0, 1000)
		defer w.die()
		r.dial(clients)
		r.until(func(c Totals) bool { return c.Queued >= maxQueued })
		w.receive(clients)
		if c := r.until(func(c Totals) bool { return c.Active == clients }); c.Refused != 0 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("moved ones wait", func(t *testing.T) {
		r := newRig(t, 1000)
		r.do(func() { r.limits = limits{conns: 100, close: true} })
		movers := func(slot int) { r.do(func() { r.dispatcher.find(slot).spec.Moves = true }) }
		a := r.addWorker(0, 10)
		movers(0)
		r.dial(5)
		e := a.receive(5)
		e.State = []byte("state")
		for _, fd := range a.fds {
			a.packet.Add(&e, fd)
		}
		a.fds = nil
		if err := a.Send(a.end, &a.packet); err != nil {
			t.Fatal(err)
		}
		a.die()
		b := r.addWorker(1, 100)
		defer b.die()
		r.until(func(Totals) (held bool) { // it cannot take them, but they are taken out
			r.do(func() { held = r.dispatcher.held() == 5 })
			return held
		})
		r.dial(3) // they wait until the batch is empty
		r.until(func(Totals) (seen bool) {
			r.do(func() { seen = clientsWaiting(r.listeners[0].FD) == 3 })
			return seen
		})
		movers(1)
		b.receive(8)
		if c := r.until(func(c Totals) bool { return c.Active == 8 }); c.Refused != 0 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("limits", func(t *testing.T) {
		for name, l := range map[string]limits{
			"max-conns":            {conns: 5, close: true},
			"max-conns-per-worker": {close: true},
		} {
			r := newRig(t, 1000)
			r.do(func() { r.limits = l })
			w := r.addWorker(0, 5)
			r.dial(8)
			w.receive(5)
			if c := r.until(func(c Totals) bool { return c.Active == 5 && c.Refused == 3 }); c.Accepted != 8 {
				t.Errorf("%s: %+v", name, c)
			}
			w.die()
		}
	})
}

// What further accept goroutines have accepted, and there is no room for, goes over
// to the next program in an upgrade, which does not wait for room; and when the
// server stops it is closed and counted.
func TestAcceptedWithoutRoom(t *testing.T) {
	r := newRig(t, 1000)
	r.do(func() { r.limits = limits{conns: 1} })
	r.do(func() {
		fd, _, errno := acceptOne(r.listeners[0].FD, &r.accepts.peer)
		for errno != 0 {
			r.dial(1)
			fd, _, errno = acceptOne(r.listeners[0].FD, &r.accepts.peer)
		}
		r.pending = append(r.pending, pendingConn{ipc.Envelope{Listener: "web", Accepted: 7}, fd})
	})
	e, err := r.Pause()
	if err != nil {
		t.Fatal(err)
	}
	r.Resume()
	if len(e.Pending) != 1 || e.Pending[0].Listener != "web" || e.Pending[0].Accepted != 7 {
		t.Errorf("%+v", e.Pending)
	}
	r.CloseListeners()
	r.until(func(c Totals) bool { return c.Accepted == 1 && c.Refused == 1 })
}
