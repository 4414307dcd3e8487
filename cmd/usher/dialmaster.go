package main

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

// controlFlag is what every command has that talks to a running server.
type controlFlag struct {
	Control string `placeholder:"PATH" help:"Control socket of the server; without it, the first that answers of ${controls}."`
}

// dialMaster connects to the master behind a control socket; "" stands for the
// first of the defaults that one of this user answers on.
func dialMaster(control string) (*net.UnixConn, error) {
	tried := []string{control}
	if control == "" {
		tried = controlDefaults()
	}
	var failed []string
	var reason error
	for _, path := range tried {
		conn, err := dialOwn(path)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, fmt.Sprintf("%s (%v)", path, err))
		if reason == nil || !errors.Is(err, fs.ErrNotExist) { // that tells the least
			reason = err
		}
	}
	return nil, &noMaster{strings.Join(failed, ", "), reason}
}

// noMaster is that none answers.
type noMaster struct {
	tried  string
	reason error
}

func (e *noMaster) Unwrap() error { return e.reason }

func (e *noMaster) Error() string {
	advice := "start one with usher serve, or name its socket with --control"
	switch {
	case errors.Is(e.reason, unix.EAGAIN): // its backlog is full
		advice = "the master there is stopped, or has more to answer than it can"
	case errors.Is(e.reason, fs.ErrPermission):
		advice = "ask as the user whose server it is, or as root, or name another socket with --control"
	}
	return "no master answers on " + e.tried + "; " + advice
}

// strangerError is that another user's process listens there. It is a kind of
// permission that is missing.
type strangerError fdpass.Peer

func (e strangerError) Error() string {
	return fmt.Sprintf("process %d of user %d listens there, not one of this user", e.PID, e.UID)
}

func (strangerError) Is(target error) bool { return target == fs.ErrPermission }

// maxUnixPath is the longest path of a Unix socket (unix(7)).
const maxUnixPath = 107

// dialOwn connects to a server of this user or of root; root may ask anybody's.
// What another user's process says is worth nothing, and it may have taken a path
// that was to be this user's.
func dialOwn(path string) (*net.UnixConn, error) {
	if len(path) > maxUnixPath {
		return nil, fmt.Errorf("too long for a Unix socket: %d bytes, %d fit", len(path), maxUnixPath)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok {
			err = dial.Err // without the path again
		}
		return nil, err
	}
	peer, err := peerOf(conn)
	if err == nil && os.Geteuid() != 0 && peer.UID != 0 && peer.UID != os.Geteuid() {
		err = strangerError(peer)
	}
	if err != nil {
		_ = conn.Close() // nothing was said
		return nil, err
	}
	return conn, nil
}

// peerOf returns who listens at the other end.
func peerOf(conn *net.UnixConn) (peer fdpass.Peer, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer, err
	}
	failed := raw.Control(func(fd uintptr) { peer, err = fdpass.PeerOf(int(fd)) })
	return peer, errors.Join(err, failed)
}
