package fdpass_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"unsafe"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func TestPairFlags(t *testing.T) {
	a, b := pair(t)
	for _, fd := range []int{a, b} {
		requireFlags(t, fd)
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || kind != unix.SOCK_SEQPACKET {
			t.Errorf("descriptor %d: type %d, %v; want SOCK_SEQPACKET", fd, kind, err)
		}
		status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || status&unix.O_NONBLOCK == 0 {
			t.Errorf("descriptor %d: status flags %#x, %v; want O_NONBLOCK", fd, status, err)
		}
	}
}

func requireFlags(t *testing.T, fd int) {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor %d: flags %#x, %v; want FD_CLOEXEC", fd, flags, err)
	}
}

func TestPassed(t *testing.T) {
	for _, count := range []int{0, 1, 2, 3, 64, fdpass.MaxFDs} {
		a, b := pair(t)
		sent := null(t, count)
		send(t, a, "payload", sent)

		var r fdpass.Receiver
		payload, fds := make([]byte, 64), make([]int, fdpass.MaxFDs)
		n, nfds, err := r.Receive(b, payload, fds, exactly(count))
		if err != nil {
			t.Fatalf("%d descriptors: %v", count, err)
		}
		if string(payload[:n]) != "payload" || nfds != count {
			t.Errorf("%d descriptors: got %q and %d", count, payload[:n], nfds)
		}
		for i, fd := range fds[:nfds] {
			requireFlags(t, fd)
			if !sameFile(t, fd, sent[i]) {
				t.Errorf("descriptor %d of %d refers to another file", i, count)
			}
		}
		fdpass.CloseAll(fds[:nfds])
	}
}

func sameFile(t *testing.T, a, b int) bool {
	t.Helper()
	var x, y unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &x), unix.Fstat(b, &y)); err != nil {
		t.Fatal(err)
	}
	return x.Dev == y.Dev && x.Ino == y.Ino
}

func TestDescriptorsKeepTheirOrder(t *testing.T) {
	a, b := pair(t)
	var files []int
	for range 16 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fd)
	}
	for i, fd := range files { // each counter is told its place
		if _, err := unix.Write(fd, []byte{byte(i + 1), 0, 0, 0, 0, 0, 0, byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	send(t, a, "x", files)
	fdpass.CloseAll(files)

	var r fdpass.Receiver
	fds := make([]int, len(files))
	_, nfds, err := r.Receive(b, make([]byte, 1), fds, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, fd := range fds[:nfds] {
		var counter [8]byte
		if _, err := unix.Read(fd, counter[:]); err != nil || int(counter[0]) != i+1 {
			t.Errorf("descriptor %d has counter %d, %v", i, counter[0], err)
		}
	}
	fdpass.CloseAll(fds[:nfds])
}

func TestSendRefuses(t *testing.T) {
	a, b := pair(t)
	tests := []struct {
		name    string
		sock    int
		payload []byte
		fds     []int
		want    error
	}{
		{"no payload", a, nil, nil, fdpass.ErrEmptyPayload},
		{"no payload but descriptors", a, []byte{}, null(t, 1), fdpass.ErrEmptyPayload},
		{"254 descriptors", a, []byte("x"), null(t, fdpass.MaxFDs+1), fdpass.ErrTooManyFDs},
		{"a descriptor that is not open", a, []byte("x"), []int{-1}, unix.EBADF},
		{"payload beyond the buffer", a, make([]byte, 1<<20), nil, unix.EMSGSIZE},
		{"no socket", null(t, 1)[0], []byte("x"), nil, unix.ENOTSOCK},
		{"not open", -1, []byte("x"), nil, unix.EBADF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var s fdpass.Sender
			err := s.Send(test.sock, test.payload, test.fds)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			requireEmpty(t, b)
		})
	}
}

func requireEmpty(t *testing.T, sock int) {
	t.Helper()
	var r fdpass.Receiver
	if _, _, err := r.Receive(sock, make([]byte, 1), nil, nil); err != fdpass.ErrWouldBlock {
		t.Errorf("receive from an empty socket: %v, want ErrWouldBlock", err)
	}
}

func TestLargestPayload(t *testing.T) {
	a, b := pair(t)
	payload := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	send(t, a, string(payload), null(t, 1))
	var r fdpass.Receiver
	got, fds := make([]byte, len(payload)), make([]int, 1)
	n, _, err := r.Receive(b, got, fds, nil)
	if err != nil || !bytes.Equal(got[:n], payload) {
		t.Errorf("%d bytes of %d, %v", n, len(payload), err)
	}
	fdpass.CloseAll(fds)
}

// Both ends in blocking mode: a call that blocked would hang the test.
func TestWouldBlock(t *testing.T) {
	a, b := pair(t)
	for _, fd := range []int{a, b} {
		if err := unix.SetNonblock(fd, false); err != nil {
			t.Fatal(err)
		}
	}
	requireEmpty(t, b)

	var s fdpass.Sender
	fds := null(t, 1)
	sent := 0
	var err error
	for err == nil {
		if err = s.Send(a, []byte("x"), fds); err == nil {
			sent++
		}
	}
	if err != fdpass.ErrWouldBlock || sent == 0 {
		t.Fatalf("after %d packets: %v, want ErrWouldBlock", sent, err)
	}

	var r fdpass.Receiver
	for range sent {
		if _, _, err := r.Receive(b, make([]byte, 1), fds, exactly(1)); err != nil {
			t.Fatal(err)
		}
		fdpass.CloseAll(fds)
	}
	requireEmpty(t, b)
}

// drop closes one end early. The test's cleanup closes the number again, which
// nothing else uses by then.
func drop(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

func TestPeerClosed(t *testing.T) {
	var s fdpass.Sender
	var r fdpass.Receiver
	payload, fds := make([]byte, 8), make([]int, 8)

	t.Run("send", func(t *testing.T) {
		a, b := pair(t)
		drop(t, b)
		for range 2 {
			if err := s.Send(a, []byte("x"), nil); err != fdpass.ErrPeerClosed {
				t.Errorf("got %v, want ErrPeerClosed", err)
			}
		}
	})
	t.Run("receive", func(t *testing.T) {
		a, b := pair(t)
		drop(t, a)
		for range 2 {
			if _, _, err := r.Receive(b, payload, fds, nil); err != fdpass.ErrPeerClosed {
				t.Errorf("got %v, want ErrPeerClosed", err)
			}
		}
	})
	t.Run("receive what was left first", func(t *testing.T) {
		a, b := pair(t)
		send(t, a, "last", null(t, 2))
		drop(t, a)
		requirePacket(t, b, "last", 2)
		if _, _, err := r.Receive(b, payload, fds, nil); err != fdpass.ErrPeerClosed {
			t.Errorf("got %v, want ErrPeerClosed", err)
		}
	})
	// The kernel reports ECONNRESET before what is still to be read.
	t.Run("receive what was left by a peer that left something unread", func(t *testing.T) {
		a, b := pair(t)
		send(t, a, "last", null(t, 2))
		send(t, b, "unread", null(t, 2))
		drop(t, a)
		requirePacket(t, b, "last", 2)
		if _, _, err := r.Receive(b, payload, fds, nil); err != fdpass.ErrPeerClosed {
			t.Errorf("got %v, want ErrPeerClosed", err)
		}
	})
	t.Run("send to a peer that left something unread", func(t *testing.T) {
		a, b := pair(t)
		send(t, b, "unread", nil)
		drop(t, a)
		for range 2 {
			if err := s.Send(b, []byte("x"), nil); err != fdpass.ErrPeerClosed {
				t.Errorf("got %v, want ErrPeerClosed", err)
			}
		}
	})
	t.Run("an empty packet with descriptors", func(t *testing.T) {
		a, b := pair(t)
		sendEmpty(t, a, null(t, 2))
		if _, _, err := r.Receive(b, payload, fds, nil); err != fdpass.ErrPeerClosed {
			t.Errorf("got %v, want ErrPeerClosed", err)
		}
	})
}

// sendEmpty does what Send refuses to; and unix.Sendmsg would add a byte.
func sendEmpty(t *testing.T, sock int, fds []int) {
	t.Helper()
	control := unix.UnixRights(fds...)
	message := unix.Msghdr{Control: &control[0]}
	message.SetControllen(len(control))
	_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(sock), uintptr(unsafe.Pointer(&message)), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}

func requirePacket(t *testing.T, sock int, want string, count int) {
	t.Helper()
	var r fdpass.Receiver
	payload, fds := make([]byte, len(want)), make([]int, count)
	n, _, err := r.Receive(sock, payload, fds, exactly(count))
	if err != nil || string(payload[:n]) != want {
		t.Errorf("got %q, %v; want %q", payload[:n], err, want)
		return
	}
	fdpass.CloseAll(fds)
}

func TestCloseAll(t *testing.T) {
	leaktest.Descriptors(t)
	f, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	fds := []int{-1, f, -1}
	fdpass.CloseAll(fds)
	for i, fd := range fds {
		if fd != -1 {
			t.Errorf("descriptor %d is %d, want -1", i, fd)
		}
	}
	fdpass.CloseAll(fds) // closes nothing twice
}
