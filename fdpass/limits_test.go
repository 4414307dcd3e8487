package fdpass_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

// A receiver without room for every descriptor is told so, each time, and what
// little the kernel installed is closed.
func TestReceiverAtItsLimit(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	tests := []struct {
		name string
		sent int
		want error
	}{
		{"room for one of four", 4, fdpass.ErrRightsTruncated},
		{"again, as the one was closed", 4, fdpass.ErrRightsTruncated},
		{"room for one of one", 1, nil},
		{"room for none", 4, fdpass.ErrRightsTruncated},
		{"still room for none", 1, fdpass.ErrRightsTruncated},
		{"a packet without descriptors", 0, nil},
	}
	a, b, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fds := null(t, 4)
	for _, test := range tests {
		send(t, a, "x", fds[:test.sent])
	}
	limitFDs(t, 1)
	var r fdpass.Receiver
	for _, test := range tests {
		fds := make([]int, 8)
		_, nfds, err := r.Receive(b, make([]byte, 1), fds, exactly(test.sent))
		if err != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil && nfds != test.sent {
			t.Errorf("%s: %d descriptors, want %d", test.name, nfds, test.sent)
		}
	}
	requireEmpty(t, b)
}

// The count of descriptors in flight is the user's, over all its processes.
func TestTooManyInFlight(t *testing.T) {
	var attributes *syscall.SysProcAttr
	if os.Getuid() == 0 { // root may have any number in flight; nobody else is this user
		user := uint32(1<<20 + os.Getpid())
		attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	}
	if !inChild(t, attributes) {
		return
	}
	const limit = 64
	a, b := pair(t)
	fds := null(t, 16)
	setLimit(t, limit)

	var s fdpass.Sender
	var err error
	inFlight := 0
	for err == nil && inFlight < 4*limit {
		if err = s.Send(a, []byte("x"), fds); err == nil {
			inFlight += len(fds)
		}
	}
	if err != fdpass.ErrTooManyRefs {
		t.Fatalf("with %d in flight and a limit of %d: %v, want ErrTooManyRefs", inFlight, limit, err)
	}
	t.Logf("%d in flight under a limit of %d", inFlight, limit)

	poll := []unix.PollFd{{Fd: int32(a), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); n != 1 || err != nil {
		t.Errorf("poll: %d, %v; the socket is said to stay writable", n, err)
	}
	var r fdpass.Receiver
	for err = nil; err == nil; { // until it is empty
		fds := make([]int, 16)
		if _, _, err = r.Receive(b, make([]byte, 1), fds, nil); err == nil {
			fdpass.CloseAll(fds)
		}
	}
	if err != fdpass.ErrWouldBlock {
		t.Fatal(err)
	}
	if err := s.Send(a, []byte("x"), fds); err != nil {
		t.Errorf("with none in flight: %v", err)
	}
}

// Signals without end, at the very thread that sends and receives.
func TestSignalStorm(t *testing.T) {
	a, b := pair(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, thread := os.Getpid(), unix.Gettid()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				// The runtime's own signal: it is prepared for stray ones.
				if err := unix.Tgkill(pid, thread, unix.SIGURG); err != nil {
					panic(err)
				}
			}
		}
	}()
	var s fdpass.Sender
	var r fdpass.Receiver
	fds, payload, received := null(t, 2), make([]byte, 8), make([]int, 2)
	for range 2_000 {
		err := s.Send(a, []byte("x"), fds)
		if err == nil {
			_, _, err = r.Receive(b, payload, received, exactly(2))
		}
		if err != nil {
			t.Error(err)
			break
		}
		fdpass.CloseAll(received)
	}
	close(stop)
	<-stopped
}
