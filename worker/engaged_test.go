package worker_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// A connection with a request under way stays; when it is over the connection leaves before
// the next request, which has come already and is served where it has gone.
func TestEngagedLeavesWhenReleased(t *testing.T) {
	here, there := newDesk(), newDesk()
	old, heir := newRig(t, here), newRig(t, there)
	c := old.connect()
	c.send("a\nb\nc")
	a := here.expectRequest(t, "a")
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	here.expect(t, "drain in a, known: false")
	if moved := next[ipc.Moved](old); moved.Staying != 1 {
		t.Errorf("%d stay, want 1", moved.Staying)
	}
	if !a.answer() {
		t.Error("it was not told that it leaves")
	}
	old.route(heir, 1)
	c.expect("a.\n")
	there.expectRequest(t, "b").answer()
	c.expect("b.\n")
	c.send("\n")
	there.expectRequest(t, "c").answer()
	c.expect("c.\n")
	old.expectDrained()
	check(t, c.Close())
	there.expect(t, `end at rest, "" left`, "closed at rest: nothing more comes")
	if len(here.requests)+len(here.events) > 0 {
		t.Error("the worker that it has left heard more of it")
	}
}

// What cannot leave at once goes on where it is, request after request, and leaves when
// there is room.
func TestReleasedGoesOnWithoutRoom(t *testing.T) {
	here, there := newDesk(), newDesk()
	old, heir := newRig(t, here), newRig(t, there)
	first, second := old.connect(), old.connect()
	first.send("first\n")
	one := here.expectRequest(t, "first")
	second.send("a\nb\n")
	a := here.expectRequest(t, "a")
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	here.expect(t, "drain in first, known: false", "drain in a, known: false")
	next[ipc.Moved](old)
	if !one.answer() { // the master takes nothing yet: so the window, which is one, is full
		t.Error("the first was not told that it leaves")
	}
	first.expect("first.\n")
	a.answer()
	second.expect("a.\n")
	b := here.expectRequest(t, "b")
	old.route(heir, 1)
	if !b.answer() {
		t.Error("the second was not told that it leaves")
	}
	old.route(heir, 1)
	second.expect("b.\n")
	for _, c := range []*client{first, second} {
		c.send("after\n")
		there.expectRequest(t, "after").answer()
		c.expect("after.\n")
	}
	old.expectDrained()
}

// By an order to move some, one leaves that is engaged when the order comes.
func TestMoveOrderTakesReleased(t *testing.T) {
	here, there := newDesk(), newDesk()
	old, heir := newRig(t, here), newRig(t, there)
	c := old.connect()
	c.send("a\n")
	a, left := here.expectRequest(t, "a"), make(chan bool, 1)
	begun := make(chan struct{})
	a.conn.Post(func(c *worker.Conn) {
		close(begun)
		for !worker.Ordered(c) { // it is the loop's next business then, and before what is posted now
			runtime.Gosched()
		}
		c.Post(func(c *worker.Conn) {
			forweb.Of(c).Become(here)
			left <- forweb.Of(c).Release()
		})
	})
	await(t, begun) // or the order could be obeyed before, and no other come
	old.tell(ipc.Move{ID: 7, Count: 1})
	if !await(t, left) {
		t.Error("it was not told that it leaves")
	}
	if moved := next[ipc.Moved](old); moved != (ipc.Moved{ID: 7, Count: 1}) {
		t.Errorf("the answer is %+v", moved)
	}
	old.route(heir, 1)
	c.send("b\n")
	there.expectRequest(t, "b").answer()
	c.expect("b.\n")
}

// At a drain's deadline one that is engaged is asked; if it stays, it is cut only if it is
// engaged still a second later.
func TestLastCall(t *testing.T) {
	tests := []struct {
		name   string
		stays  bool
		answer bool
		events []string
		cut    uint64
	}{
		{"goes", false, false, []string{"closed in a: worker: drain deadline"}, 1},
		{"stays, and is answered", true, true, []string{"closed at rest: worker: drain deadline"}, 0},
		{"stays, and is not answered", true, false, []string{"closed in a: worker: drain deadline"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk()
			d.stays = test.stays
			s := newRig(t, d)
			c := s.connect()
			c.send("a\n")
			a := d.expectRequest(t, "a")
			s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
			d.expect(t, "drain in a, known: true", "last call in a")
			if test.answer {
				a.answer()
				c.expect("a.\n")
			}
			c.closeWrite()
			for _, want := range test.events {
				for got := ""; got != want; { // the client's end may be heard before
					if got = await(t, d.events); got != want && got != `end in a, "" left` {
						t.Fatalf("%s; want %s", got, want)
					}
				}
			}
			s.wait()
			if cut := s.entry.Cut.Load(); cut != test.cut {
				t.Errorf("%d were cut, want %d", cut, test.cut)
			}
			a.answer() // in vain
		})
	}
}

// A drain that is called again with another deadline says so again, and a worker that
// finishes asks the session that the request has left behind.
func TestDrainTellsEngaged(t *testing.T) {
	d := newDesk()
	s := newRig(t, d)
	c := s.connect()
	c.send("a\n")
	a := d.expectRequest(t, "a")
	s.say(ipc.Drain{Mode: ipc.DrainMove})
	d.expect(t, "drain in a, known: false")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	d.expect(t, "drain in a, known: true")
	finishing := false
	a.answer(func(w forweb.Conn) {
		by, draining := w.Draining()
		finishing = draining && w.Finishing() && !by.IsZero()
	})
	if !finishing {
		t.Error("the connection does not say that the worker finishes")
	}
	d.expect(t, "drain at rest")
	c.expect("a.\n")
	check(t, c.Close())
	d.expect(t, `end at rest, "" left`, "closed at rest: nothing more comes")
	s.wait()
}

// A worker that leaves and is told to keep its connections, since there is nowhere for them to
// go yet, asks none to finish; when there never will be, it does.
func TestKeptConnectionsAreNotAskedToFinish(t *testing.T) {
	d := newDesk()
	s := newRig(t, d)
	c := s.connect()
	c.send("a\n")
	a := d.expectRequest(t, "a")
	s.say(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: patience.Milliseconds()})
	d.expect(t, "drain in a, known: true")
	s.say(ipc.Move{})
	next[ipc.Moved](s)
	d.expect(t, "drain in a, known: false")
	finishing := false
	a.answer(func(w forweb.Conn) { finishing = w.Finishing() })
	if finishing {
		t.Error("the connection says that the worker finishes")
	}
	c.expect("a.\n")
	c.send("b\n")
	d.expectRequest(t, "b").answer()
	c.expect("b.\n")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	d.expect(t, "drain at rest")
	check(t, c.Close())
	d.expect(t, `end at rest, "" left`, "closed at rest: nothing more comes")
	s.wait()
}

// While a request is under way the idle timeout stands still; it begins anew afterwards.
func TestEngagedIdle(t *testing.T) {
	d := newDesk()
	w := workertest.New(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		c.SetIdleTimeout(time.Second)
		return d, nil
	}))
	c := w.Connect()
	c.Send("a\n")
	a := d.expectRequest(t, "a")
	w.Advance(time.Minute)
	a.conn.Post(func(c *worker.Conn) {
		forweb.Of(c).Become(d)
		forweb.Of(c).Release()
	})
	w.Advance(0)
	w.Advance(900 * time.Millisecond)
	if closed, err := c.Closed(); closed {
		t.Fatalf("closed: %v", err)
	}
	w.Advance(200 * time.Millisecond)
	c.Close()
	if closed, err := c.Closed(); !closed || !errors.Is(err, worker.ErrIdleTimeout) {
		t.Errorf("closed: %v, %v", closed, err)
	}
}

// The end of the peer's input is heard while a request is under way, and again when it is
// over, after the requests that came before the end.
func TestEngagedEOF(t *testing.T) {
	d := newDesk()
	w := workertest.New(t, d)
	c := w.Connect()
	c.Send("a\nb\nrest")
	a := d.expectRequest(t, "a")
	c.CloseWrite()
	d.expect(t, `end in a, "b\nrest" left`)
	answer := func(r *request) {
		r.conn.Post(func(c *worker.Conn) {
			_, _ = c.Write([]byte(r.line + ".\n"))
			forweb.Of(c).Become(d)
			forweb.Of(c).Unread([]byte("put\n"))
			forweb.Of(c).Release()
		})
		w.Advance(0)
	}
	answer(a)
	put := d.expectRequest(t, "put")
	d.expect(t, `end in put, "b\nrest" left`)
	put.conn.Post(func(c *worker.Conn) {
		forweb.Of(c).Become(d)
		forweb.Of(c).Release()
	})
	w.Advance(0)
	b := d.expectRequest(t, "b")
	d.expect(t, `end in b, "rest" left`)
	b.conn.Post(func(c *worker.Conn) {
		forweb.Of(c).Become(d)
		forweb.Of(c).Release()
	})
	w.Advance(0)
	d.expect(t, `end at rest, "rest" left`, "closed at rest: nothing more comes")
	if got := c.Received(); got != "a.\n" {
		t.Errorf("received %q", got)
	}
}

// A pinned connection is counted as one that stays, once, and moves no more.
func TestPin(t *testing.T) {
	d := newDesk()
	s := newRig(t, d)
	c := s.connect()
	c.send("a\n")
	d.expectRequest(t, "a").answer(func(w forweb.Conn) { w.Pin(); w.Pin() })
	c.expect("a.\n")
	if staying := s.entry.Staying.Load(); staying != 1 {
		t.Errorf("%d stay, want 1", staying)
	}
	s.tell(ipc.Drain{Mode: ipc.DrainMove})
	d.expect(t, "drain at rest")
	check(t, c.Close())
	d.expect(t, `end at rest, "" left`, "closed at rest: nothing more comes")
	s.wait()
	if staying := s.entry.Staying.Load(); staying != 0 {
		t.Errorf("%d stay, want 0", staying)
	}
}

// Of costs no allocation.
func TestForwebAllocations(t *testing.T) {
	d := newDesk()
	w := workertest.New(t, d)
	c := w.Connect()
	c.Send("a\n")
	a, allocations := d.expectRequest(t, "a"), 0.0
	a.conn.Post(func(c *worker.Conn) {
		allocations = testing.AllocsPerRun(100, func() {
			w := forweb.Of(c)
			w.Become(a)
			w.Release()
			w.Engage()
		})
	})
	w.Advance(0)
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
