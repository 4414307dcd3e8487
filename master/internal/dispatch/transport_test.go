package dispatch

import (
	"testing"

	"github.com/usher-go/usher/internal/fieldtest"
	"golang.org/x/sys/unix"
)

// setTransport has the listener accept with this number from now on.
func (r *rig) setTransport(number uint8) {
	r.do(func() { r.listeners[0].Transport = number })
}

// A connection is given to a worker with the number of what its bytes pass, and keeps it
// when it is given back.
func TestTransportMoves(t *testing.T) {
	r := newRig(t, 1000)
	r.setTransport(7)
	a := r.addWorker(0, 100)
	defer a.die()
	r.dial(1)
	e := a.receive(1)
	if e.Transport != 7 {
		t.Errorf("accepted: transport %d, want 7", e.Transport)
	}
	b := r.addWorker(1, 100)
	defer b.die()
	r.do(func() {
		for _, q := range r.dispatcher.open {
			q.spec.Moves = true
		}
	})
	r.setTransport(8) // of those that come later
	e.State = []byte("state")
	a.packet.Add(&e, a.fds[0])
	a.fds = nil
	if err := a.Send(a.end, &a.packet); err != nil {
		t.Fatal(err)
	}
	if e = b.receive(1); e.Transport != 7 || string(e.State) != "state" {
		t.Errorf("moved: transport %d, state %q; want 7", e.Transport, e.State)
	}
}

// One that its worker has left unread keeps the number that its listener had when it was
// accepted.
func TestTransportOfWhatIsLeftUnread(t *testing.T) {
	r := newRig(t, 1000)
	r.setTransport(7)
	a := r.addWorker(0, 100)
	r.dial(1)
	r.until(func(c Totals) bool { return c.Queued == 1 })
	r.setTransport(8)
	a.die()
	b := r.addWorker(0, 100)
	defer b.die()
	if e := b.receive(1); e.Transport != 7 {
		t.Errorf("left unread: transport %d, want 7", e.Transport)
	}
	r.dial(1)
	if e := b.receive(2); e.Transport != 8 {
		t.Errorf("accepted later: transport %d, want 8", e.Transport)
	}
}

// What a subacceptor has accepted has the number, too.
func TestTransportOfPending(t *testing.T) {
	r := newRig(t, 1000)
	l := listenAt(t, "tcp", "127.0.0.1:0")
	l.Transport = 7
	s, err := newSubacceptor(r.acceptGoroutine)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r.addr = l.Address
	r.dial(1)
	waiting := []unix.PollFd{{Fd: int32(l.FD), Events: unix.POLLIN}}
	if n, err := unix.Poll(waiting, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("no client in %v: %v", patience, err)
	}
	s.accept(&l, l.FD)
	s.publish()
	if accepted := s.peek(); len(accepted) != 1 || accepted[0].accepted.Transport != 7 {
		t.Errorf("%+v, want one of transport 7", accepted)
	}
}

// A pending connection comes back from an upgrade as it was.
func TestStateOfPending(t *testing.T) {
	var s PendingState
	fieldtest.Fill(&s)
	if conn := s.conn(); conn.state() != s {
		t.Errorf("got %+v, want %+v", conn.state(), s)
	}
}
