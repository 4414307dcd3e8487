package dispatch

import (
	"errors"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// hasLinger reports whether close(2) of a socket may wait for its client.
func hasLinger(t *testing.T, fd int) bool {
	t.Helper()
	linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	if err != nil {
		t.Fatal(err)
	}
	return linger.Onoff != 0
}

func setLinger(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
		t.Fatal(err)
	}
}

// A connection that was given back goes to the next worker without the SO_LINGER
// that the one before has set: the master closes its copy without waiting.
func TestGivenBackDoesNotLinger(t *testing.T) {
	r := newRig(t, 1000)
	a := r.addWorker(0, 100)
	defer a.die()
	r.do(func() { r.dispatcher.find(0).spec.Moves = true })
	r.dial(1)
	e := a.receive(1)
	setLinger(t, a.fds[0])
	b := r.addWorker(1, 100)
	defer b.die()
	r.do(func() { r.dispatcher.find(1).spec.Moves = true })
	r.CloseQueue(0)
	e.State = []byte("state")
	a.packet.Add(&e, a.fds[0])
	a.fds = nil
	if err := a.Send(a.end, &a.packet); err != nil {
		t.Fatal(err)
	}
	b.receive(1)
	if hasLinger(t, b.fds[0]) {
		t.Error("it has SO_LINGER")
	}
}

// A process that a dead worker left behind has its end of the queue. It can send
// nothing more, as it would for ever: the accept goroutine comes to an end of what
// is there.
func TestDeadWorkersQueueTakesNoMore(t *testing.T) {
	r := newRig(t, 1000)
	w := r.addWorker(0, 100)
	left, err := unix.FcntlInt(uintptr(w.end), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	var sender fdpass.Sender
	if err := sender.Send(left, []byte("junk"), nil); err != nil {
		t.Fatal(err)
	}
	w.die() // nobody has room for what may be in its queue: it is looked at later
	if err := sender.Send(left, []byte("junk"), nil); !errors.Is(err, fdpass.ErrPeerClosed) {
		t.Errorf("junk after the worker's death: %v, want %v", err, fdpass.ErrPeerClosed)
	}
	other := r.addWorker(1, 100)
	defer other.die()
	r.until(func(Totals) (gone bool) {
		r.do(func() { gone = len(r.dispatcher.closed) == 0 })
		return gone
	})
}

// Whatever is discarded is closed: sockets at once, and files soon.
func TestDiscard(t *testing.T) {
	leaktest.Descriptors(t)
	var d discarder
	for range 100 {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		a, b, err := fdpass.Pair()
		if err != nil {
			t.Fatal(err)
		}
		d.discard([]int{pipe[0], -1, pipe[1], a, b})
		if _, err := unix.FcntlInt(uintptr(b), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
			t.Errorf("a socket is open: %v", err)
		}
	}
	for on := true; on; {
		d.mu.Lock()
		on = d.on
		d.mu.Unlock()
	}
}
