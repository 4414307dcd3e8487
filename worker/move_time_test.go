package worker_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// laborious is a session that takes its time to pack or unpack its state. Each time
// it posts something to another connection of its worker, and counts how often it
// was called before that was run.
type laborious struct{ *labour }

type labour struct {
	pack, unpack time.Duration
	other        *worker.Conn
	runs, most   int // the loop's
}

func (s laborious) Open(*worker.Conn) (worker.Session, error) { return s, nil }

func (s laborious) Data(c *worker.Conn, in []byte) (int, error) {
	if string(in) == "other" {
		s.other = c
	}
	_, err := c.Write(in)
	return len(in), err
}

func (s laborious) work(d time.Duration) {
	if d == 0 {
		return
	}
	for begun := time.Now(); time.Since(begun) < d; {
	}
	s.runs++
	s.most = max(s.most, s.runs)
	s.other.Post(func(*worker.Conn) { s.runs = 0 })
}

func (s laborious) MarshalBinary() ([]byte, error) { s.work(s.pack); return []byte("state"), nil }
func (s laborious) UnmarshalBinary([]byte) error   { s.work(s.unpack); return nil }

// Sessions that take long to pack or unpack do not stop their worker: between two
// of them it beats, so that its master does not take it for hung, and serves others.
func TestMovingTakesTurns(t *testing.T) {
	const clients = 40
	for _, test := range []struct {
		name         string
		pack, unpack time.Duration
	}{
		{"to pack", 5 * time.Millisecond, 0},
		{"to unpack", 0, 5 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			here, there := laborious{&labour{pack: test.pack}}, laborious{&labour{unpack: test.unpack}}
			old, next := newRig(t, here), newRig(t, there)
			moving := old.connectAll(clients)
			at, laborious := old, here
			if test.unpack > 0 {
				at, laborious = next, there
			}
			other := at.connect()
			other.send("other")
			other.expect("other")
			beats := at.entry.Sequence.Load()
			if test.pack > 0 {
				old.tell(ipc.Move{ID: 1, Count: clients})
				old.route(next, clients)
			} else {
				old.tell(ipc.Drain{Mode: ipc.DrainMove})
				old.gather(next, clients)
				next.until(func() bool { return next.entry.Thawed.Load() == clients })
			}
			if n := at.entry.Sequence.Load() - beats; n < clients {
				t.Errorf("%d beats while %d connections moved", n, clients)
			}
			for _, c := range append(moving, other) {
				check(t, c.Close())
			}
			at.tell(ipc.Stop{})
			at.wait() // the loop's counts are to be read
			if laborious.most > 3 {
				t.Errorf("%d in a row, with nobody else served in between", laborious.most)
			}
		})
	}
}

// gather takes back n connections, and sends them to another in packets as full as
// can be.
func (s *rig) gather(to *rig, n int) {
	s.t.Helper()
	var packet, all ipc.Packet
	for n > 0 {
		if err := whenReady(s.queue, unix.POLLIN, func() error { return s.packets.Receive(s.queue, &packet) }); err != nil {
			s.t.Fatalf("%d connections did not come back: %v", n, err)
		}
		n -= packet.Len()
		s.back += uint64(packet.Len())
		for i := range packet.Len() {
			if !all.AddFrom(&packet, i) {
				check(s.t, to.packets.Send(to.queue, &all))
				all.AddFrom(&packet, i)
			}
			packet.Forget(i)
		}
	}
	check(s.t, to.packets.Send(to.queue, &all))
}

// posted is a session that counts what is posted to it, and hears that it leaves.
type posted struct {
	hub *hub
}

type hub struct {
	run  atomic.Int64
	gone chan *worker.Conn
	all  chan *worker.Conn
}

func (h *hub) Open(c *worker.Conn) (worker.Session, error) {
	if !c.Moved() {
		h.all <- c
	}
	return posted{h}, nil
}

func (posted) Data(c *worker.Conn, in []byte) (int, error) {
	_, err := c.Write(in)
	return len(in), err
}
func (p posted) Leave(c *worker.Conn) {
	if _, err := c.Write([]byte("x")); err != worker.ErrClosed {
		panic(fmt.Sprint("a connection that has left can be written to: ", err))
	}
	p.hub.gone <- c
}
func (posted) Close(*worker.Conn, error)      { panic("closed, though it only left") }
func (posted) MarshalBinary() ([]byte, error) { return []byte("state"), nil }
func (posted) UnmarshalBinary(b []byte) error { return nil }

// What is posted to connections while they move is run, if Post said so; and
// those that are posted to all the time move nevertheless.
func TestPostsRunBeforeLeaving(t *testing.T) {
	const clients = 200
	h := &hub{gone: make(chan *worker.Conn, clients), all: make(chan *worker.Conn, clients)}
	other := &hub{gone: make(chan *worker.Conn, clients), all: make(chan *worker.Conn, clients)}
	old, next := newRig(t, h), newRig(t, other)
	var conns []*worker.Conn
	moving := old.connectAll(clients)
	for range clients {
		conns = append(conns, await(t, h.all))
	}
	var accepted atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for left := len(conns); left > 0; {
			select {
			case <-done:
				return
			default:
			}
			left = 0
			for _, c := range conns {
				if c.Post(func(*worker.Conn) { h.run.Add(1) }) {
					accepted.Add(1)
					left++
				}
			}
		}
	}()
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, clients)
	for range clients {
		await(t, h.gone)
	}
	close(done)
	<-ended
	old.expectDrained()
	if h.run.Load() != accepted.Load() {
		t.Errorf("%d of %d accepted posts ran", h.run.Load(), accepted.Load())
	}
	if conns[0].Post(func(*worker.Conn) {}) {
		t.Error("a connection that has left takes posts")
	}
	_ = moving // they are closed with the test
}
