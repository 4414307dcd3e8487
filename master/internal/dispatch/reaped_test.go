package dispatch

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
)

// What moved to a worker that dies before it takes it moves on to another. It has
// moved once, and the total of those moved never goes down.
func TestMovedNeverGoesDown(t *testing.T) {
	const conns = 5
	r := newRig(t, 1000)
	movers := func(slots ...int) {
		r.do(func() {
			for _, slot := range slots {
				r.dispatcher.find(slot).spec.Moves = true
			}
		})
	}
	a := r.addWorker(0, 100)
	movers(0)
	r.dial(conns)
	e := a.receive(conns)
	b := r.addWorker(1, 100)
	movers(1)
	r.CloseQueue(0)
	e.State = []byte("state")
	for _, fd := range a.fds {
		a.packet.Add(&e, fd)
	}
	a.fds = nil
	if err := a.Send(a.end, &a.packet); err != nil {
		t.Fatal(err)
	}
	r.until(func(c Totals) bool { return c.Moved == conns })
	b.die()
	a.die()
	c := r.addWorker(2, 100)
	defer c.die()
	r.until(func(Totals) (out bool) { // it cannot take them, but they are taken out
		r.do(func() { out = r.dispatcher.held() == conns })
		return out
	})
	counts, _ := r.Snapshot()
	if counts.Moved != conns {
		t.Errorf("%d moved, before it was %d", counts.Moved, conns)
	}
	movers(2)
	c.receive(conns)
	if counts = r.until(func(c Totals) bool { return c.Active == conns }); counts.Moved != conns {
		t.Errorf("%d moved, want %d", counts.Moved, conns)
	}
}

// However much junk is in a dead worker's queue, one line says so.
func TestJunkOfTheDeadIsOneLine(t *testing.T) {
	const packets = 100
	var log bytes.Buffer
	r := newRig(t, 1000)
	r.do(func() { r.dispatcher.log = hclog.New(&hclog.LoggerOptions{Output: &log}) })
	w := r.addWorker(0, 100)
	r.do(func() { r.dispatcher.fail(r.dispatcher.find(0), errQueueBroken) }) // or the first one would end it
	var sender fdpass.Sender
	for range packets {
		if err := sender.Send(w.end, []byte("junk"), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.die()
	other := r.addWorker(1, 100)
	defer other.die()
	r.until(func(Totals) (gone bool) {
		r.do(func() { gone = len(r.dispatcher.closed) == 0 })
		return gone
	})
	r.do(func() {
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "count=100") {
			t.Errorf("%d lines:\n%s", n, &log)
		}
	})
}
