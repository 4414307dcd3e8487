package fdpass_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func TestPeerOfWhoListens(t *testing.T) {
	tests := []struct {
		name       string
		uid, gid   int
		attributes func(t *testing.T) *syscall.SysProcAttr
	}{
		{"this user", os.Geteuid(), os.Getegid(), func(*testing.T) *syscall.SysProcAttr { return nil }},
		{"another user", nobody, nobody, asNobody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			attributes := test.attributes(t)
			leaktest.Descriptors(t)
			name := abstractName(t)
			cmd, _ := startReady(t, "serve", name, attributes)
			c, err := fdpass.Dial(soon(t), name)
			if err != nil {
				t.Fatal(err)
			}
			requirePeer(t, c, fdpass.Peer{PID: cmd.Process.Pid, UID: test.uid, GID: test.gid})
			if err := errors.Join(c.Send(soon(t), []byte("x"), nil), c.Close(), cmd.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPeerOfWhoConnects(t *testing.T) {
	tests := []struct {
		name       string
		uid, gid   int
		attributes func(t *testing.T) *syscall.SysProcAttr
	}{
		{"this user", os.Geteuid(), os.Getegid(), func(*testing.T) *syscall.SysProcAttr { return nil }},
		{"another user", nobody, nobody, asNobody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			attributes := test.attributes(t)
			leaktest.Descriptors(t)
			path := folder(t) + "/x"
			l := listen(t, path)
			if err := os.Chmod(path, 0o666); err != nil { // all are let in, on purpose
				t.Fatal(err)
			}
			cmd := program("dial", path)
			cmd.SysProcAttr = attributes
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			c, err := l.Accept(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			// It is gone, and so told all the same.
			requirePeer(t, c, fdpass.Peer{PID: cmd.Process.Pid, UID: test.uid, GID: test.gid})
			if err := errors.Join(c.Close(), l.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func requirePeer(t *testing.T, c *fdpass.Conn, want fdpass.Peer) {
	t.Helper()
	if got, err := c.Peer(); got != want || err != nil {
		t.Errorf("peer %+v, %v; want %+v", got, err, want)
	}
}

func TestPeerOfNone(t *testing.T) {
	leaktest.Descriptors(t)
	alone, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll([]int{alone})
	for fd, want := range map[int]error{alone: unix.ENOTCONN, null(t, 1)[0]: unix.ENOTSOCK, -1: unix.EBADF} {
		if peer, err := fdpass.PeerOf(fd); !errors.Is(err, want) || peer != (fdpass.Peer{}) {
			t.Errorf("descriptor %d: %+v, %v; want %v", fd, peer, err, want)
		}
	}
}
