package fdpass_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

func TestReceiveRefuses(t *testing.T) {
	errExpect := errors.New("an expectation of its own")
	tests := []struct {
		name    string
		sent    int // descriptors
		payload int // room, in bytes; 4 are sent
		fds     int // room
		expect  func([]byte) (int, error)
		want    error
	}{
		{"payload truncated", 0, 3, 1, nil, fdpass.ErrPayloadTruncated},
		{"payload truncated, with descriptors", 5, 3, 5, exactly(5), fdpass.ErrPayloadTruncated},
		{"no room for any descriptor", 1, 4, 0, nil, fdpass.ErrSurplus},
		{"no room for the last descriptor", 3, 4, 2, nil, fdpass.ErrSurplus},
		{"no room for most descriptors", fdpass.MaxFDs, 4, 2, nil, fdpass.ErrSurplus},
		{"no room for descriptors nor payload", 3, 3, 2, nil, fdpass.ErrSurplus},
		{"more than expected", 3, 4, 8, exactly(2), fdpass.ErrSurplus},
		{"some where none was expected", 1, 4, 8, exactly(0), fdpass.ErrSurplus},
		{"fewer than expected", 3, 4, 8, exactly(4), fdpass.ErrMissing},
		{"none where some were expected", 0, 4, 8, exactly(1), fdpass.ErrMissing},
		{"the expectation's error", 3, 4, 8, func([]byte) (int, error) { return 3, errExpect }, errExpect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := pair(t)
			send(t, a, "four", null(t, test.sent))
			var r fdpass.Receiver
			fds := make([]int, test.fds)
			n, nfds, err := r.Receive(b, make([]byte, test.payload), fds, test.expect)
			if err != test.want || n != 0 || nfds != 0 {
				t.Errorf("got %d, %d, %v; want %v", n, nfds, err, test.want)
			}
			requireEmpty(t, b) // the packet is consumed

			send(t, a, "next", null(t, 1))
			fds = make([]int, 1)
			if _, _, err := r.Receive(b, make([]byte, 4), fds, exactly(1)); err != nil {
				t.Errorf("the packet after: %v", err)
			}
			fdpass.CloseAll(fds)
		})
	}
}

func TestReceiveWithoutBuffer(t *testing.T) {
	a, b := pair(t)
	send(t, a, "four", nil)
	var r fdpass.Receiver
	if _, _, err := r.Receive(b, nil, nil, nil); err != fdpass.ErrEmptyPayload {
		t.Errorf("got %v, want ErrEmptyPayload", err)
	}
	if n, _, err := r.Receive(b, make([]byte, 8), nil, nil); n != 4 || err != nil {
		t.Errorf("the packet: %d bytes, %v", n, err)
	}
	if _, _, err := r.Receive(-1, make([]byte, 8), nil, nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("got %v, want EBADF", err)
	}
}

func TestExpectSeesThePayload(t *testing.T) {
	a, b := pair(t)
	send(t, a, "four", nil)
	var r fdpass.Receiver
	var seen []byte
	_, _, err := r.Receive(b, make([]byte, 64), nil, func(payload []byte) (int, error) {
		seen = bytes.Clone(payload)
		return 0, nil
	})
	if err != nil || string(seen) != "four" {
		t.Errorf("expect was given %q, %v", seen, err)
	}
}

// Control messages of other kinds, some of which come before the rights.
func TestOtherControlMessages(t *testing.T) {
	options := []struct {
		name   string
		option int
	}{
		{"SO_PASSCRED", unix.SO_PASSCRED},
		{"SO_PASSPIDFD", unix.SO_PASSPIDFD}, // brings a descriptor of its own
		{"SO_PASSSEC", unix.SO_PASSSEC},
		{"SO_TIMESTAMPNS", unix.SO_TIMESTAMPNS},
	}
	for _, option := range options {
		t.Run(option.name, func(t *testing.T) {
			for _, count := range []int{0, 1, 2, fdpass.MaxFDs} {
				a, b := pair(t)
				err := unix.SetsockoptInt(b, unix.SOL_SOCKET, option.option, 1)
				if errors.Is(err, unix.ENOPROTOOPT) {
					t.Skip("this kernel does not know the option")
				}
				if err != nil {
					t.Fatal(err)
				}
				send(t, a, "x", null(t, count))
				requirePacket(t, b, "x", count)
			}
		})
	}
}

func TestDescriptorsRefusedByThePeer(t *testing.T) {
	a, b := pair(t)
	err := unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel does not know SO_PASSRIGHTS")
	}
	if err != nil {
		t.Fatal(err)
	}
	var s fdpass.Sender
	if err := s.Send(a, []byte("x"), null(t, 1)); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v, want EPERM", err)
	}
}
