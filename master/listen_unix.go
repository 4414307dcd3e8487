package master

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

func listenUnix(address Address) (*listener, error) {
	hasFile := !strings.HasPrefix(address.Path, "@")
	if hasFile {
		if err := clearPath(address.Path, "process", "choose another path with --listen"); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := bindWithMode(fd, &unix.SockaddrUnix{Name: address.Path}, address.Mode); err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, err
	}
	l, err := startListening(fd)
	if err == nil && hasFile {
		l.file = newSocketFile(address.Path)
	}
	return l, err
}

// bindWithMode creates the socket's file with its mode, rather than changing
// that when clients may have come already. The umask is the process's: no
// other goroutine may create files meanwhile, as none does before serving.
func bindWithMode(fd int, sa unix.Sockaddr, mode fs.FileMode) error {
	if mode != 0 {
		old := unix.Umask(int(0o777 &^ mode))
		defer unix.Umask(old)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// clearPath removes the socket of a process that is dead, and refuses anything
// else. who is what a live holder would be, other how to choose another path.
func clearPath(path, who, other string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("there is a file that is not a socket; remove it, or %s", other)
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("held by a live %s (pid %d); stop that one, or %s", who, peerPID(conn), other)
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// peerPID returns the pid of the process that listens at the other end, or 0.
func peerPID(conn net.Conn) (pid int) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // an error leaves pid 0
		if peer, err := fdpass.PeerOf(int(fd)); err == nil {
			pid = peer.PID
		}
	})
	return pid
}

// socketFile is a Unix socket's file, to be removed by who made it, unless
// another has taken its place since.
type socketFile struct {
	path string
	info fs.FileInfo
}

// newSocketFile returns nil, which remove knows, if there is no such file.
func newSocketFile(path string) *socketFile {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return &socketFile{path, info}
}

func (f *socketFile) remove() {
	if f == nil {
		return
	}
	if info, err := os.Lstat(f.path); err == nil && os.SameFile(info, f.info) {
		_ = os.Remove(f.path) // someone else was faster
	}
}
