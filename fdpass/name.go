package fdpass

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxName is the longest name in bytes: sun_path has 108 (unix(7)), of which
// a path needs one to end with.
const maxName = 107

// checkName says whether a socket can have the name: a path, or, after a
// leading '@', a name in the kernel's abstract namespace.
func checkName(name string) error {
	switch {
	case name == "" || name == "@":
		return fmt.Errorf("empty name: %w", unix.EINVAL) // the kernel would choose one
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("name %q has a zero byte: %w", name, unix.EINVAL) // the kernel would stop reading there
	case len(name) > maxName:
		return fmt.Errorf("name %q has %d bytes, more than %d: %w", name, len(name), maxName, unix.ENAMETOOLONG)
	}
	return nil
}

func isAbstract(name string) bool { return name[0] == '@' }

// bind returns a listening socket of that name. A dead socket's file gives way;
// anything else that has the name is refused. An abstract name dies with its
// process, so there only a live one can be in the way.
func bind(ctx context.Context, name string) (*net.UnixListener, error) {
	socket, err := listen(ctx, name)
	if !errors.Is(err, unix.EADDRINUSE) || isAbstract(name) {
		return socket, err
	}
	unlock, err := lockFolder(ctx, filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeDead(name); err != nil {
		return nil, err
	}
	return listen(ctx, name)
}

// listen makes the socket and its file in one step, with the mode that the
// file shall have: bind(2) takes it from the socket's own inode, less umask.
func listen(ctx context.Context, name string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var chmodErr error
		err := raw.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, os.NewSyscallError("fchmod", chmodErr))
	}}
	listener, err := config.Listen(ctx, "unixpacket", name)
	if err != nil {
		return nil, err
	}
	socket := listener.(*net.UnixListener)
	socket.SetUnlinkOnClose(false) // it would not look whose file it removes
	return socket, nil
}

// lockFolder keeps other calls of Listen, of any process, from replacing a file
// of the folder. Of two that find the same dead socket, the slower would
// otherwise remove what the faster has just bound.
func lockFolder(ctx context.Context, folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	err = retry(ctx, func() error {
		return os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	}, unix.EAGAIN)
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	return func() { _ = f.Close() }, nil // which unlocks it
}

// removeDead removes the socket file at path if no socket is bound to it. With
// EADDRINUSE or ENOTSOCK it is something that another still wants.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, unix.ENOENT) {
		return nil // removed by its owner meanwhile
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is no socket (%v): %w", path, info.Mode(), unix.ENOTSOCK)
	}
	switch err := probe(path); {
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EPROTOTYPE):
		return fmt.Errorf("%s belongs to a live process: %w", path, unix.EADDRINUSE)
	default:
		return fmt.Errorf("%s may belong to a live process: %w", path, err)
	}
}

// probe connects a datagram socket to path. The kernel looks first whether a
// socket is bound there (else ECONNREFUSED) and then whether it is of the same
// type (else EPROTOTYPE). So a live listener never sees the probe, and one
// that is bound but does not listen yet counts as live.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer CloseAll([]int{fd})
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
}
