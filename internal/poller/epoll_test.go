//go:build linux

package poller

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What errors say here, beside that they are errors.
func TestErrors(t *testing.T) {
	s := newSet(t)
	a, b := stream(t)
	if err := s.Add(a, In, 1); err != nil {
		t.Fatal(err)
	}
	closed := &Set{fd: -1}
	_, errWait := closed.Wait(make([]Event, 1), 0)
	_, errWaker := NewWaker(closed, 1)
	tests := []struct {
		name string
		got  error
		call string
		want error
	}{
		{"added twice", s.Add(a, In, 1), "epoll_ctl", unix.EEXIST},
		{"not open", s.Add(-1, In, 1), "epoll_ctl", unix.EBADF},
		{"modified but never added", s.Modify(b, In, 1), "epoll_ctl", unix.ENOENT},
		{"deleted but never added", s.Del(b), "epoll_ctl", unix.ENOENT},
		{"wait on no set", errWait, "epoll_pwait", unix.EBADF},
		{"a waker in no set", errWaker, "epoll_ctl", unix.EBADF},
		{"close of no set", closed.Close(), "close", unix.EBADF},
		{"close of no waker", (&Waker{bell: -1}).Close(), "close", unix.EBADF},
	}
	for _, test := range tests {
		var syscallError *os.SyscallError
		if !errors.Is(test.got, test.want) || !errors.As(test.got, &syscallError) || syscallError.Syscall != test.call {
			t.Errorf("%s: %v, want %s: %v", test.name, test.got, test.call, test.want)
		}
	}
}

// Why every close is preceded by Del: while another descriptor refers to the
// same open file, close leaves it in an epoll set, which reports it for ever.
func TestCloseWithoutDel(t *testing.T) {
	s := newSet(t)
	a, b := stream(t)
	passed, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0) // as SCM_RIGHTS makes one
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(passed, In, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(passed); err != nil {
		t.Fatal(err)
	}
	write(t, b)
	events := make([]Event, 1)
	if n, err := s.Wait(events, 0); n != 1 || err != nil || events[0].Tag() != 1 {
		t.Errorf("%d events (%v); if epoll does not report it any more, the contract may be relaxed", n, err)
	}
}
