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
	h := newHouse(t, 1000)
	movers := func(slots ...int) {
		h.do(func() {
			for _, slot := range slots {
				h.dispatcher.find(slot).spec.Moves = true
			}
		})
	}
	a := h.hire(0, 100)
	movers(0)
	h.call(conns)
	e := a.receive(conns)
	b := h.hire(1, 100)
	movers(1)
	h.CloseQueue(0)
	e.State = []byte("state")
	for _, fd := range a.fds {
		a.packet.Add(&e, fd)
	}
	a.fds = nil
	if err := a.Send(a.end, &a.packet); err != nil {
		t.Fatal(err)
	}
	h.until(func(c Totals) bool { return c.Moved == conns })
	b.die()
	a.die()
	c := h.hire(2, 100)
	defer c.die()
	h.until(func(Totals) (out bool) { // it cannot take them, but they are taken out
		h.do(func() { out = h.dispatcher.held() == conns })
		return out
	})
	counts, _ := h.Snapshot()
	if counts.Moved != conns {
		t.Errorf("%d moved, before it was %d", counts.Moved, conns)
	}
	movers(2)
	c.receive(conns)
	if counts = h.until(func(c Totals) bool { return c.Active == conns }); counts.Moved != conns {
		t.Errorf("%d moved, want %d", counts.Moved, conns)
	}
}

// However much junk is in a dead worker's queue, one line says so.
func TestJunkOfTheDeadIsOneLine(t *testing.T) {
	const packets = 100
	var log bytes.Buffer
	h := newHouse(t, 1000)
	h.do(func() { h.dispatcher.log = hclog.New(&hclog.LoggerOptions{Output: &log}) })
	w := h.hire(0, 100)
	h.do(func() { h.dispatcher.fail(h.dispatcher.find(0), errQueueBroken) }) // or the first one would end it
	var sender fdpass.Sender
	for range packets {
		if err := sender.Send(w.end, []byte("junk"), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.die()
	other := h.hire(1, 100)
	defer other.die()
	h.until(func(Totals) (gone bool) {
		h.do(func() { gone = len(h.dispatcher.closed) == 0 })
		return gone
	})
	h.do(func() {
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "count=100") {
			t.Errorf("%d lines:\n%s", n, &log)
		}
	})
}
